"""Frames of videos, as photos."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from wsis._support.checks import at_least, warn
from wsis.contracts import Image
from wsis.data.images import check_pixels, most_pixels

_LATE = 1.0
"""Seconds that a video may end before its announced end."""

_LONGEST = 65_500
"""Pixels of a JPEG file's longest side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A picture of a video.

    Args:
        number: its place among all frames, from 0.
        seconds: since the first frame.
        image: as a player shows it, turned upright.
    """

    number: int
    seconds: float
    image: Image


def frames(video: str | Path, every: int | float = 1.0) -> Iterator[Frame]:
    """Yield frames of a video as it is decoded, one at a time.

    Where the time between frames varies, a frame is the first at or after its turn.
    Damaged frames, and those of more pixels than a picture may have, are left out with
    a warning, and one tells of a video that ends before it should.

    Args:
        video: a file of any format that FFmpeg reads.
        every: seconds from one frame to the next; 0 gives all.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if PyAV is not installed, or the file is no video, or damaged so
            that it has no whole frame.
    """
    at_least("every", every, 0)
    path, count, damaged, left_out = Path(video), 0, "", 0
    first = last = turn = 0.0
    with _opened(path) as container:
        from av import FFmpegError

        stream = container.streams.video[0]
        check_pixels(path, stream.width, stream.height)
        stream.thread_type = "AUTO"
        for number, frame in enumerate(_decoded(container, stream)):
            if isinstance(frame, Exception):
                damaged = f" ({frame})"
                left_out += 1
                continue
            time = _time(frame, number, stream)
            first = time if not number else first
            last = time - first
            if frame.is_corrupt:
                left_out += 1
            elif last >= turn - 1e-6:
                # A gap in a video of varying rate may pass several turns.
                turn = (last + 1e-6) // every * every + every if every else 0.0
                try:
                    image = _shown(path, frame, stream)
                except (FFmpegError, ValueError) as error:
                    damaged = f" ({error})"
                    left_out += 1
                    continue
                count += 1
                yield Frame(number=number, seconds=last, image=image)
        announced = (container.duration or 0) / 1e6  # of sound as well
        if stream.duration and stream.time_base:
            announced = float(stream.duration * stream.time_base)
    if not count:
        raise ValueError(f"expected a video, {path} has no whole frame{damaged}")
    if announced > last + max(_LATE, every):
        warn(
            f"the pictures of {path} end at {last:.1f} s, it announces "
            f"{announced:.1f} s; {count} are used"
        )
    if left_out:
        warn(f"{path}: damaged frames are left out, {left_out}{damaged}")


def write_frames(
    video: Path, folder: Path, name: str, every: int | float = 1.0
) -> list[Path]:
    """Write frames of a video as JPEG files, and return these in order.

    A frame that is too long for JPEG becomes a PNG file.

    Args:
        video: as in ``frames``.
        folder: is made if it is not there.
        name: of each file, with the frame's number: ``name-000123.jpg``.
        every: as in ``frames``.

    Raises:
        FileNotFoundError: as ``frames``.
        ValueError: as ``frames``.
    """
    written = []
    for frame in frames(video, every):
        folder.mkdir(parents=True, exist_ok=True)
        suffix = "jpg" if max(frame.image.shape) <= _LONGEST else "png"
        written.append(folder / f"{name}-{frame.number:06}.{suffix}")
        Pillow.fromarray(frame.image).save(written[-1], quality=95, subsampling=0)
    return written


def check_installed() -> None:
    """Refuse to go on without PyAV by a ``ValueError``."""
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"a video needs PyAV, which cannot be imported ({error}): "
            "pip install 'wsis[video]'"
        ) from error


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Give a video's container, with a stream of pictures."""
    check_installed()
    import av

    if not path.is_file():
        raise FileNotFoundError(f"expected a video, there is no {path}")
    # By an open file, as FFmpeg takes names with colons for protocols; a video that
    # names other files or addresses is not followed.
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
            options = {"protocol_whitelist": ""}
            container = stack.enter_context(av.open(file, options=options))
        except (av.FFmpegError, OSError, ValueError) as error:
            raise ValueError(f"expected a whole video, {path}: {error}") from error
        if not container.streams.video:
            raise ValueError(f"expected a video, {path} has no pictures")
        if container.streams.video[0].codec_context is None:
            raise ValueError(
                f"expected a video that FFmpeg decodes, the codec of {path} is unknown"
            )
        # Frames may be larger than the file says.
        most = str(min(most_pixels(), 2**31 - 1))
        container.streams.video[0].codec_context.options = {"max_pixels": most}
        yield container


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """Yield frames, and the errors among them."""
    import av

    try:
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
            except (av.FFmpegError, ValueError) as error:
                yield error
    except (av.FFmpegError, OSError, ValueError) as error:
        yield error


def _time(frame: Any, number: int, stream: Any) -> float:
    """Return when a frame is shown; counted, where the video does not tell."""
    if frame.time is not None:
        return float(frame.time)
    return number / float(stream.average_rate or stream.guessed_rate or 25)


def _shown(path: Path, frame: Any, stream: Any) -> Image:
    """Return the pixels as a player shows them: square, and turned upright."""
    stretch = float(stream.sample_aspect_ratio or 1)
    width = max(1, round(frame.width * stretch))
    check_pixels(path, width, frame.height)
    if width != frame.width:
        frame = frame.reformat(width=width, format="rgb24")
    pixels = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))
