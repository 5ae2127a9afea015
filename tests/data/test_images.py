import io
import struct
import warnings
import zlib
from functools import partial

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import PngImagePlugin

from wsis import InputWarning
from wsis.data.images import (
    check_files,
    images_in,
    pixels_of,
    read_all,
    read_image,
    readings,
)

RED = (255, 0, 0)


def saved(path, photo, **options):
    photo.save(path, **options)
    return path


def halves(mode, left, right):
    """A 4 x 6 photo of two colours."""
    photo = Pillow.new(mode, (6, 4), left)
    photo.paste(right, (3, 0, 6, 4))
    return photo


def test_reads_rgb_as_it_is(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)

    image = read_image(saved(tmp_path / "a.png", Pillow.fromarray(pixels)))

    assert image.dtype == np.uint8
    assert np.array_equal(image, pixels)


@pytest.mark.parametrize("mode", ["1", "L"])
def test_grey_becomes_three_equal_channels(tmp_path, mode):
    image = read_image(saved(tmp_path / "a.png", halves(mode, 0, 255)))

    assert image[0].tolist() == [[0, 0, 0]] * 3 + [[255, 255, 255]] * 3


@pytest.mark.parametrize(
    ("mode", "clear", "opaque", "shown"),
    [
        ("RGBA", (0, 0, 0, 0), (255, 0, 0, 255), (255, 0, 0)),
        ("LA", (0, 0), (80, 255), (80, 80, 80)),
    ],
)
def test_transparent_pixels_show_white(tmp_path, mode, clear, opaque, shown):
    image = read_image(saved(tmp_path / "a.png", halves(mode, clear, opaque)))

    assert image[0, [0, 5]].tolist() == [[255, 255, 255], list(shown)]


def test_palettes_with_and_without_transparency(tmp_path):
    photo = halves("RGB", RED, (0, 0, 255)).convert("P", palette=1)
    index = photo.getpixel((0, 0))

    plain = read_image(saved(tmp_path / "a.png", photo))
    clear = read_image(saved(tmp_path / "b.gif", photo, transparency=index))

    assert plain[0, [0, 5]].tolist() == [list(RED), [0, 0, 255]]
    assert clear[0, [0, 5]].tolist() == [[255, 255, 255], [0, 0, 255]]


def test_cmyk_becomes_rgb(tmp_path):
    photo = Pillow.new("CMYK", (6, 4), (0, 255, 255, 0))

    image = read_image(saved(tmp_path / "a.jpg", photo, quality=95))

    assert np.abs(image[0, 0].astype(int) - RED).max() < 12


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_are_scaled_to_eight(tmp_path, name):
    values = np.array([[0, 257, 32768, 65535]], np.uint16)

    image = read_image(saved(tmp_path / name, Pillow.fromarray(values)))

    assert image[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("most", [255, 4095])
def test_sixteen_bits_of_which_few_are_used_are_refused(tmp_path, most):
    values = np.array([[0, most // 2, most]], np.uint16)
    message = rf"up to 65535 in 16 bits, got no more than {most}, .* scale them"

    for kind, name in ((np.uint16, "a.png"), (np.int32, "b.tif")):
        path = saved(tmp_path / name, Pillow.fromarray(values.astype(kind)))
        with pytest.raises(ValueError, match=message):
            read_image(path)

    black = saved(tmp_path / "c.png", Pillow.fromarray(0 * values))
    assert not read_image(black).any()


@pytest.mark.parametrize(("bright", "dark"), [(4, True), (20, False)])
def test_a_few_bright_pixels_of_sixteen_bits_hide_no_dark_photo(tmp_path, bright, dark):
    values = np.random.default_rng(0).integers(100, 1000, (80, 64)).astype(np.uint16)
    values[0, 1], values.flat[100 : 100 + bright] = 1000, 65535
    path = saved(tmp_path / "a.png", Pillow.fromarray(values))

    if dark:
        message = r"no more than 1000 \(but for 4 of 5,120 values\), .* nearly black"
        with pytest.raises(ValueError, match=message):
            read_image(path)
    else:
        assert read_image(path).max() == 255


@pytest.mark.parametrize(("most", "dark"), [(0x0FFF, True), (0x10FF, False)])
def test_sixteen_bits_of_colour_that_use_few_are_refused(tmp_path, most, dark):
    def chunk(kind, content):
        checked = kind + content
        ends = struct.pack(">I", len(content)), struct.pack(">I", zlib.crc32(checked))
        return ends[0] + checked + ends[1]

    pixels = b"\0" + struct.pack(">6H", most, 0, 0, 0, 0, 0)
    path = tmp_path / "a.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(pixels))
        + chunk(b"IEND", b"")
    )

    if dark:
        with pytest.raises(ValueError, match="16 bits, got no more than 4095, "):
            read_image(path)
    else:
        assert read_image(path)[0].tolist() == [[16, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("kind", ["tif", "gif", "webp"])
def test_photos_of_several_pages_are_told(tmp_path, kind):
    pages = [Pillow.new("RGB", (6, 4), colour) for colour in (RED, (0, 255, 0))]
    pages[0].save(tmp_path / f"a.{kind}", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / f"b.{kind}")
    told = rf"1 of 2 photos have several pages .*a\.{kind}; save"

    with pytest.warns(InputWarning, match=told):
        images_in([tmp_path])
    with pytest.warns(InputWarning, match=told):
        readings(tmp_path, [(f"{name}.{kind}", None) for name in "ab"], upright=True)


@pytest.mark.parametrize("values", [[0, 65536], [-1, 60000]])
def test_whole_numbers_out_of_sixteen_bits_are_refused(tmp_path, values):
    path = saved(tmp_path / "a.tif", Pillow.fromarray(np.array([values], np.int32)))

    with pytest.raises(ValueError, match=rf"got {values[0]} to {values[1]}; scale"):
        read_image(path)


def test_a_pillow_image_has_the_pixels_of_its_file(tmp_path):
    exif = Pillow.Exif()
    exif[0x0112] = 6
    deep = Pillow.fromarray(np.array([[0, 257, 32768, 65535]], np.uint16))
    clear = Pillow.new("RGBA", (2, 2), (255, 0, 0, 0))
    for name, photo, more in (
        ("a.png", halves("RGB", RED, (0, 0, 255)), {"exif": exif}),
        ("b.png", deep, {}),
        ("c.png", clear, {}),
    ):
        path = saved(tmp_path / name, photo, **more)
        with Pillow.open(path) as opened:
            assert (pixels_of(opened) == read_image(path)).all()


def test_exif_turns_the_photo_unless_told_not_to(tmp_path):
    exif = Pillow.Exif()
    exif[0x0112] = 6  # turned by a quarter
    path = saved(tmp_path / "a.png", halves("RGB", RED, (0, 0, 255)), exif=exif)

    assert read_image(path).shape == (6, 4, 3)
    assert read_image(path)[0, 0].tolist() == list(RED)
    assert read_image(path, upright=False).shape == (4, 6, 3)


def test_animations_give_their_first_frame(tmp_path):
    frames = [Pillow.new("RGB", (6, 4), colour) for colour in (RED, (0, 255, 0))]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])

    assert read_image(path)[0, 0].tolist() == list(RED)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no .*gone\.jpg"):
        read_image(tmp_path / "gone.jpg")


def test_folders_are_no_photos(tmp_path):
    with pytest.raises(ValueError, match="is a folder"):
        read_image(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is an empty file"), (b"hello, world", "such as JPEG or PNG")],
)
def test_what_is_no_photo_is_named(tmp_path, content, message):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)

    with pytest.raises(ValueError, match=message):
        read_image(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_truncated_photos_are_named(tmp_path, kind):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    file = io.BytesIO()
    Pillow.fromarray(pixels).save(file, kind)
    path = tmp_path / "half.jpg"
    path.write_bytes(file.getvalue()[: len(file.getvalue()) // 2])

    with pytest.raises(ValueError, match=r"expected a whole photo, .*half\.jpg"):
        read_image(path)


def test_photos_without_pixels_are_named(tmp_path):
    def chunk(kind, body):
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    path = tmp_path / "none.png"
    header = struct.pack(">IIBBBBB", 0, 4, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 4))
        + chunk(b"IEND", b"")
    )

    with pytest.raises(ValueError, match=r"none\.png"):
        read_image(path)


def test_floating_point_photos_are_refused(tmp_path):
    photo = Pillow.fromarray(np.zeros((4, 6), np.float32))

    with pytest.raises(ValueError, match="got floating point"):
        read_image(saved(tmp_path / "a.tif", photo))


def listed(folder, *more):
    """The photos' paths in a folder, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = images_in([folder, *more])
    told = [str(one.message).removeprefix(f"{folder}: ") for one in caught]
    return [str(path.relative_to(folder)) for path in found], told


def test_patterns_give_what_they_match_by_name(tmp_path):
    for name in ("b.jpg", "a.jpg", "c.png", "in/d.jpg", "x [1].jpg", "x 1.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")

    def names(*patterns):
        return [one.name for one in images_in([tmp_path / one for one in patterns])]

    assert names("*.jpg", "a.jpg") == ["a.jpg", "b.jpg", "x 1.jpg", "x [1].jpg"]
    assert names("**/*.jpg")[2] == "d.jpg"
    assert names("[bc].*", "i?") == ["b.jpg", "c.png", "d.jpg"]
    assert names("x [1].jpg") == ["x [1].jpg"]
    with pytest.raises(FileNotFoundError, match=r"nothing matches .*/\*.gif"):
        names("a.jpg", "*.gif")


def test_a_video_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "clip.MP4").write_bytes(b"\0\0\0\x20ftypisom")

    with pytest.raises(ValueError, match=r"clip.MP4 is none, but a video; .* ffmpeg"):
        read_image(tmp_path / "clip.MP4")


def test_folders_give_their_photos_by_path_at_any_depth(tmp_path):
    for name in ("b.JPG", "a.png", "notes.txt", "._b.JPG", "deeper.png/c.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "other").write_bytes(b"")

    found = images_in([tmp_path / "other", tmp_path, tmp_path / "a.png"])

    assert [path.name for path in found] == ["other", "a.png", "b.JPG", "c.tif"]


def test_what_a_folder_leaves_out_is_counted_and_named(tmp_path):
    files = "a.png", ".b.png", ".c/d.jpg", "e.HEIC", "found/predictions.json"
    for name in (*files, "wsis-out/steps.json", "wsis-out/coco/images/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "f.png").symlink_to("a.png")
    (tmp_path / "g.png").symlink_to("gone.png")
    (tmp_path / "h").symlink_to(".")
    (tmp_path / "found/i.png").write_bytes(b"")

    found, told = listed(tmp_path, tmp_path / "a.png")

    assert found == ["a.png"]
    assert sorted(told) == [
        "folders of drawings by wsis predict are left out (1): found",
        "folders of results of wsis run are left out (1): wsis-out",
        "hidden photos are left out (2): .b.png, .c/d.jpg; rename those to use",
        "links back to a folder that holds them are left out (1): h",
        "links that lead nowhere are left out (1): g.png; fetch their files",
        "links to other photos are left out (1): f.png",
        "photos that Pillow does not read are left out (1): e.HEIC; convert to JPEG, "
        "for instance with: magick photo.heic photo.jpg",
    ]


def test_what_is_left_out_of_single_files_needs_no_folder(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "b.png").symlink_to("a.png")

    with pytest.warns(InputWarning, match="^links to other photos are left out"):
        assert images_in([tmp_path / "a.png", tmp_path / "b.png"]) == [
            tmp_path / "a.png"
        ]


def test_photos_are_known_by_suffix_or_content(tmp_path):
    photo = Pillow.new("RGB", (6, 4))
    for name, kind in (("a.jfif", "JPEG"), ("b.webp", "WEBP"), ("c", "PNG")):
        photo.save(tmp_path / name, kind)
    photo.save(tmp_path / "d.jpg_large", "JPEG")
    (tmp_path / "e.csv").write_text("file,tags")

    assert listed(tmp_path) == (["a.jfif", "b.webp", "c", "d.jpg_large"], [])


def test_a_pillow_that_lacks_a_format_knows_the_others(tmp_path, monkeypatch):
    Pillow.new("RGB", (6, 4)).save(tmp_path / "a", "PNG")
    Pillow.init()
    monkeypatch.delitem(Pillow.OPEN, "AVIF", raising=False)

    assert listed(tmp_path) == (["a"], [])


def test_a_photo_that_takes_more_memory_than_there_is_is_refused(tmp_path, monkeypatch):
    Pillow.new("RGB", (6, 4)).save(tmp_path / "a.png")

    def full(*_):
        raise MemoryError

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", full)
    with pytest.raises(ValueError, match=r"a\.png: .*more memory than there is"):
        read_image(tmp_path / "a.png")


def test_two_links_between_folders_end(tmp_path):
    for one, other in (("a", "b"), ("b", "a")):
        (tmp_path / one).mkdir()
        (tmp_path / one / f"{one}.png").write_bytes(b"")
        (tmp_path / one / "link").symlink_to(f"../{other}")

    found, _ = listed(tmp_path)

    assert sorted({name[-5:] for name in found}) == ["a.png", "b.png"]
    assert len(found) == 2


def test_heic_in_a_jpg_is_told(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))

    with pytest.raises(ValueError, match="is none, but a HEIC photo; convert"):
        read_image(path)


def test_photos_that_cannot_be_read_are_refused_together(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(b"no photo")
    reads = [partial(read_image, tmp_path / f"{i}.png") for i in range(4)]

    with pytest.raises(ValueError, match=r"4 of 4 .*0\.png.*1\.png.*2\.png.*3\.png"):
        read_all(reads)
    with pytest.raises(FileNotFoundError, match="there is no"):
        read_all(reads[3:])


def test_names_of_files_in_either_unicode_form_are_those_on_disk(tmp_path):
    (tmp_path / "e\u0301").mkdir()
    (tmp_path / "e\u0301/ka\u0308fer.png").write_bytes(b"")

    found = check_files(tmp_path, ["\u00e9/k\u00e4fer.png", "\u00e9\\k\u00e4fer.png"])

    assert found == ["e\u0301/ka\u0308fer.png"] * 2
    with pytest.raises(FileNotFoundError, match=r"1 of 1 photos .* in .*: cat.png"):
        check_files(tmp_path, ["cat.png"])


def test_folders_without_photos_and_missing_paths_are_refused(tmp_path):
    with pytest.raises(ValueError, match="found none"):
        images_in([tmp_path])
    with pytest.raises(FileNotFoundError, match="there is no"):
        images_in([tmp_path / "gone"])


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_tiff_is_read_both_ways(tmp_path, orientation):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    for name in ("a.tif", "a.png"):
        saved(tmp_path / name, Pillow.fromarray(pixels), exif=exif)
    shown = read_image(tmp_path / "a.png")
    names = [("a.tif", None)]

    [up] = readings(tmp_path, names, True)
    [stored] = readings(tmp_path, names, False)

    assert up.size == shown.shape[:2]
    assert np.array_equal(up(), shown)
    assert stored.size == (4, 6)
    assert np.array_equal(stored(), pixels)


def test_a_png_may_tell_its_orientation_after_its_pixels(tmp_path):
    exif = Pillow.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / "a.png", halves("RGB", RED, (0, 0, 255)), exif=exif)
    content = path.read_bytes()
    start = content.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(content[start : start + 4], "big")
    rest = content[:start] + content[end:]
    path.write_bytes(rest[:-12] + content[start:end] + rest[-12:])

    [read] = readings(tmp_path, [("a.png", None)], True)

    assert read.size == read().shape[:2] == (6, 4)


def test_a_name_in_another_case_is_hinted_at(tmp_path):
    saved(tmp_path / "a.JPG", halves("RGB", RED, RED))

    with pytest.raises(FileNotFoundError, match=r"did you mean 'a\.JPG'\?"):
        check_files(tmp_path, ["A.jpg"])


@pytest.mark.parametrize("name", ["photos/a.jpg", "C:\\photos\\a.JPG", "a"])
def test_a_name_with_another_folder_or_without_suffix_is_hinted_at(tmp_path, name):
    saved(tmp_path / "a.jpg", halves("RGB", RED, RED))
    (tmp_path / "tags.csv").write_text("")

    with pytest.raises(FileNotFoundError, match=r"did you mean 'a\.jpg'\?"):
        check_files(tmp_path, [name])
