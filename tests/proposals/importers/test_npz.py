import pickle

import numpy as np
import pytest
import torch

from tests.builders import random_masks, random_proposals
from tests.proposals.test_packing import assert_same
from wsis.geometry.masks import dense
from wsis.proposals.importers._npz import npz

SIZE = (6, 7)


def read(path):
    [found] = npz(path, ())
    return found.read(SIZE)


def test_masks_and_scores(tmp_path):
    masks = random_masks(4, SIZE, seed=0).numpy()
    masks[3] = False
    scores = np.array([0.1, 0.3, 0.2, 0.9])
    np.savez_compressed(tmp_path / "b.npz", masks=masks, scores=scores)
    np.savez(tmp_path / "a.npz", masks=masks.astype(np.uint8) * 255)

    plain, scored = npz(tmp_path, ())

    assert (plain.photo, scored.photo) == ("a", "b")
    found = scored.read(SIZE)
    assert found.objectness.tolist() == pytest.approx([0.3, 0.2, 0.1])
    assert np.array_equal(dense(found, torch.arange(3)), masks[[1, 2, 0]])
    found = plain.read(SIZE)
    assert np.array_equal(dense(found, torch.arange(3)), masks[:3])


def test_regions_and_members(tmp_path):
    expected = random_proposals(9)
    np.savez(
        tmp_path / "a.npz",
        regions=expected.regions.numpy().astype(np.int16),
        members=expected.members.numpy(),
    )

    assert_same(read(tmp_path / "a.npz"), expected)


def test_objects_are_refused_with_the_reason(tmp_path):
    np.savez(tmp_path / "a.npz", masks=np.array([{"a": 1}, None], dtype=object))

    with pytest.raises(ValueError, match="are pickles: reading one runs whatever code"):
        read(tmp_path / "a.npz")


class Trap:
    def __reduce__(self):
        return exec, ("raise SystemExit('code ran')",)


def test_no_code_runs(tmp_path):
    np.savez(tmp_path / "a.npz", masks=np.array([Trap()], dtype=object))
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Trap()))

    for name in ("a.npz", "b.npz"):
        with pytest.raises(ValueError, match="pickle"):
            read(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x": np.ones(2)}, "expected masks, or regions and members; it holds x"),
        ({"masks": np.ones((6, 7))}, r"expected masks \(N, H, W\)"),
        ({"masks": np.ones((2, 7, 6))}, "masks of 6 x 7 pixels"),
        (
            {"masks": np.ones((2, 6, 7)), "scores": np.ones(3)},
            "a score for each of 2 masks, got 3",
        ),
        (
            {"regions": np.full(SIZE, 3), "members": np.ones((2, 3))},
            "regions in 0…2, the columns of members, got 3…3",
        ),
        (
            {"regions": np.zeros(SIZE), "members": np.ones((2, 3))},
            "whole numbers as regions",
        ),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, content, message):
    np.savez(tmp_path / "a.npz", **content)

    with pytest.raises(ValueError, match=message):
        read(tmp_path / "a.npz")
