"""Videos are drawn and written here, by PyAV."""

import sys
import tracemalloc
from fractions import Fraction
from io import BytesIO

import av
import numpy as np
import pytest
from PIL import Image as Pillow

from wsis import InputWarning
from wsis.data import frames, images_in, read_image
from wsis.data.videos import write_frames

WIDTH, HEIGHT = 64, 48


def picture(grey):
    """A photo whose left half is grey and whose upper right quarter is red."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:, : WIDTH // 2] = grey
    pixels[: HEIGHT // 2, WIDTH // 2 :] = 255, 0, 0
    return pixels


def film(path, times, aspect=None, pictures=None):
    """Write a video whose frame i, grey of 5 i, is shown at its time in seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=100)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.bit_rate = 4_000_000
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for i, time in enumerate(times):
            grey = 5 * i % 250
            frame = av.VideoFrame.from_ndarray(picture(grey), format="rgb24")
            frame.pts, frame.time_base = round(time * 100), Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def tenths(count):
    return [i / 10 for i in range(count)]


def grey(image):
    return float(image[:, : WIDTH // 2 - 4].mean())


def test_a_frame_a_second_is_what_was_drawn_there(tmp_path):
    found = list(frames(film(tmp_path / "clip.mp4", tenths(35))))

    assert [one.number for one in found] == [0, 10, 20, 30]
    assert [one.seconds for one in found] == pytest.approx([0, 1, 2, 3])
    for one in found:
        assert one.image.dtype == np.uint8
        assert one.image.shape == (HEIGHT, WIDTH, 3)
        assert grey(one.image) == pytest.approx(5 * one.number, abs=4)


@pytest.mark.parametrize(
    ("every", "numbers"),
    [(0, list(range(12))), (0.3, [0, 3, 6, 9]), (0.25, [0, 3, 5, 8, 10]), (60, [0])],
)
def test_every_tells_the_time_between_frames(tmp_path, every, numbers):
    clip = film(tmp_path / "clip.mkv", tenths(12))

    assert [one.number for one in frames(clip, every)] == numbers


def test_times_may_vary_and_begin_anywhere(tmp_path):
    clip = film(tmp_path / "clip.mp4", [5, 5.1, 5.9, 6.2, 9.5, 9.6, 10.1])

    found = [(one.number, round(one.seconds, 2)) for one in frames(clip)]

    assert found == [(0, 0), (3, 1.2), (4, 4.5), (6, 5.1)]


@pytest.mark.parametrize(
    ("matrix", "quarters"),
    [((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)],
)
def test_a_turned_video_is_shown_upright(tmp_path, matrix, quarters):
    """A phone held upright writes the first matrix: a turn clockwise."""
    clip = film(tmp_path / "clip.mp4", tenths(2))
    content = bytearray(clip.read_bytes())
    begin = content.index(b"tkhd") + 4 + 40  # ISO/IEC 14496-12, 8.3.2
    a, b, c, d = (int(x * 65536).to_bytes(4, signed=True) for x in matrix)
    zero = bytes(4)
    content[begin : begin + 32] = a + b + zero + c + d + zero + zero + zero
    clip.write_bytes(content)

    [one] = frames(clip)

    wanted = np.rot90(picture(0), quarters).astype(int)
    assert one.image.shape == wanted.shape
    assert np.abs(one.image - wanted).mean() < 8


def test_pixels_that_are_not_square_are_stretched(tmp_path):
    clip = film(tmp_path / "clip.mp4", tenths(2), aspect=Fraction(3, 2))

    [one] = frames(clip)

    assert one.image.shape == (HEIGHT, 96, 3)


def test_frames_become_files_that_read_as_photos(tmp_path):
    clip = film(tmp_path / "12:30 a.mp4", tenths(25))

    written = write_frames(clip, tmp_path / "frames", "a")

    assert [one.name for one in written] == [f"a-0000{x}.jpg" for x in ("00", 10, 20)]
    assert images_in([tmp_path / "frames"]) == written
    for path, one in zip(written, frames(clip), strict=True):
        assert np.abs(read_image(path).astype(int) - one.image).mean() < 2


def test_a_long_video_takes_no_more_memory(tmp_path):
    clip = film(tmp_path / "clip.mkv", tenths(300))

    tracemalloc.start()
    count = sum(1 for _ in frames(clip, 0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert count == 300
    assert peak < 20 * WIDTH * HEIGHT * 3


def test_what_is_no_video_is_refused(tmp_path):
    for name, content in (("empty", b""), ("junk", b"junk" * 99)):
        (tmp_path / f"{name}.mp4").write_bytes(content)
        with pytest.raises(ValueError, match=f"expected a whole video, .*{name}.mp4"):
            list(frames(tmp_path / f"{name}.mp4"))
    with pytest.raises(FileNotFoundError, match="there is no"):
        list(frames(tmp_path / "gone.mp4"))
    with pytest.raises(ValueError, match="every must be at least 0, got -1"):
        list(frames(tmp_path / "junk.mp4", -1))
    with av.open(str(tmp_path / "sound.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(ValueError, match=r"sound.mkv has no pictures"):
        list(frames(tmp_path / "sound.mkv"))


def test_an_unknown_codec_is_refused(tmp_path):
    clip = film(tmp_path / "clip.mkv", tenths(5))
    clip.write_bytes(clip.read_bytes().replace(b"V_MPEG4/ISO", b"V_OTHER/ISO"))

    with pytest.raises(ValueError, match=r"the codec of .*clip.mkv is unknown"):
        list(frames(clip))


def test_a_video_that_is_cut_off_gives_what_is_there(tmp_path):
    clip = film(tmp_path / "clip.mkv", tenths(60))
    whole = clip.read_bytes()
    clip.write_bytes(whole[: len(whole) // 2])

    with pytest.warns(
        InputWarning, match=r"end at 2\.\d s, it announces 5\.9 s; 3 are"
    ):
        found = list(frames(clip))
    assert [one.number for one in found] == [0, 10, 20]

    clip.write_bytes(whole[:300])
    with pytest.raises(ValueError, match="expected a"):
        list(frames(clip))


def test_damaged_frames_are_left_out_and_counted(tmp_path):
    """A frame begins with 00 00 01 B6; without it, there is none in the packet."""
    clip = film(tmp_path / "clip.mkv", tenths(30))
    content = clip.read_bytes()
    begin = -1
    for _ in range(15):
        begin = content.index(b"\0\0\1\xb6", begin + 1)
    clip.write_bytes(content[:begin] + b"\xff" * 8 + content[begin + 8 :])

    with pytest.warns(InputWarning, match=r"clip.mkv: damaged frames are left out, 1"):
        found = list(frames(clip))

    assert [one.number for one in found] == [0, 10, 20]


def test_no_other_file_is_read(tmp_path):
    film(tmp_path / "other.ts", tenths(5))
    lines = ("#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXTINF:1,", "other.ts")
    (tmp_path / "clip.mp4").write_text("\n".join((*lines, "#EXT-X-ENDLIST", "")))

    with pytest.raises(ValueError, match=r"clip.mp4"):
        list(frames(tmp_path / "clip.mp4"))


def test_huge_frames_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    monkeypatch.setenv("WSIS_MAX_PIXELS", "1000")

    with pytest.raises(ValueError, match="64 × 48 pixels, more than the 1,000"):
        list(frames(film(tmp_path / "clip.mp4", tenths(2))))


def jpegs(path, *sizes):
    """Write a video whose frames, one a second, are JPEG files of these sizes."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        for i, size in enumerate(sizes):
            picture = BytesIO()
            Pillow.new("RGB", size, (200, 0, 0)).save(picture, "JPEG")
            packet = av.Packet(picture.getvalue())
            packet.stream, packet.pts = stream, i
            packet.dts, packet.time_base = i, Fraction(1)
            container.mux(packet)
    return path


def test_frames_may_change_size_within_the_limit(tmp_path, monkeypatch):
    clip = jpegs(tmp_path / "clip.mkv", (64, 48), (20, 30), (90, 80), (64, 48))

    monkeypatch.setenv("WSIS_MAX_PIXELS", str(10**30))
    sizes = [one.image.shape[:2] for one in frames(clip)]
    assert sizes == [(48, 64), (30, 20), (80, 90), (48, 64)]

    monkeypatch.setenv("WSIS_MAX_PIXELS", "4000")
    with pytest.warns(InputWarning, match=r"damaged frames are left out, 1 \("):
        sizes = [one.image.shape[:2] for one in frames(clip)]
    assert sizes == [(48, 64), (30, 20), (48, 64)]


@pytest.mark.parametrize(("stretch", "suffix"), [(1100, ".png"), (1000, ".jpg")])
def test_a_frame_too_long_for_jpeg_is_kept(tmp_path, stretch, suffix):
    clip = film(tmp_path / "clip.mov", tenths(2), aspect=Fraction(3, 2))
    stretched(clip, stretch)

    [written] = write_frames(clip, tmp_path / "frames", "a")

    assert written.suffix == suffix
    with Pillow.open(written) as picture:
        assert picture.size == (stretch * WIDTH, HEIGHT)


def test_a_huge_stretch_is_refused_with_its_reason(tmp_path):
    clip = film(tmp_path / "clip.mov", tenths(2), aspect=Fraction(3, 2))
    stretched(clip, 2**31 - 1)

    with pytest.raises(
        ValueError, match=r"no whole frame .* pixels, more than the 178"
    ):
        list(frames(clip))


def stretched(path, stretch):
    """Replace how wide pixels are: ISO/IEC 14496-12, 12.1.4."""
    content = bytearray(path.read_bytes())
    begin = content.index(b"pasp") + 4
    content[begin : begin + 8] = stretch.to_bytes(4) + (1).to_bytes(4)
    path.write_bytes(content)


def test_without_pyav_the_message_says_how_to_get_it(tmp_path, monkeypatch):
    clip = film(tmp_path / "clip.mp4", tenths(2))
    monkeypatch.setitem(sys.modules, "av", None)

    with pytest.raises(ValueError, match=r"pip install 'wsis\[video\]'"):
        list(frames(clip))


def test_videos_in_a_folder_are_counted(tmp_path):
    Pillow.new("RGB", (8, 6)).save(tmp_path / "a.png")
    clip = film(tmp_path / "b.MOV", tenths(2))

    with pytest.warns(InputWarning, match=r"videos are left out \(1\): b\.MOV; name"):
        assert [one.name for one in images_in([tmp_path])] == ["a.png"]
    assert images_in([clip]) == [clip]
