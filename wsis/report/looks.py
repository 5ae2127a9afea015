"""Pages of pictures: the proposals of a photo, the cues of a training photo."""

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from wsis.contracts import Image, Pointing, Proposals, Rle
from wsis.cues.kept import Cues
from wsis.geometry import masks
from wsis.geometry.drawing import boundaries, overlay, pointed, resized, sheet
from wsis.proposals.bags import Bag

SIDE, CUE_SIDE = 320, 420


def proposal_page(
    image: Image, proposals: Proposals, limit: int
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw the regions' boundaries, then each of the first proposals."""
    first = torch.arange(min(limit, len(proposals)))
    tiles = [resized(boundaries(image, proposals.regions.cpu().numpy()), SIDE)]
    for i, mask in enumerate(masks.rles(proposals, first)):
        caption = f"{i + 1}: {float(proposals.objectness[i]):.3g}"
        tiles.append(overlay(image, [mask], [caption], side=SIDE))
    return sheet(tiles, columns=4)


def cue_page(
    cues: Cues, bag: Bag, classes: tuple[str, ...]
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw the peaks of a training photo, then its clusters.

    Raises:
        ValueError: if the cues label nothing.
    """
    image, labels, labeller = bag.pixels, cues(bag), cues.ready()
    if labels is None:
        raise ValueError("expected cues that label, these label nothing")
    tiles = [overlay(image, [], side=CUE_SIDE)]
    if isinstance(labeller, Pointing):
        map = cues.features.map(bag, cues.scale)
        size = image.shape[0], image.shape[1]
        points = labeller.peaks(bag.image_at(size), map, size)
        tiles = [pointed(image, points, side=CUE_SIDE)]
    shown = _clusters(labels, bag.proposals, classes)
    tiles.append(overlay(image, *shown, side=CUE_SIDE))
    return sheet(tiles, columns=2)


def _clusters(
    labels: Int[Tensor, "N C1"], proposals: Proposals, classes: tuple[str, ...]
) -> tuple[list[Rle], list[str]]:
    """Return the pixels that most members of each cluster share, most trusted first."""
    found: list[Rle] = []
    captions = []
    for number in labels[:, 1:].unique().flip(0).tolist():
        rows, columns = (labels[:, 1:] == number).nonzero(as_tuple=True)
        if not number or not len(rows):
            continue
        share = proposals.members[rows].float().mean(0)
        agreed = (share >= min(0.5, float(share.max())))[proposals.regions.long()]
        found += masks.rles(masks.from_masks(agreed[None]), torch.tensor([0]))
        captions.append(f"{classes[int(columns[0])]}, {len(rows)} proposals")
    return found, captions
