import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from tests.builders import random_masks
from wsis._support.checks import InputWarning
from wsis.geometry.masks import dense
from wsis.proposals.importers._png import png

SIZE = (6, 7)


def draw(path, mask, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Pillow.fromarray(mask.astype(np.uint8) * 255)
    if mode == "P":
        picture = Pillow.fromarray(mask.astype(np.uint8), mode="L")
        picture.putpalette([0, 0, 0, 9, 9, 9])
    picture.convert(mode).save(path)


def masks_of(found):
    proposals = found.read(SIZE)
    return dense(proposals, torch.arange(len(proposals))).numpy()


@pytest.fixture
def masks():
    return random_masks(12, SIZE, seed=1).numpy()


@pytest.mark.parametrize("mode", ["L", "1", "RGB", "RGBA", "LA"])
def test_a_folder_a_photo_in_the_order_of_numbers(tmp_path, masks, mode):
    for i, mask in enumerate(masks):
        draw(tmp_path / "b" / f"{i}.png", mask, mode)
    draw(tmp_path / "a.b" / "mask_3.png", masks[3], mode)
    (tmp_path / "empty").mkdir()

    first, second = png(tmp_path, ())

    assert (first.photo, second.photo) == ("a.b", "b")
    assert np.array_equal(masks_of(second), masks)
    assert np.array_equal(masks_of(first), masks[3:4])


def test_a_png_a_mask_for_photos_whose_names_end_in_numbers(tmp_path, masks):
    for i in (0, 1, 10):
        draw(tmp_path / f"2007_000032_{i}.png", masks[i])
    draw(tmp_path / "2007_000033.png", masks[5])

    first, second = png(tmp_path, {"2007_000032", "2007_000033"})

    assert (first.photo, second.photo) == ("2007_000032", "2007_000033")
    assert np.array_equal(masks_of(first), masks[[0, 1, 10]])
    assert np.array_equal(masks_of(second), masks[5:6])


def test_a_palette_counts_by_its_index(tmp_path, masks):
    picture = Pillow.fromarray(masks[0].astype(np.uint8))
    picture.putpalette([200, 0, 0, 0, 0, 0])
    picture.save(tmp_path / "a_0.png")

    [found] = png(tmp_path, {"a"})

    assert np.array_equal(masks_of(found), masks[:1])


def test_masks_without_a_pixel_are_left_out(tmp_path, masks):
    draw(tmp_path / "a" / "0.png", masks[0] & False)
    draw(tmp_path / "a" / "1.png", masks[1])

    [found] = png(tmp_path, ())

    with pytest.warns(InputWarning, match="masks without a pixel are left out"):
        assert np.array_equal(masks_of(found), masks[1:2])


def test_a_mask_that_may_be_of_two_photos_is_told(tmp_path, masks):
    for name in ("a_0", "a_1"):
        draw(tmp_path / f"{name}.png", masks[1])

    with pytest.warns(InputWarning, match=r"1 masks have the name of one photo .*a_1"):
        found = png(tmp_path, {"a", "a_1"})

    assert [one.photo for one in found] == ["a", "a_1"]


def grey(mask):
    return np.where(mask, 200, 30).astype(np.uint8)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (grey, "the values 30, 200: numbers of objects, or grey levels"),
        (lambda mask: np.arange(42).reshape(SIZE).astype(np.uint8), "from 0 to 41"),
        (lambda mask: np.dstack([grey(mask)] * 3), "the values 30, 200"),
        (
            lambda mask: np.dstack([grey(mask), grey(~mask), 0 * grey(mask)]),
            "two colours, black and another, got 2: several objects",
        ),
        (
            lambda mask: np.dstack([0 * grey(mask)] * 3 + [grey(mask)]),
            "the mask is in its transparency; save it as grey",
        ),
    ],
)
def test_a_soft_or_numbered_mask_is_refused(tmp_path, masks, pixels, message):
    path = tmp_path / "a" / "0.png"
    path.parent.mkdir()
    Pillow.fromarray(pixels(masks[1])).save(path)
    [found] = png(tmp_path, ())

    with pytest.raises(ValueError, match=f"0.png: .*{message}"):
        found.read(SIZE)


def test_a_mask_has_any_colour(tmp_path, masks):
    path = tmp_path / "a" / "0.png"
    path.parent.mkdir()
    Pillow.fromarray(masks[1][..., None] * np.uint8([9, 0, 200])).save(path)
    [found] = png(tmp_path, ())

    assert np.array_equal(masks_of(found), masks[1:2])


def test_what_does_not_fit_is_refused(tmp_path, masks):
    draw(tmp_path / "a" / "0.png", masks[0].T)
    [found] = png(tmp_path, ())
    with pytest.raises(ValueError, match=r"0\.png: expected a mask of 6 x 7 pixels"):
        found.read(SIZE)
    (tmp_path / "a" / "0.png").write_bytes(b"none")
    with pytest.raises(ValueError, match=r"0\.png: not a PNG, or damaged"):
        found.read(SIZE)
    with pytest.raises(ValueError, match="is a file"):
        png(tmp_path / "a" / "0.png", ())
    with pytest.raises(FileNotFoundError):
        png(tmp_path / "none", ())
    (tmp_path / "a" / "0.png").unlink()
    with pytest.raises(ValueError, match=r"expected \.png files"):
        png(tmp_path, ())


def test_suffixes_count_in_any_case_and_masks_beside_folders_are_told(tmp_path, masks):
    draw(tmp_path / "a" / "0.PNG", masks[0])
    draw(tmp_path / "a" / "1.png", masks[1])
    draw(tmp_path / "a_2.png", masks[2])

    with pytest.warns(InputWarning, match=r"1 PNGs beside .* left out: a_2\.png"):
        [found] = png(tmp_path, ())

    assert np.array_equal(masks_of(found), masks[:2])
