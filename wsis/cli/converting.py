"""``wsis convert``: makes a run of a checkpoint that CIM's authors released."""

from pathlib import Path

import typer

from wsis.cli.building import recipe
from wsis.cli.errors import UsageError
from wsis.cli.folders import new_folder
from wsis.cli.options import Setup
from wsis.contracts import Supervision, Tagged
from wsis.data.names import COCO_CATEGORIES, VOC_NAMES
from wsis.features.backbones import RANDOM
from wsis.runs.convert import class_count, load_theirs, read_checkpoint
from wsis.runs.pipeline import Pipeline
from wsis.runs.run import Card
from wsis.runs.settings import Settings

_CLASSES = {
    "voc": {name: number for number, name in enumerate(VOC_NAMES, 1)},
    "coco": COCO_CATEGORIES,
}

_THEIRS = {Supervision.TAGS, Supervision.IMAGENET, Supervision.BOUNDARIES}
"""What a released model consumed: tags, ImageNet, and the boundaries of COB."""


def convert(checkpoint: Path, out: Path, setup: Setup) -> None:
    """Writes the run that the checkpoint makes of a recipe."""
    chosen = recipe(setup.recipe)
    settings = Settings.read(
        [*setup.settings, f"backbone.weights={RANDOM}"], chosen.settings
    )
    classes = _CLASSES.get(chosen.data.name)
    if settings.freeze or classes is None:
        raise UsageError(
            f"expected a recipe of CIM's paper, which trains the backbone on voc or "
            f"coco; {chosen.name} does not"
        )
    state = read_checkpoint(checkpoint)
    if class_count(state) != len(classes):
        raise UsageError(
            f"expected the {len(classes)} classes of {chosen.data.name}, {checkpoint} "
            f"has {class_count(state)}; choose a recipe of its data set"
        )
    pipeline = Pipeline(settings, setup.cache)
    model = pipeline.model(len(classes), seed=0)
    load_theirs(model, state)
    tagged = Tagged(name=chosen.data.name, classes=tuple(classes), images=[])
    card = Card.of(pipeline, chosen.miner, 0, tagged, tuple(classes.values()))
    card = card.model_copy(update={"supervision": tuple(sorted(_THEIRS))})
    with new_folder(out) as folder:
        card.save(folder, model)
    typer.echo(f"run: {out} ({len(state)} tensors of {checkpoint.name})")
