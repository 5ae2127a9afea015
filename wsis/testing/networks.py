"""Checks of backbones, heads and cues, on small drawn maps."""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wsis.contracts import (
    Backbone,
    CueLabeller,
    CueSource,
    Points,
    ProposalHead,
    Proposals,
    TaggedImage,
    Tracing,
)
from wsis.features.scale import Scale
from wsis.features.views import view
from wsis.geometry.masks import empty, select
from wsis.geometry.overlap import overlaps
from wsis.testing._drawn import order, photo, random_proposals
from wsis.testing._expecting import expect, expect_protocol
from wsis.testing.pixels import expect_ledger


def check_backbone(backbone: Backbone) -> None:
    """Check that a backbone's maps have the channels and the stride that it tells.

    Raises:
        AssertionError: if they have not.
    """
    expect_protocol(backbone, Backbone)
    expect_ledger(backbone, backbone.ledger)
    numbers = len(backbone.mean), len(backbone.std)
    expect(numbers == (3, 3), backbone, f"mean and std of 3 channels, got {numbers}")
    side = 2 * backbone.stride
    with torch.no_grad():
        found = backbone(torch.zeros(1, 3, side, side))
    shape, wanted = tuple(found.shape), (1, backbone.channels, 2, 2)
    expect(shape == wanted, backbone, f"a map {wanted} of {side} pixels, got {shape}")
    expect(found.isfinite().all(), backbone, "finite features")


def check_head(head: ProposalHead, channels: int) -> None:
    """Check that a head gives its width of numbers for every proposal, in any order.

    Args:
        head: made for maps of ``channels`` channels; it describes no pixels.
        channels: D, of the feature map.

    Raises:
        AssertionError: if it does not.
    """
    expect_protocol(head, ProposalHead)
    generator = torch.Generator().manual_seed(0)
    proposals, by = random_proposals(9, size=(32, 48)), order(1, 9)
    feature_map = torch.rand(channels, 2, 3, generator=generator)
    pooled = head.pool(view(feature_map, proposals, Scale(48)))
    moved = head.pool(view(feature_map, select(proposals, by), Scale(48)))
    expect(len(pooled) == 9, head, f"pool to give 9 vectors, got {len(pooled)}")
    text = "pool without weights, as pooled features are kept between runs"
    expect(not pooled.requires_grad, head, text)
    text = "pooled features to follow their proposals in any order"
    expect(torch.allclose(pooled[by], moved, atol=1e-5), head, text)
    found = head(pooled)
    shape, wanted = tuple(found.shape), (9, head.width)
    expect(shape == wanted, head, f"numbers of shape {wanted}, got {shape}")
    expect(found.isfinite().all(), head, "finite numbers")


SIZE, CLASSES = (16, 24), 3


def check_cues(cues: CueSource, *, seeds: Iterable[int] = range(6)) -> None:
    """Check that cues label clusters of proposals of the photo's classes.

    A proposal belongs to one cluster at most, and a cluster to one class; labels follow
    their proposals in any order; copies have one label; no proposal and a single one
    are labelled as well. Cues that label nothing pass.

    Raises:
        AssertionError: if they do not; the message names the problem.
    """
    expect_protocol(cues, CueSource)
    expect_ledger(cues, cues.ledger)
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(12, 5, 4, 6, generator=generator)
    tags = torch.rand(12, CLASSES, generator=generator) > 0.5
    tags[:, 1], tags[0] = True, torch.tensor([True, False, True])
    fitted = cues.fit(list(maps), tags, generator)
    if fitted is None:
        return
    labeller = fitted.through(_spread) if isinstance(fitted, Tracing) else fitted
    points = torch.tensor([[3.0, 5.0], [9, 12]]), torch.tensor([1, 3])
    image = TaggedImage(
        id=0,
        name="drawn",
        tags=tags[0],
        load=lambda: photo(*SIZE),
        points=Points(xy=points[0], label=points[1]),
    )
    for seed in seeds:
        where, by = f" (problem {seed})", order(seed, 12)
        proposals = random_proposals(12, SIZE, seed)
        found = _labels(labeller, image, maps[0], proposals)
        shape = tuple(found.shape)
        text = f"labels of shape {(12, CLASSES + 1)}, got {shape}{where}"
        expect(shape == (12, CLASSES + 1), cues, text)
        once = (found > 0).sum(1) <= 1
        expect(once.all(), cues, f"one cluster a proposal at most{where}")
        absent = found[:, 1:][:, ~tags[0]]
        expect(not absent.any(), cues, f"no label of a class that is no tag{where}")
        for number in set(found.unique().tolist()) - {0}:
            columns = (found == number).any(0).sum()
            expect(columns == 1, cues, f"cluster {number} to be of one class{where}")
        there = _labels(labeller, image, maps[0], select(proposals, by))
        text = f"labels to follow their proposals in any order{where}"
        expect(there.equal(found[by]), cues, text)
        twice = select(random_proposals(6, SIZE, seed), torch.arange(12) % 6)
        found = _labels(labeller, image, maps[0], twice)
        expect(found[:6].equal(found[6:]), cues, f"copies to have one label{where}")
    for few in (empty(SIZE), random_proposals(1, SIZE)):
        shape = tuple(_labels(labeller, image, maps[0], few).shape)
        wanted = (len(few), CLASSES + 1)
        expect(shape == wanted, cues, f"labels of shape {wanted}, got {shape}")


def _labels(
    labeller: CueLabeller,
    image: TaggedImage,
    feature_map: Float[Tensor, "D h w"],
    proposals: Proposals,
) -> Int[Tensor, "N C1"]:
    return labeller(image, feature_map, proposals, overlaps(proposals))


def _spread(
    image: TaggedImage, gradients: Float[Tensor, "P D h w"]
) -> Float[Tensor, "P H W"]:
    """Spread each cell's gradient over four by four pixels."""
    del image
    flat = gradients.abs().sum(1) + 1e-3
    fine = flat.repeat_interleave(4, 1).repeat_interleave(4, 2)
    return fine / fine.sum((1, 2), keepdim=True)
