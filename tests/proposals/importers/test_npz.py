import pickle

import numpy as np
import pytest
import torch

from tests.builders import random_masks, random_proposals
from tests.proposals.test_packing import assert_same
from wsis._support.checks import InputWarning
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
    with pytest.warns(InputWarning, match="masks without a pixel are left out"):
        found = scored.read(SIZE)
    assert found.objectness.tolist() == pytest.approx([0.3, 0.2, 0.1])
    assert np.array_equal(dense(found, torch.arange(3)), masks[[1, 2, 0]])
    with pytest.warns(InputWarning, match="masks without a pixel are left out"):
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
        ({"masks": np.ones((3, 4))}, "boxes. masks are wanted"),
        ({"masks": np.ones((2, 1, 6, 7))}, r"expected masks \(N, H, W\), got \(2, 1"),
        ({"masks": np.ones((2, 7, 6))}, "6 x 7 pixels.*7 x 6: width x height. transp"),
        ({"masks": np.ones((6, 7, 2))}, r"last axis. save masks.transpose\(2, 0, 1\)"),
        ({"masks": np.ones((2, 3, 4))}, "masks of 6 x 7 pixels .* got 3 x 4$"),
        ({"masks": np.full((2, 6, 7), "a")}, "masks of numbers, got <U1"),
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
        (
            {"regions": np.zeros(SIZE, int), "members": np.array([[0.5], [0.1]])},
            "members of two values, 0 and another, got values from 0.5 to 0.5: prob",
        ),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, content, message):
    np.savez(tmp_path / "a.npz", **content)

    with pytest.raises(ValueError, match=message):
        read(tmp_path / "a.npz")


def test_a_mask_has_two_values(tmp_path):
    masks = random_masks(4, SIZE, seed=0).numpy()[:3]
    masks[0] = True

    for kind in (bool, np.uint8, np.int64, np.float16, np.float64):
        for high in {bool: [1], np.uint8: [1, 255, 9]}.get(kind, [1, 255]):
            stack = masks.astype(kind) * kind(high)
            if high == 9:
                stack[0] = 255
            np.savez(tmp_path / "a.npz", masks=stack)
            found = read(tmp_path / "a.npz")
            assert np.array_equal(dense(found, torch.arange(3)), masks)


@pytest.mark.parametrize(
    ("inside", "outside", "kind", "message"),
    [
        # Case 14: the sigmoid of 4 and of -4, and these themselves.
        (0.982, 0.018, "f4", "values from 0.018 to 0.982: probabilities. threshold"),
        (4, -4, "f4", "values from -4 to 4: logits. threshold them first"),
        (0.5, 0.5, "f4", "values from 0.5 to 0.5: probabilities"),
        (2, 1, "u1", "the values 1, 2: numbers of objects"),
        (7, 7, "u1", "the values 7: numbers of objects"),
        (np.nan, 0, "f4", "values that are not finite"),
        (np.inf, 0, "f4", "values that are not finite"),
    ],
)
def test_a_soft_mask_is_refused(tmp_path, inside, outside, kind, message):
    masks = np.where(random_masks(1, SIZE, seed=2).numpy(), inside, outside)
    np.savez(tmp_path / "a.npz", masks=masks.astype(kind))

    with pytest.raises(
        ValueError, match=f"a.npz: expected masks of two values.*got {message}"
    ):
        read(tmp_path / "a.npz")


def test_a_map_of_labels_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", masks=np.arange(42).reshape(1, *SIZE))
    with pytest.raises(ValueError, match="values from 0 to 41: numbers of objects, or"):
        read(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", masks=np.arange(42).reshape(1, *SIZE) % 3)
    with pytest.raises(ValueError, match="the values 0, 1, 2: numbers of objects, or"):
        read(tmp_path / "a.npz")


def test_scores_are_numbers_by_either_name(tmp_path):
    masks, path = random_masks(2, SIZE, seed=0).numpy(), tmp_path / "a.npz"
    np.savez(path, masks=masks, score=np.array([0.25, 0.5]))
    assert read(path).objectness.tolist() == [0.5, 0.25]
    for scores in (np.array(["a", "b"]), np.array([1j, 2])):
        np.savez(path, masks=masks, scores=scores)
        with pytest.raises(ValueError, match="expected numbers as scores"):
            read(path)


def test_records_are_no_masks(tmp_path):
    np.savez(tmp_path / "a.npz", masks=np.zeros((1, *SIZE), [("a", "i4")]))

    with pytest.raises(ValueError, match="expected masks of numbers"):
        read(tmp_path / "a.npz")
