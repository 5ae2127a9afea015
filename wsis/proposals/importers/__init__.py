"""Read proposals that others made, and tell what they were made with."""

from collections.abc import Mapping

from wsis.contracts import Supervision
from wsis.proposals.importers._coco import coco, stated_ledger
from wsis.proposals.importers._found import Format, Found, Importer
from wsis.proposals.importers._mat import mat
from wsis.proposals.importers._matching import matched, reading
from wsis.proposals.importers._npz import npz
from wsis.proposals.importers._png import png

FORMATS: Mapping[str, Format] = {
    # Pont-Tuset et al., PAMI 2017: contours learned on BSDS500 (section 3), Pareto
    # front and ranking on the masks of Pascal's segmentation data (sections 6 and 7).
    "mcg": Format(
        importer=mat,
        ledger=frozenset({Supervision.BOUNDARIES, Supervision.MASKS}),
    ),
    # Maninis et al., PAMI 2018: a network from ImageNet's classes, contours from the
    # masks of Pascal Context (section 3), then MCG's grouping and ranking.
    "cob": Format(
        importer=mat,
        ledger=frozenset(
            {Supervision.BOUNDARIES, Supervision.IMAGENET, Supervision.MASKS}
        ),
    ),
    "mat": Format(importer=mat),
    "coco": Format(importer=coco, stated=stated_ledger),
    "png": Format(importer=png),
    "npz": Format(importer=npz),
}
"""The formats by name; the user states the ledger of those that have none."""

__all__ = [
    "FORMATS",
    "Format",
    "Found",
    "Importer",
    "matched",
    "reading",
]
