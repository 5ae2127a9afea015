import numpy as np
import pytest
import torch
from scipy.io import savemat

from tests.builders import random_masks
from wsis._support import matlab
from wsis._support.checks import InputWarning
from wsis.geometry.masks import dense
from wsis.proposals.importers import _mat
from wsis.proposals.importers._mat import mat

h5py = pytest.importorskip("h5py")

SUPERPIXELS = np.array([[1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]], np.uint16)
LABELS = ([1, 2], [3], [2, 4])
SCORES = [0.5, 0.25, 0.75]


def cell(rows):
    """A Matlab cell array, a column."""
    cells = np.empty((len(rows), 1), dtype=object)
    for i, row in enumerate(rows):
        cells[i, 0] = row
    return cells


def save73(path, variables):
    """As Matlab's save(..., '-v7.3') does: axes in reverse, cells as references."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            if value.dtype == object:
                inside = file.require_group("#refs#")
                refs = []
                for i, one in enumerate(value.flat):
                    data = inside.create_dataset(f"{name}{i}", data=np.asarray(one).T)
                    refs.append(data.ref)
                grid = np.array(refs, dtype=h5py.ref_dtype).reshape(value.T.shape)
                file.create_dataset(name, data=grid, dtype=h5py.ref_dtype)
            else:
                file.create_dataset(name, data=value.T)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512))


@pytest.fixture(params=["5", "7.3"])
def save(request):
    return savemat if request.param == "5" else save73


def masks_of(proposals):
    return dense(proposals, torch.arange(len(proposals))).int().tolist()


def read(path, size=(3, 4)):
    [found] = mat(path, ())
    return found.read(size)


def test_superpixels_and_labels(tmp_path, save):
    rows = cell([np.array([row], np.uint32) for row in LABELS])
    scores = np.array([SCORES]).T
    content = {"superpixels": SUPERPIXELS, "labels": rows, "scores": scores}
    save(tmp_path / "a.mat", content)
    save(tmp_path / "b.mat", {"superpixels": SUPERPIXELS, "labels": rows})

    [first, second] = mat(tmp_path, ())

    assert (first.photo, second.photo) == ("a", "b")
    proposals = first.read((3, 4))
    assert proposals.objectness.tolist() == [0.75, 0.5, 0.25]
    assert masks_of(proposals) == [
        [[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]],
        [[1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]],
        [[0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]],
    ]
    assert masks_of(second.read((3, 4)))[0][0] == [1, 1, 1, 1]


def test_masks_in_a_cell_array_or_a_stack(tmp_path, save):
    masks = random_masks(5, (6, 7), seed=3).numpy()
    masks[2] = False
    save(tmp_path / "cells.mat", {"maskmat": cell(list(masks.astype(np.uint8)))})
    save(tmp_path / "stack.mat", {"maskmat": masks.transpose(1, 2, 0).astype(float)})
    save(tmp_path / "one.mat", {"maskmat": masks[0].astype(np.uint8)})

    kept = masks[[0, 1, 3, 4]].astype(int).tolist()
    for name in ("cells", "stack"):
        with pytest.warns(InputWarning, match="masks without a pixel are left out"):
            found = read(tmp_path / f"{name}.mat", (6, 7))
        assert masks_of(found) == kept
    assert masks_of(read(tmp_path / "one.mat", (6, 7))) == kept[:1]


def test_pixels_of_no_superpixel_and_superpixels_of_no_pixel(tmp_path):
    regions = np.array([[0, 1, 5]], np.uint16)
    content = {"superpixels": regions, "labels": cell([[1, 2], [2], [5]])}
    savemat(tmp_path / "a.mat", content)

    with pytest.warns(InputWarning, match="masks without a pixel are left out"):
        found = read(tmp_path / "a.mat", (1, 3))
    assert masks_of(found) == [[[0, 1, 0]], [[0, 0, 1]]]


def test_no_proposal_at_all(tmp_path):
    savemat(tmp_path / "a.mat", {"superpixels": SUPERPIXELS, "labels": cell([])})

    assert len(read(tmp_path / "a.mat")) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x": np.zeros(2)}, "expected superpixels and labels, or maskmat; it holds x"),
        (
            {"superpixels": SUPERPIXELS, "labels": cell([[1, 9]])},
            "labels in 1…4, proposal 0 has 1…9",
        ),
        (
            {"superpixels": SUPERPIXELS.T, "labels": cell([[1]])},
            "superpixels of 3 x 4 pixels",
        ),
        ({"maskmat": cell([SUPERPIXELS.T])}, "masks of 3 x 4 pixels"),
        ({"maskmat": np.ones((4, 3, 2))}, "masks of 3 x 4 pixels"),
        (
            {"superpixels": SUPERPIXELS, "labels": cell([[1]]), "scores": np.ones(2)},
            "a score for each of 1 masks, got 2",
        ),
        (
            {"maskmat": cell([SUPERPIXELS > 1]), "scores": np.array([np.nan])},
            "finite scores",
        ),
        (
            {"maskmat": cell([SUPERPIXELS])},
            "masks of two values, 0 and another, got the values 1, 2, 3, 4: numbers of",
        ),
        (
            {"maskmat": cell([SUPERPIXELS / 5.0])},
            "got values from 0.2 to 0.8: probabilities. threshold them first",
        ),
        (
            {"maskmat": (SUPERPIXELS - 2.5)[..., None].repeat(2, 2)},
            "got values from -1.5 to 1.5: logits. threshold them first",
        ),
        (
            {"superpixels": SUPERPIXELS + 0.5, "labels": cell([[1]])},
            "whole numbers as superpixels, got float64",
        ),
        (
            {"superpixels": SUPERPIXELS, "labels": cell([[0.5, 1]])},
            "whole numbers as labels, got float64",
        ),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, content, message):
    savemat(tmp_path / "a.mat", content)

    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path / "a.mat")
    assert "a.mat" in str(caught.value)


@pytest.mark.parametrize("head", [b"", b"nonsense", b"\x89HDF\r\n\x1a\nrest"])
def test_damaged_files_are_named(tmp_path, head):
    (tmp_path / "a.mat").write_bytes(head)

    with pytest.raises(ValueError, match=r"a\.mat: not a Matlab file, or damaged"):
        read(tmp_path / "a.mat")


def test_large_arrays_have_the_photos_size(tmp_path, save, monkeypatch):
    for module in (matlab, _mat):
        monkeypatch.setattr(module, "BUDGET", 2**10)
    masks = np.zeros((40, 50, 2), np.uint8)
    masks[:9, :9] = 1
    save(tmp_path / "a.mat", {"maskmat": masks})

    assert len(read(tmp_path / "a.mat", (40, 50))) == 2
    with pytest.raises(ValueError, match=r"a\.mat.* unfolds to more than 0 MiB"):
        read(tmp_path / "a.mat", (50, 40))


def test_names_may_be_no_text(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file[b"a\xff"] = 1.0

    with pytest.raises(ValueError, match=r"or maskmat; it holds .*a.*xff"):
        read(tmp_path / "a.mat")


def test_pickles_are_refused_with_the_reason(tmp_path):
    (tmp_path / "cob.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")

    for path in (tmp_path, tmp_path / "cob.pkl"):
        with pytest.raises(ValueError, match="reading one runs whatever code it holds"):
            mat(path, ())
    with pytest.raises(FileNotFoundError, match="there is no"):
        mat(tmp_path / "none", ())


def test_text_is_neither_label_nor_score(tmp_path):
    labels = np.empty(1, object)
    labels[0] = np.array(["a"])
    savemat(tmp_path / "a.mat", {"superpixels": np.ones((3, 4)), "labels": labels})
    [found] = mat(tmp_path, ())

    with pytest.raises(ValueError, match="expected whole numbers as labels"):
        found.read((3, 4))
