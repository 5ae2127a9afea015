import numpy as np
import pytest
import torch

from wsis._support.files import Cache
from wsis.contracts import Image, ProposalSource
from wsis.geometry.masks import areas, rles, select
from wsis.geometry.overlap import cross_iou, overlaps
from wsis.plugins import find
from wsis.proposals import CachedSource, Grouping, RegionTree


def drawing(size: tuple[int, int] = (90, 120), seed: int = 0) -> Image:
    """A green disc with a red spot, and a blue bar, on noisy grey."""
    random = np.random.default_rng(seed)
    image = random.normal(120, 6, (*size, 3))
    for mask, colour in zip(
        parts(size), ([40, 160, 60], [200, 40, 40], [30, 60, 200]), strict=True
    ):
        image[mask] = colour + random.normal(0, 6, (mask.sum(), 3))
    return image.clip(0, 255).astype(np.uint8)


def parts(size: tuple[int, int] = (90, 120)) -> np.ndarray:
    y, x = np.mgrid[: size[0], : size[1]]
    disc = (x - 35) ** 2 + (y - 45) ** 2 < 25**2
    spot = (x - 35) ** 2 + (y - 45) ** 2 < 9**2
    bar = (x > 80) & (x < 95) & (y > 10) & (y < 80)
    return np.stack([disc, spot, bar])


def test_finds_parts_and_wholes():
    found = RegionTree()(drawing())

    best = cross_iou(found, torch.from_numpy(parts())).amax(0)
    assert (best > 0.85).all()


def test_pairs_are_spread_among_the_nodes():
    nodes, both = (RegionTree(nodes=40, pairs=n)(drawing()) for n in (0, 20))

    assert (len(nodes), len(both)) == (40, 60)
    assert cross_iou(both, rles(nodes, torch.arange(40))).amax(0).min() == 1
    # Among the first half are half of the nodes.
    first = select(both, torch.arange(30))
    assert (cross_iou(nodes, rles(first, torch.arange(30))).amax(0) == 1).sum() == 20


def test_is_a_set_of_distinct_proposals_best_first():
    source = RegionTree(nodes=60, pairs=20, max_overlap=0.8, min_area=0.001)

    found = source(drawing())

    assert 20 < len(found) <= 80
    assert (found.objectness.diff() <= 0).all()
    assert (overlaps(found).iou.fill_diagonal_(0) <= 0.8).all()
    assert (areas(found) >= 0.001 * 90 * 120 * 0.99).all()
    assert found.regions.unique().tolist() == list(range(found.members.shape[1]))


def test_fine_ones_are_added_to_kept_ones(tmp_path, monkeypatch):
    image, tree = drawing(), RegionTree(nodes=40, pairs=20, fine=30)
    plain = CachedSource.at(tmp_path / "plain", tree.base)
    cache = Cache(folder=tmp_path / "fine", settings={})
    expected, _ = tree(image), plain(image)

    # Nothing is made from the start any more.
    monkeypatch.setattr(RegionTree, "__call__", pytest.fail)
    found = CachedSource(tree, cache, plain)(image)

    for name in ("regions", "members", "objectness"):
        assert torch.equal(getattr(found, name), getattr(expected, name))


def test_fine_ones_are_added_to_the_others():
    plain = RegionTree(nodes=40, pairs=20)(drawing())
    fine = Grouping(count=30, max_overlap=0.9)(drawing())

    both = RegionTree(nodes=40, pairs=20, fine=30)(drawing())

    assert len(both) == len(plain) + len(fine)
    assert both.source == "region_tree"
    assert (both.objectness.diff() <= 0).all()
    for part in (plain, fine):
        masks = rles(part, torch.arange(len(part)))
        assert (cross_iou(both, masks).amax(0) == 1).all()
    assert both.regions.unique().tolist() == list(range(both.members.shape[1]))


def test_the_same_image_gives_the_same_proposals():
    first, second = (RegionTree(nodes=50)(drawing()) for _ in range(2))

    assert torch.equal(first.regions, second.regions)
    assert torch.equal(first.members, second.members)


def test_large_images_are_worked_on_small_and_answered_in_full():
    found = RegionTree(side=60)(drawing())

    assert found.size == (90, 120)
    assert cross_iou(found, torch.from_numpy(parts())).amax(0)[0] > 0.8


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 2), (40, 3)])
@pytest.mark.parametrize("seed", [None, 0])
def test_the_smallest_and_the_plainest_images(size, seed):
    image = np.zeros((*size, 3), np.uint8)
    if seed is not None:
        image = np.random.default_rng(seed).integers(0, 256, image.shape, np.uint8)

    found = RegionTree()(image)

    assert len(found) >= 1
    assert found.size == size


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("nodes", 0),
        ("pairs", -1),
        ("side", 8),
        ("superpixels", 0),
        ("neighbours", -1),
        ("sigma", 0.0),
        ("min_area", 1.0),
        ("max_overlap", 0.0),
    ],
)
def test_refuses_settings_out_of_range(setting, value):
    with pytest.raises(ValueError, match=f"{setting} must be .*got {value}"):
        RegionTree(**{setting: value})


def test_is_installed_and_needs_no_labels():
    source: ProposalSource = find("sources", "region_tree")()

    assert source.ledger == frozenset()
