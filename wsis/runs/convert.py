"""Checkpoints of CIM's authors: their names turned into ours, every tensor of them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from wsis import __version__
from wsis._support.checks import few
from wsis._support.folders import new_folder
from wsis._support.weights import COUNTERS, read_state
from wsis.contracts import Supervision, Tagged
from wsis.data.names import COCO_CATEGORIES, VOC_NAMES
from wsis.features.backbones import RANDOM
from wsis.runs.pipeline import Pipeline
from wsis.runs.recipes import Recipe
from wsis.runs.run import Card
from wsis.runs.settings import Settings, SettingsError
from wsis.training.network import Model


class ConversionError(ValueError):
    """A checkpoint is not one of CIM's authors, or not of the model asked for."""


# Names as in github.com/ZechengLi19/CIM, lib/modeling: resnet50.py, vgg16.py, HRNet.py,
# heads.py; with the names that its older versions gave the same layers.
_NAMES = (
    (r"Conv_Body\.res1\.(?:0|conv1)\.", "backbone.net.conv1."),
    (r"Conv_Body\.res1\.(?:1|bn1)\.", "backbone.net.bn1."),
    (r"Conv_Body\.res2\.", "backbone.net.layer1."),
    (r"Conv_Body\.res3\.", "backbone.net.layer2."),
    (r"Conv_Body\.res4\.", "backbone.net.layer3."),
    *(
        (rf"Conv_Body\.conv{block}\.{i}\.", f"backbone.net.features_{first + i}.")
        for block, first in zip((1, 2, 3, 4, 5), (0, 5, 10, 17, 24), strict=True)
        for i in (0, 2, 4)
    ),
    (
        r"Conv_Body\.((?:conv|bn|layer|transition|stage)[1-4]|incre_modules"
        r"|downsamp_modules|final_layer)\.",
        r"backbone.net.\1.",
    ),
    (r"Box_Head\.mask_branch\.0\.", "head.fuse.0."),
    (r"Box_Head\.seg_fc\.([02])\.", r"head.layers.\1."),
    (r"cls_iou_model\.classifier\.", "anti_noise.classifier."),
    (r"cls_iou_model\.(?:detector|inner_detection)\.", "anti_noise.detector."),
    (r"cls_iou_model\.ref(?:ine)?_cls\.(\d+)\.", r"refinement.\1.classification."),
    (r"cls_iou_model\.ref(?:ine)?_iou\.(\d+)\.", r"refinement.\1.integrity."),
)

_UNUSED = ("Conv_Body.classifier.", "cls_iou_model.outer_detection.")
"""In their files, but not in what their network computes: HRNet's ImageNet classes, and
a second detector of older versions."""

_CLASSES = {
    "voc": {name: number for number, name in enumerate(VOC_NAMES, 1)},
    "coco": COCO_CATEGORIES,
}

_THEIRS = (Supervision.BOUNDARIES, Supervision.IMAGENET, Supervision.TAGS)
"""What a released model consumed: tags, ImageNet, and the boundaries of COB."""


def convert(
    checkpoint: Path,
    folder: Path,
    recipe: str,
    settings: Sequence[str] = (),
    cache: Path | None = None,
) -> int:
    """Make a run of a checkpoint that CIM's authors released.

    Args:
        checkpoint: a file of tensors, as ``wsis._support.weights`` reads it.
        folder: of the run, a new one.
        recipe: of the checkpoint's model and data set.
        settings: ``key=value``, what differs from the recipe.
        cache: of the pipeline that the run is for; None takes the user's.

    Returns:
        The number of tensors in the checkpoint.

    Raises:
        SettingsError: if the recipe is not one of CIM's paper, or of other classes.
        WeightsError: if the checkpoint is missing, damaged or more than tensors.
        ConversionError: if the checkpoint does not fit the model.
    """
    chosen = Recipe.read(recipe)
    changed = Settings.read([*settings, f"backbone.weights={RANDOM}"], chosen.settings)
    classes = _CLASSES.get(chosen.data.name)
    if changed.freeze or classes is None:
        raise SettingsError(
            f"expected a recipe of CIM's paper, which trains the backbone on voc or "
            f"coco; {chosen.name} does not"
        )
    # The folder comes first, so that one that cannot be written costs no work.
    with new_folder(folder) as place:
        state = {
            name.removeprefix("module."): tensor
            for name, tensor in read_state(checkpoint).items()
        }
        if class_count(state) != len(classes):
            raise SettingsError(
                f"expected the {len(classes)} classes of {chosen.data.name}, "
                f"{checkpoint} has {class_count(state)}; choose a recipe of its data "
                "set"
            )
        pipeline = Pipeline.of(settings=changed, device="cpu", cache=cache)
        model = pipeline.model(len(classes), seed=0)
        load_theirs(model, state)
        tagged = Tagged(name=chosen.data.name, classes=tuple(classes), images=[])
        card = Card.of(pipeline, chosen.miner, 0, tagged, tuple(classes.values()))
        theirs = {
            "supervision": _THEIRS,
            # Their versions are not known, and ours did not train it.
            "versions": {"converted by wsis": __version__},
            "commit": None,
            "devices": (),
        }
        card.model_copy(update=theirs).save(place, model)
    return len(state)


def class_count(state: Mapping[str, Tensor]) -> int:
    """C: the classifier of a checkpoint has one output more.

    Raises:
        ConversionError: if there is no such classifier.
    """
    bias = state.get("cls_iou_model.classifier.bias")
    if bias is None or bias.ndim != 1 or len(bias) < 2:
        raise ConversionError(
            "expected cls_iou_model.classifier.bias in a checkpoint of CIM's authors; "
            f"it holds {few(list(state))}"
        )
    return len(bias) - 1


def load_theirs(model: Model, state: Mapping[str, Tensor]) -> None:
    """Loads a checkpoint of CIM's authors into a model, in place.

    All of the model must be in the checkpoint and, but for what their network does not
    compute with, all of the checkpoint in the model. Counters of batches that norms
    have seen may be missing, as they count for nothing.

    Raises:
        ConversionError: otherwise; names the tensors and their shapes.
    """
    wanted = model.state_dict()
    found: dict[str, str] = {}
    unknown = []
    for theirs in state:
        if theirs.startswith(_UNUSED):
            continue
        ours = _ours(theirs)
        if ours not in wanted:
            unknown.append(theirs)
        elif ours in found:
            raise ConversionError(f"{found[ours]} and {theirs} are the same layer")
        else:
            found[ours] = theirs
    missing = [key for key in wanted if key not in found and not key.endswith(COUNTERS)]
    shapes = [
        f"{found[key]}: expected {tuple(wanted[key].shape)}, got "
        f"{tuple(state[found[key]].shape)}"
        for key in found
        if wanted[key].shape != state[found[key]].shape
    ] + [
        f"{name}: expected real numbers, got {state[name].dtype}"
        for key, name in found.items()
        if wanted[key].is_floating_point() > state[name].is_floating_point()
    ]
    problems = [
        *([f"it lacks {few(missing)}"] if missing else []),
        *([f"it has no use for {few(unknown)}"] if unknown else []),
        *([f"other shapes: {'; '.join(shapes[:3])}"] if shapes else []),
    ]
    if problems:
        raise ConversionError(
            f"the checkpoint is not of this model: {'; '.join(problems)}"
        )
    model.load_state_dict(
        {key: state[found[key]] if key in found else wanted[key] for key in wanted}
    )


def _ours(theirs: str) -> str | None:
    for pattern, ours in _NAMES:
        renamed, count = re.subn(f"^{pattern}", ours, theirs)
        if count:
            return renamed
    return None
