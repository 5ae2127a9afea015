"""The supervision ledger: which part of a run consumed which labels."""

from collections.abc import Iterable

from wsis.contracts import Ledger, Supervision
from wsis.runs.pipeline import Pipeline

IMAGE_LEVEL, NOT_IMAGE_LEVEL = "image-level", "not image-level"

_IMAGE_LEVEL = {Supervision.TAGS, Supervision.IMAGENET, Supervision.BOUNDARIES}


def ledger(pipeline: Pipeline) -> dict[str, list[str]]:
    """The labels by part; parts that consume none are left out."""
    return {part: sorted(labels) for part, labels in pipeline.ledgers.items() if labels}


def by_label(ledgers: Iterable[dict[str, list[str]]]) -> dict[str, list[str]]:
    """The parts by label, of several runs together."""
    found: dict[str, set[str]] = {}
    for of_run in ledgers:
        for part, labels in of_run.items():
            for label in labels:
                found.setdefault(label, set()).add(part)
    return {label: sorted(parts) for label, parts in sorted(found.items())}


def level(labels: Ledger | Iterable[str]) -> str:
    """``image-level``, or ``not image-level`` where points or masks were consumed.

    Class labels of ImageNet and contours of another data set are counted as image-level
    here, as the field does; the ledger names them.
    """
    allowed = {str(label) for label in _IMAGE_LEVEL}
    return IMAGE_LEVEL if {str(x) for x in labels} <= allowed else NOT_IMAGE_LEVEL
