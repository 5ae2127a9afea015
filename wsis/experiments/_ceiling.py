"""The ceiling: the networks of a bench, trained by true masks in place of a miner."""

from collections.abc import Mapping, Sequence
from typing import Any

from wsis._support.checks import few, warn
from wsis.contracts import Annotated, DataSource, GroundTruth
from wsis.data.scenes.drawn import Scenes
from wsis.experiments._beside import kept_names
from wsis.runs.pipeline import Pipeline

FOLDER = ROW = "ceiling"
"""Where the runs are kept, inside the bench's folder, and the row's name in tables."""

_MINERS_OWN = "cues", "sampler", "rounds"
"""Settings that masks stand in for; they make no other ceiling."""


def names(
    pipelines: Mapping[str, Pipeline],
    wanted: bool | None,
    data: DataSource,
    *,
    folds: bool,
) -> dict[str, str]:
    """Return the name by which each variant's ceiling is kept; none without ceilings.

    Variants that differ in nothing but miner, sampler and cues have the same one.

    Args:
        pipelines: of the variants, by label.
        wanted: whether there are ceilings. None says so on drawn scenes, whose masks
            are always at hand, where one run of a seed gives it.
        data: the data set.
        folds: whether it is split into folds.
    """
    found = kept_names(ROW, {x: identity(one) for x, one in pipelines.items()})
    if wanted is None:
        single = not folds and len({*found.values()}) == 1
        wanted = isinstance(data, Scenes) and single
    return found if wanted else {}


def identity(pipeline: Pipeline) -> dict[str, Any]:
    """Return all that a ceiling's figures depend on besides the data and the seed."""
    settings = pipeline.settings.resolved()
    # Folders of before lack a class map, and mean none.
    left = (*_MINERS_OWN, *(() if settings["class_map"] else ("class_map",)))
    return {
        **{key: value for key, value in settings.items() if key not in left},
        "taught": "masks",
        "device": str(pipeline.device),
    }


def teaching(inputs: Mapping[str, str]) -> dict[str, str]:
    """Return a run's inputs without those of parts that masks stand in for."""
    replaced = tuple(f"of the {part}" for part in ("miner", "sampler", "cues"))
    return {key: value for key, value in inputs.items() if not key.endswith(replaced)}


def check_teachable(seen: Annotated, truths: Sequence[GroundTruth]) -> None:
    """Warn of tags of which no object has a mask that could teach.

    Args:
        seen: the training images.
        truths: their objects.

    Raises:
        ValueError: if that is so for all tags.
    """
    classes, all_tags = seen.tagged.classes, 0
    lacking = []
    for image, truth in zip(seen.tagged.images, truths, strict=True):
        known = {*truth.label[~truth.ignore].tolist()}
        labels = (image.tags.nonzero().flatten() + 1).tolist()
        all_tags += len(labels)
        lacking += [
            f"{image.name}: {classes[label - 1]}"
            for label in labels
            if label not in known
        ]
    if len(lacking) == all_tags:
        raise ValueError(
            "expected masks of objects on the training photos to teach the ceiling, "
            f"none of {all_tags} tags has one that is no crowd and not difficult; "
            "leave the ceiling out (--no-ceiling, ceiling=False)"
        )
    if lacking:
        warn(
            f"the ceiling is not taught {len(lacking)} of {all_tags} tags, as the "
            "training photos have no mask of theirs that is no crowd and not difficult "
            f"({few(lacking, '; ')})"
        )
