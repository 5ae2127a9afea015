"""``wsis evaluate``: measures a run or a file of predictions."""

import json
from pathlib import Path

from wsis._support.files import write_json
from wsis.cli.building import torch_device
from wsis.cli.display import Bars, print_rows
from wsis.cli.errors import UsageError
from wsis.cli.folders import refuse_inputs
from wsis.cli.options import Data, Setup
from wsis.cli.sources import category_ids, data_source
from wsis.contracts import Annotated, Predictions
from wsis.evaluation import Evaluation, from_coco
from wsis.evaluation import evaluate as measure
from wsis.experiments import METRICS, Row, bounds
from wsis.runs.refine import REFINED, Refined, load_refined
from wsis.runs.run import Run, load_run


def evaluate(
    run: Path | None,
    predictions: Path | None,
    data: Data,
    setup: Setup,
    *,
    figures: Path | None,
) -> None:
    """Prints a row for each of what is given, and writes all figures to a file."""
    if figures is not None:
        inputs = (run, predictions, data.train, data.val)
        refuse_inputs(figures, inputs, option="--json")
    source = data_source(data, "val")
    val = source.val()
    found: dict[str, Evaluation] = {}
    if predictions is not None:
        numbers = category_ids(source, len(val.tagged.classes))
        made = _read(predictions, val, numbers)
        found[predictions.name] = measure(made, val.truths, val.tagged.classes)
    if run is not None:
        device = torch_device(setup.device)
        if (run / REFINED).is_file():
            refined = load_refined(run, device)
            made = predicted(refined, val)
            found[refined.card.name] = measure(made, val.truths, val.tagged.classes)
        else:
            found |= _of_run(load_run(run, device=device, cache=setup.cache), val)
    if figures is not None:
        write_json(
            figures,
            {
                name: {"metrics": one.metrics, "per_class": one.per_class}
                for name, one in found.items()
            },
        )
    rows = [
        Row(name=name, seeds=1, mean=one.metrics, deviation={})
        for name, one in found.items()
    ]
    print_rows(rows, [*METRICS, "ABO"])


def _read(path: Path, val: Annotated, numbers: tuple[int, ...]) -> list[Predictions]:
    try:
        return from_coco(json.loads(path.read_text()), val.truths, numbers)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def predicted(run: Run | Refined, val: Annotated) -> list[Predictions]:
    """What a run or a refined detector finds on the images.

    Raises:
        UsageError: if the data are not of its classes.
    """
    card, classes = run.card, val.tagged.classes
    if card.classes != classes:
        raise UsageError(
            f"expected data of the run's classes, {', '.join(card.classes)}; got "
            f"{', '.join(classes)}"
        )
    found = []
    with Bars() as bars:
        step = bars.start("predict", len(val.tagged.images))
        for image in val.tagged.images:
            found.append(run.find(image))
            step(image.name)
    return found


def _of_run(run: Run, val: Annotated) -> dict[str, Evaluation]:
    """The run's figures, and those of its proposals."""
    classes = val.tagged.classes
    found = predicted(run, val)
    highest, chance = bounds(run.pipeline, val)
    return {
        run.card.miner.label: measure(found, val.truths, classes),
        "oracle": highest,
        "random": chance,
    }
