"""Feeds broken and hostile files to every reader and looks at what they do.

    python benchmarks/fuzz.py                        # 10,000 inputs
    python benchmarks/fuzz.py --count 300 --seed 1 --kind coco
    python benchmarks/fuzz.py --seed 1 --only 673 925    # these of them again

Inputs are whole files with something changed: bytes turned, left out or doubled; values
of JSON, TOML and CSV replaced by other types, huge, negative and infinite numbers,
paths that lead elsewhere, HTML, terminal escapes and deep nesting; beside them bombs,
small files that unfold to gigabytes, and pickles that would run a command. A reader
reads the file and everything that it gives.

Allowed are an answer and an error of the kinds ``ALLOWED``. Counted as failures are any
other exception, a process that dies, one that uses more than ``MEMORY`` bytes on top of
what it began with or more than ``SECONDS`` of processor time, and whatever Python's
audit hook sees: a command that is run, a pickled class that is looked up, a connection,
a file that is written outside of the input's own folder.
"""

import argparse
import contextlib
import json
import os
import pickle
import random
import resource
import shutil
import socket
import struct
import sys
import tempfile
import time
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from functools import cache
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
import scipy.io
import torch
from PIL import Image as Pillow
from pycocotools import mask as rle
from safetensors.numpy import save as safetensors

from wsis import FolderData, VocData, evaluate, load
from wsis._support.files import digest, parse_json
from wsis._support.weights import read_state
from wsis.contracts import GroundTruth
from wsis.data import read_annotated, read_image, with_points
from wsis.data.videos import write_frames
from wsis.evaluation.matches import Matches
from wsis.evaluation.results import from_coco
from wsis.features.backbones import efficientnet_lite0
from wsis.geometry.masks import from_masks
from wsis.proposals import About, Store, Writer
from wsis.proposals.importers import FORMATS
from wsis.report.files import rebuild
from wsis.runs.recipes import Recipe

ALLOWED = (ValueError, LookupError, OSError)
"""What readers may raise; the command line prints these as one line."""

MEMORY = 2**30
"""Bytes that reading one file may take."""

SECONDS = 20
"""Processor time that reading one file may take."""

SIZE = 12, 16
"""Height and width of the photo that all inputs are about."""

CANARY = "fuzz-canary"

PORT = 47_113
"""Where videos would have something fetched."""

NASTY: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 0.5, -0.0, 1e308, 10**12, -(10**9), 2**63, 2**31),
    *(float("nan"), float("inf"), float("-inf"), "", " ", "NaN", "0", "1e999", [], {}),
    *([[]], [None], {"a": {}}, [1, "2", None], "../../etc/passwd", "/etc/passwd"),
    *("a/../../b", "C:\\x", "\x00", "\u202egpj", "\ud800", "é" * 999, "x" * 100_000),
    *("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{7*7}}"),
    *("\x1b]0;owned\x07", "\x1b[2J\x1b[31m", "a\r\nb", "=cmd|' /C calc'!A0", "%s%n"),
    *("__import__('os').system('touch fuzz-canary')", "file:///etc/passwd", "&lol9;"),
)

Read = Callable[[Path], object]
Build = Callable[[], bytes]


# --- Whole inputs ------------------------------------------------------------------


def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)


def masks() -> np.ndarray:
    found = np.zeros((3, *SIZE), bool)
    found[0, 2:8, 3:9] = found[1, :, 8:] = found[2, 5:, :] = True
    return found


def encoded() -> list[dict[str, Any]]:
    pixels = np.asfortranarray(masks().transpose(1, 2, 0).astype(np.uint8))
    found = rle.encode(pixels)
    return [{"size": list(SIZE), "counts": one["counts"].decode()} for one in found]


def annotations() -> dict[str, Any]:
    polygon = [[1.0, 1, 9, 1, 9, 9, 1, 9]]
    runs = {"size": list(SIZE), "counts": [20, 30, 20, 122]}
    shapes = [polygon, runs, encoded()[0]]
    return {
        "images": [
            {"id": 1, "file_name": "photo.png", "height": SIZE[0], "width": SIZE[1]}
        ],
        "categories": [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}],
        "annotations": [
            {
                "id": i,
                "image_id": 1,
                "category_id": 3 if i else 7,
                "iscrowd": int(i == 2),
                "area": 30,
                "bbox": [1, 1, 8, 8],
                "segmentation": shape,
                "point": [3, 4],
            }
            for i, shape in enumerate(shapes)
        ],
    }


def results() -> list[dict[str, Any]]:
    found = [encoded()[0], [[1.0, 1, 9, 1, 9, 9]], encoded()[2]]
    return [
        {"image_id": 1, "category_id": 1, "score": 0.5 + i / 10, "segmentation": one}
        for i, one in enumerate(found)
    ]


def as_json(value: Any) -> Build:
    return lambda: json.dumps(value).encode()


def packed(save: Callable[[BytesIO], object]) -> Build:
    def build() -> bytes:
        out = BytesIO()
        save(out)
        return out.getvalue()

    return build


def picture(kind: str, **more: Any) -> Build:
    return packed(lambda out: Pillow.fromarray(photo()).save(out, kind, **more))


def cells(*values: Any) -> np.ndarray:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def mat(out: BytesIO) -> None:
    superpixels = np.arange(1, SIZE[0] * SIZE[1] + 1).reshape(SIZE) // 16 + 1
    labels = cells(np.array([1, 2]), np.array([3]), np.array([2, 4]))
    values = {"superpixels": superpixels, "labels": labels, "scores": [0.1, 0.5, 0.2]}
    scipy.io.savemat(out, values)


def mat73(out: BytesIO) -> None:
    """As Matlab's save(..., '-v7.3') does: cells are references."""
    with h5py.File(out, "w", userblock_size=512) as file:
        file["superpixels"] = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE[::-1]) // 16 + 1
        file["scores"] = np.array([[0.1, 0.5]])
        inside = [file.create_dataset(f"#refs#/{i}", data=[[i, 3]]) for i in (1, 2)]
        labels = np.array([[one.ref for one in inside]], h5py.ref_dtype)
        file.create_dataset("labels", data=labels, dtype=h5py.ref_dtype)
    out.seek(0)
    out.write(b"MATLAB 7.3 MAT-file".ljust(512))


def zipped(content: bytes) -> bytes:
    """A Matlab file whose variables have a checksum, whatever they hold."""
    parts = [content[:128]]
    at = 128
    while at < len(content):
        end = at + 8 + int.from_bytes(content[at + 4 : at + 8], "little")
        inside = zlib.compress(content[at:end])
        parts.append(struct.pack("<II", 15, len(inside)) + inside)
        at = end
    return b"".join(parts)


@cache
def bombs_mat() -> list[bytes]:
    """Numbers that unfold to more than a gigabyte, and cells in cells in cells."""
    out = BytesIO()
    scipy.io.savemat(out, {"maskmat": np.zeros((1, 1), np.uint8)})
    head = out.getvalue()[:128]
    flags = struct.pack("<IIII", 6, 8, 9, 0)
    dims = struct.pack("<IIii", 5, 8, 1, 2**30 + 2**28)
    body = flags + dims + struct.pack("<II", 1, 7) + b"maskmat\0"
    body += struct.pack("<II", 2, 2**30 + 2**28)
    folded = zlib.compressobj(1)
    start = struct.pack("<II", 14, len(body) + 2**30 + 2**28) + body
    inside = folded.compress(start) + folded.flush(zlib.Z_FULL_FLUSH)
    # What comes after a full flush may be repeated.
    inside += 80 * (folded.compress(bytes(2**24)) + folded.flush(zlib.Z_FULL_FLUSH))
    wide = head + struct.pack("<II", 15, len(inside)) + inside
    cell = struct.pack("<IIIIIIiiII", 6, 8, 1, 0, 5, 8, 1, 1, 1, 0)
    deep = b""
    for _ in range(9999):
        deep = struct.pack("<II", 14, len(cell + deep)) + cell + deep
    return [wide, head + deep, zipped(head + deep)]


def sbd(out: BytesIO) -> None:
    inst = {"Segmentation": masks()[0].astype(np.uint8), "Categories": [8]}
    scipy.io.savemat(out, {"GTinst": inst})


def matched() -> bytes:
    found = {
        "image": np.zeros(2, np.int64),
        "label": np.ones(2, np.int64),
        "score": np.array([0.9, 0.5]),
        "state": np.zeros((2, 14), np.int8),
        "objects": np.ones((1, 1), np.int64),
    }
    return bytes(safetensors(found))


def film(container: str, codec: str, aspect: Fraction | None = None) -> Build:
    """A film of five pictures, one a second."""

    def write(out: BytesIO) -> None:
        with av.open(out, "w", format=container) as file:
            stream = file.add_stream(
                codec,
                rate=1,
                options={"strict": "unofficial", "x264-params": "log-level=none"},
            )
            stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
            stream.codec_context.sample_aspect_ratio = aspect or Fraction(1)
            pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
            for i in range(5):
                frame = av.VideoFrame.from_ndarray(np.roll(pixels, i), format="rgb24")
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))

    return packed(write)


def stream_of(
    parts: list[bytes],
    times: tuple[int, ...] = (),
    size: tuple[int, int] = SIZE,
    container: str = "matroska",
    streams: int = 1,
) -> bytes:
    """A film of these packets, whatever they are, at these milliseconds."""

    def write(out: BytesIO) -> None:
        with av.open(out, "w", format=container) as file:
            for _ in range(streams):
                stream = file.add_stream("mjpeg", rate=1)
                stream.height, stream.width = size
                stream.pix_fmt = "yuvj420p"
            file.start_encoding()
            for i, part in enumerate(parts):
                packet = av.Packet(part)
                packet.stream, packet.time_base = file.streams[0], Fraction(1, 1000)
                packet.pts = packet.dts = times[i] if times else 1000 * i
                packet.is_keyframe = True
                file.mux(packet)

    return packed(write)()


TAGS = b"file,tags\nphoto.png,cat; dog\nother.png,dog\n"
POINTS = b"file,x,y,class\nphoto.png,3,4,cat\nphoto.png,5,6,dog\n"
XML = (
    b"<annotation><object><name>dog</name><difficult>0</difficult><bndbox><xmin>4"
    b"</xmin><ymin>3</ymin><xmax>9</xmax><ymax>8</ymax></bndbox></object></annotation>"
)
RECIPE = b"""description = "a recipe"
data = "scenes:train_images=8"
miner = "cim:p_seed=0.2"
[settings]
source = "lab"
backbone = "efficientnet_lite0:weights=random"
branches = 3
[settings.schedule]
epochs = 2
"""
CARD = {
    "seed": 0,
    "data": "cats",
    "supervision": ["tags"],
    "versions": {"wsis": "0.1.0"},
    "images": 3,
    "skipped": {"no tags": 1},
    "losses": [{"total": 1.0}],
    "weights": "00",
    "classes": ["cat", "dog"],
    "category_ids": [1, 2],
    "miner": {"name": "cim", "settings": {}},
    "settings": {"backbone": {"name": "efficientnet_lite0", "settings": {}}},
}


# --- Readers -----------------------------------------------------------------------


def read_coco(path: Path) -> None:
    data = read_annotated(path, path.parent)
    for truth in data.truths:
        rle.decode(list(truth.masks))
    for image in data.tagged.images:
        image.load()


def read_points(path: Path) -> None:
    whole = path.parent / "whole.json"
    whole.write_bytes(as_json(annotations())())
    with_points(read_annotated(whole, path.parent).tagged, path)


def read_results(path: Path) -> None:
    [shape] = rle.encode(np.asfortranarray(masks()[:1].transpose(1, 2, 0), np.uint8))
    truth = GroundTruth(
        image_id=1,
        size=SIZE,
        label=torch.tensor([1]),
        masks=[shape],
        ignore=torch.tensor([False]),
        area=torch.tensor([36.0]),
    )
    found = parse_json(path.read_bytes())
    evaluate(from_coco(found, [truth], (1, 7)), [truth], "ab")


def imported(name: str) -> Read:
    def read(path: Path) -> None:
        for found in FORMATS[name].importer(path, {"photo"}):
            found.read(SIZE)

    return read


def read_tags(path: Path) -> None:
    for image in FolderData(root=path.parent, tags=path).train().images:
        image.load()


def read_voc(path: Path) -> None:
    """The file as annotation, as mask of objects or of classes, or as SBD's."""
    root = path.parent / "VOC2012"
    for place in ("JPEGImages", "Annotations", "SegmentationObject"):
        (root / place).mkdir(parents=True)
    (root / "SegmentationClass").mkdir()
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    for name in ("train", "val"):
        (root / "ImageSets" / "Segmentation" / f"{name}.txt").write_text("2007_1\n")
    (root / "JPEGImages" / "2007_1.jpg").write_bytes(picture("JPEG")())
    mask = packed(
        lambda out: Pillow.fromarray(masks()[0].view(np.uint8)).save(out, "PNG")
    )
    files = {
        "Annotations/2007_1.xml": XML,
        "SegmentationObject/2007_1.png": mask(),
        "SegmentationClass/2007_1.png": mask(),
    }
    kind = {".xml": "Annotations/2007_1.xml", ".png": "SegmentationObject/2007_1.png"}
    files[kind[path.suffix]] = path.read_bytes()
    for name, content in files.items():
        (root / name).write_bytes(content)
    data = VocData(root=root)
    data.train()
    val = data.val()
    assert val is not None
    for truth in val.truths:
        rle.decode(list(truth.masks))


def read_sbd(path: Path) -> None:
    from wsis.data.voc import SBD

    (path.parent / "inst").mkdir()
    path.rename(path.parent / "inst" / "a.mat")
    SBD(path.parent).objects("a")


def read_card(path: Path) -> None:
    (path.parent / "model.safetensors").write_bytes(matched())
    load(path.parent, device="cpu", cache=path.parent / "cache")


def read_store(path: Path) -> None:
    """The file as a store's description, index or shard."""
    folder = path.parent / "store"
    found = from_masks(torch.from_numpy(masks()))
    with Writer(folder, About(source="drawn", settings={})) as writer:
        writer.add(digest(photo()), "photo", found)
    target = {".jsonl": "index.jsonl", ".json": "store.json"}.get(path.suffix)
    place = folder / target if target else next(iter(folder.rglob("*.safetensors")))
    place.write_bytes(path.read_bytes())
    store = Store.open(folder)
    list(store.damage())
    list(store.leftovers())
    for key in store.entries:
        store.get(key)


def read_report(path: Path) -> None:
    path.rename(path.parent / "results.json")
    page = rebuild(path.parent).read_text()
    wrong = [text for text in ("<script>alert", "<img src=x", "\x1b") if text in page]
    if wrong:
        raise AssertionError(f"the page has {wrong}")


def read_weights(path: Path) -> None:
    efficientnet_lite0(weights=str(path))


PLAYLISTS = (
    b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n%b\n#EXT-X-ENDLIST\n",
    b"ffconcat version 1.0\nfile '%b'\n",
    b'<MPD type="static"><Period><AdaptationSet><Representation id="1"><BaseURL>%b'
    b"</BaseURL></Representation></AdaptationSet></Period></MPD>",
    b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 26\na=%b\n",
)
"""Texts that FFmpeg may take for a film elsewhere."""


def read_video(path: Path) -> None:
    """Write its frames as wsis predict does; nothing else may be read or fetched."""
    with socket.create_server(("127.0.0.1", PORT)) as server:
        server.setblocking(False)
        try:
            written = write_frames(path, path.parent / "frames", "a")
        finally:
            with contextlib.suppress(BlockingIOError):
                server.accept()
                raise AssertionError("something was fetched")
    content = path.read_bytes()
    if content.startswith(tuple(one[:7] for one in PLAYLISTS)):
        raise AssertionError("another file was read")
    for frame in written:
        try:
            read_image(frame)
        except ValueError as error:
            raise AssertionError("a frame that was written cannot be read") from error


def run_of_store(part: str) -> Build:
    def build() -> bytes:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "store"
            with Writer(folder, About(source="drawn", settings={})) as writer:
                found = from_masks(torch.from_numpy(masks()))
                writer.add(digest(photo()), "photo", found)
            return next(iter(folder.rglob(part))).read_bytes()

    return build


def bench_results() -> bytes:
    path = Path(__file__).parents[1] / "tests" / "report" / "results.json"
    return path.read_bytes()


INPUTS: Mapping[str, tuple[str, Build, Read]] = {
    "coco": ("annotations.json", as_json(annotations()), read_coco),
    "results": ("results.json", as_json(results()), read_results),
    "points json": ("points.json", as_json(annotations()), read_points),
    "points csv": ("points.csv", lambda: POINTS, read_points),
    "tags csv": ("tags.csv", lambda: TAGS, read_tags),
    "proposals json": (
        "found.json",
        as_json([one | {"image_id": "photo"} for one in results()]),
        imported("coco"),
    ),
    "mat": ("photo.mat", packed(mat), imported("mat")),
    "mat packed": ("photo.mat", packed(mat), imported("mat")),
    "mat 7.3": ("photo.mat", packed(mat73), imported("mat")),
    "npz": (
        "photo.npz",
        packed(lambda out: np.savez(out, masks=masks(), scores=np.ones(3))),
        imported("npz"),
    ),
    "png": ("photo_1.png", picture("PNG"), imported("png")),
    "sbd": ("a.mat", packed(sbd), read_sbd),
    "voc xml": ("a.xml", lambda: XML, read_voc),
    "voc mask": (
        "a.png",
        packed(
            lambda out: Pillow.fromarray(masks()[0].view(np.uint8)).save(out, "PNG")
        ),
        read_voc,
    ),
    **{
        f"photo {kind}": (f"photo.{kind}", picture(kind), read_image)
        for kind in ("png", "jpeg", "gif", "tiff", "bmp", "webp")
    },
    **{
        f"video {name}": (f"film.{name}", film(container, codec), read_video)
        for name, container, codec in (
            ("mp4", "mp4", "mpeg4"),
            ("mov", "mov", "libx264"),
            ("mkv", "matroska", "mjpeg"),
            ("webm", "webm", "libvpx"),
            ("avi", "avi", "mpeg4"),
            ("mpg", "mpeg", "mpeg2video"),
            ("flv", "flv", "flv"),
        )
    },
    "matches": (
        "matches.safetensors",
        matched,
        lambda path: Matches.load(path),
    ),
    "weights": ("weights.safetensors", matched, read_weights),
    "checkpoint": (
        "model.pth",
        packed(lambda out: torch.save({"model": {"a": torch.zeros(3)}}, out)),
        read_state,
    ),
    "recipe": (
        "own.toml",
        lambda: RECIPE,
        lambda path: Recipe.read(str(path)).values(),
    ),
    "card": ("run.json", as_json(CARD), read_card),
    "store description": ("a.json", run_of_store("store.json"), read_store),
    "store index": ("a.jsonl", run_of_store("index.jsonl"), read_store),
    "store shard": ("a.safetensors", run_of_store("*.safetensors"), read_store),
}


# --- What is changed ---------------------------------------------------------------


class Pickled:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {CANARY}",)


@cache
def bomb_png(width: int, height: int, words: int = 99) -> bytes:
    """A black picture that says it is of this size, with so many bytes of text."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + kind + content + check

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0"
    rows = zlib.compress(bytes(min(10**7, (3 * width + 1) * height)), 9)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(words), 9))
    return start + text + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@cache
def bomb_npz(shape: tuple[int, ...], name: str) -> bytes:
    """An array that says it is of this shape, with 64 MiB of packed zeros."""
    header = BytesIO()
    described = {"descr": "|b1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(f"{name}.npy", header.getvalue() + bytes(2**26))
    return out.getvalue()


def laughs() -> bytes:
    lines = ['<!ENTITY lol0 "lol">']
    lines += [f'<!ENTITY lol{i} "{f"&lol{i - 1};" * 10}">' for i in range(1, 10)]
    kinds = "".join(lines)
    return f"<!DOCTYPE a [{kinds}]><annotation>&lol9;</annotation>".encode()


@cache
def jpeg(height: int, width: int) -> bytes:
    return packed(
        lambda out: Pillow.new("RGB", (width, height), "red").save(out, "JPEG")
    )()


def bombs_video(draw: random.Random) -> bytes:
    """Films of frames that grow, of none, of too many streams; and what is none."""
    whole = jpeg(*SIZE)
    container = draw.choice(["matroska", "avi", "mov", "nut", "mjpeg"])
    lied = bytearray(whole)
    at = lied.find(b"\xff\xc0") + 5
    lied[at : at + 4] = draw.choice([b"\xff\xfe" * 2, b"\x40\0" * 2, bytes(4)])
    match draw.randrange(9):
        case 0:
            grown = draw.choice([(1, 1), (90, 30), (13_500, 13_500), (3000, 4000)])
            return stream_of([whole, jpeg(*grown), whole], container=container)
        case 1:
            return stream_of([whole, bytes(lied), whole], container=container)
        case 2:
            made = stream_of([draw.choice([whole, bytes(lied)])], size=(3000, 4000))
            for name in (b"\xb0\x82\x0f\xa0", b"\xba\x82\x0b\xb8"):
                new = draw.choice([b"\0\0", b"\xff\xff", b"\0\1"])
                made = made.replace(name, name[:2] + new)
            return made
        case 3:
            return stream_of([], size=(3000, 4000), container=container)
        case 4:
            return stream_of([whole], streams=draw.choice([99, 999]))
        case 5:
            times = draw.sample([0, 1, -5, 2**31, 2**40, 2**62], 3)
            return stream_of([whole] * 3, tuple(sorted(times)))
        case 6:
            fetched = b"http://127.0.0.1:%d/a.ts" % PORT
            other = draw.choice([b"other.png", b"/etc/passwd", fetched])
            return draw.choice(PLAYLISTS) % other
        case 7:
            made = film("mov", "mpeg4", aspect=Fraction(3, 2))()
            at = made.index(b"pasp") + 4
            new = struct.pack(
                ">II", *draw.choice([(2**31 - 1, 1), (1100, 1), (1, 9999)])
            )
            return made[:at] + new + made[at + 8 :]
        case _:
            old = draw.choice(["<HH", ">HH", "<II", ">II"])
            new = struct.pack(old, *draw.choice([(9999, 9999), (2**16 - 1, 1), (0, 0)]))
            made = film(*draw.choice([("mp4", "mpeg4"), ("avi", "mpeg4")]))()
            return made.replace(struct.pack(old, 64, 48), new)


def bombs(kind: str, draw: random.Random) -> bytes:
    """Small files that unfold, nest or run."""
    width, height = draw.choice([(10**5, 10**5), (2**31 - 1, 1), (13_000, 13_000)])
    nested = b"[" * 200_000
    found = [pickle.dumps(Pickled()), nested, b"", b"\0" * 999, b'{"a":' * 100_000]
    if kind.startswith("video"):
        return draw.choice(
            [*found, bomb_png(width, height)] + 24 * [b""]
        ) or bombs_video(draw)
    if kind.startswith(("photo", "png", "voc mask")):
        jpeg = bytearray(picture("JPEG")())
        at = jpeg.find(b"\xff\xc0") + 5
        jpeg[at : at + 4] = b"\xff\xfe\xff\xfe"
        pictures = [bomb_png(width, height), bomb_png(9, 9, words=10**8)]
        found = [*pictures, bytes(jpeg), b"%!PS-Adobe-3.0 EPSF-3.0\n", *found[:1]]
    if kind in {"npz", "mat"}:
        shape = draw.choice([(2**40,), (2**20, *SIZE), (4, 2**15, 2**15), (3, *SIZE)])
        name = draw.choice(["masks", "regions", "members", "scores"])
        objects = packed(lambda out: np.savez(out, masks=np.array([Pickled()])))
        found = [bomb_npz(shape, name), objects(), *found[:1]]
    if kind.startswith(("mat", "sbd")) and kind != "matches":
        found = [*bombs_mat(), *found]
    if kind == "voc xml":
        found = [laughs(), *found]
    if kind == "checkpoint":
        whole = packed(lambda out: torch.save({"model": Pickled()}, out))
        found = [whole(), *found[:1]]
    return draw.choice(found)


def turned(content: bytes, draw: random.Random) -> bytes:
    """Bytes changed, left out, doubled or put in."""
    found = bytearray(content)
    for _ in range(draw.choice([1, 1, 2, 8, 40])):
        at = draw.randrange(len(found) + 1)
        length = draw.choice([1, 2, 4, 64])
        match draw.randrange(5):
            case 0:
                found[at : at + length] = draw.randbytes(length)
            case 1:
                del found[at : at + length]
            case 2:
                found[at:at] = found[at : at + length]
            case 3:
                found[at : at + 4] = draw.choice([b"\xff" * 4, b"\0" * 4, b"\x7f"])
            case _:
                word = str(draw.choice(NASTY)).encode("utf-8", "surrogatepass")
                found[at:at] = word[:200]
    if not draw.randrange(6):
        del found[draw.randrange(len(found) + 1) :]
    return bytes(found)


def replaced(value: Any, draw: random.Random) -> Any:
    """The same JSON with some values replaced, left out or repeated."""
    value = json.loads(json.dumps(value))
    for _ in range(draw.choice([1, 1, 1, 2, 4])):
        places = list(_places(value))
        holder, key = draw.choice(places) if places else ([value], 0)
        match draw.randrange(6):
            case 0 if isinstance(holder, dict):
                del holder[key]
            case 1 if isinstance(holder, list):
                holder.insert(key, holder[key])
            case 2 if isinstance(holder, dict):
                holder[str(draw.choice(NASTY))[:50]] = holder.pop(key)
            case _:
                holder[key] = draw.choice(NASTY)
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict | list):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        for key, one in inside:
            yield value, key
            yield from _places(one)


def drawn(kind: str, whole: bytes, name: str, draw: random.Random) -> bytes:
    """One input of a kind; some are whole."""
    way = draw.random()
    if way < 0.02:
        return whole
    if way < 0.1:
        return bombs(kind, draw)
    if name.endswith(".json") and way < 0.85:
        return json.dumps(replaced(json.loads(whole), draw)).encode()
    if name.endswith(".jsonl") and way < 0.85:
        lines = [replaced(json.loads(line), draw) for line in whole.splitlines()]
        return "\n".join(map(json.dumps, lines)).encode()
    if name.endswith((".csv", ".toml", ".xml")) and way < 0.8:
        parts = whole.decode().replace(",", "\0,\0").replace("=", "\0=\0").split("\0")
        parts[draw.randrange(len(parts))] = str(draw.choice(NASTY))
        return "".join(parts).encode("utf-8", "surrogatepass")
    if kind == "mat packed":
        return zipped(whole[:128] + turned(whole[128:], draw))
    return turned(whole, draw)


# --- What is watched ---------------------------------------------------------------


class Watch:
    """An audit hook that notes what no reader should do."""

    RUNS = (
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.startfile",
        "subprocess.Popen",
    )
    NEVER = (*RUNS, "pickle.find_class", "socket.connect", "urllib.Request")
    CHANGES = (
        "os.remove",
        "os.rename",
        "os.mkdir",
        "os.rmdir",
        "os.link",
        "os.symlink",
    )

    def __init__(self) -> None:
        self.folder: str | None = None
        self.seen: list[str] = []

    def __call__(self, event: str, given: tuple[Any, ...]) -> None:
        """Note an event, if an input is being read."""
        if self.folder is None:
            return
        if event in self.NEVER:
            self.seen.append(f"{event}: {str(given)[:80]}")
        if event in self.CHANGES:
            self._check(event, given[0])
        if event == "open" and isinstance(given[0], str | bytes):
            mode, flags = given[1] or "", given[2] or 0
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if set(mode) & set("wax+") or writes:
                self._check(event, given[0])

    def _check(self, event: str, path: Any) -> None:
        place = os.path.realpath(os.fsdecode(path))
        if not place.startswith((str(self.folder), "/dev/null", "/proc/self")):
            self.seen.append(f"{event}: {place}")


def attempt(read: Read, name: str, content: bytes, watch: Watch) -> str:
    """Read one input; return how it ended: read, refused, or what went wrong."""
    with tempfile.TemporaryDirectory(prefix="wsis-fuzz-") as place:
        folder = Path(place).resolve()
        (folder / "photo.png").write_bytes(picture("PNG")())
        (folder / "other.png").write_bytes(picture("PNG")())
        (folder / name).write_bytes(content)
        watch.seen.clear()
        watch.folder = str(folder)
        began = time.process_time()
        try:
            with warnings.catch_warnings(), contextlib.chdir(folder):
                warnings.simplefilter("ignore")
                read(folder / name)
            ended = "read"
        except ALLOWED as error:
            ended = "refused" if str(error) else f"{type(error).__name__} without text"
        except MemoryError:
            ended = "too much memory"
        except BaseException as error:
            ended = f"{type(error).__name__}: {str(error)[:120]}"
        watch.folder = None
        if (folder / CANARY).exists() or Path(CANARY).exists():
            return "a command ran"
        if watch.seen:
            return watch.seen[0]
        if time.process_time() - began > SECONDS:
            return f"{time.process_time() - began:.0f} seconds"
        return ended


# --- Many inputs -------------------------------------------------------------------


def inputs(
    numbers: Iterable[int], seed: int, kinds: list[str]
) -> Iterator[tuple[int, str, bytes]]:
    """Yield numbered inputs, the kinds in turn; each is made of seed and number."""
    whole = {kind: INPUTS[kind][1]() for kind in kinds}
    for i in numbers:
        kind = kinds[i % len(kinds)]
        draw = random.Random(f"{seed} {i} {kind}")
        yield i, kind, drawn(kind, whole[kind], INPUTS[kind][0], draw)


def run(
    numbers: Iterable[int], seed: int, kinds: list[str], batch: int = 100
) -> tuple[Counter[str], list[dict[str, Any]], float]:
    """Read all inputs in forks; return counts, failures and the most memory in MiB."""
    counts: Counter[str] = Counter()
    failures: list[dict[str, Any]] = []
    most = 0.0
    rest = inputs(numbers, seed, kinds)
    waiting: list[tuple[int, str, bytes]] = []
    while waiting := waiting or list(islice(rest, batch)):
        done = _fork(waiting)
        for line in done:
            counts[
                line["ended"] if line["ended"] in {"read", "refused"} else "failed"
            ] += 1
            most = max(most, line["memory"])
            if line["ended"] not in {"read", "refused"}:
                failures.append(line)
        if len(done) < len(waiting):
            number, kind, content = waiting[len(done)]
            counts["failed"] += 1
            died = {"input": number, "kind": kind, "ended": "the process died"}
            failures.append(died | {"size": len(content)})
        waiting = waiting[len(done) + 1 :]
    return counts, failures, most


def _fork(batch: list[tuple[int, str, bytes]]) -> list[dict[str, Any]]:
    with tempfile.NamedTemporaryFile("r") as told:
        child = os.fork()
        if not child:
            status = 1
            try:
                _work(batch, Path(told.name))
                status = 0
            finally:
                os._exit(status)
        os.waitpid(child, 0)
        return [json.loads(line) for line in told]


def _work(batch: list[tuple[int, str, bytes]], told: Path) -> None:
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    sys.dont_write_bytecode = True
    torch.set_num_threads(1)
    watch = Watch()
    sys.addaudithook(watch)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with told.open("a") as out:
        for number, kind, content in batch:
            name, _, read = INPUTS[kind]
            ended = attempt(read, name, content, watch)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - began
            line = {"input": number, "kind": kind, "ended": ended, "size": len(content)}
            out.write(json.dumps(line | {"memory": round(memory / 1024, 1)}) + "\n")
            out.flush()


def record(cells: dict[str, Any]) -> None:
    """Keep the figures of a seed, beside those of other seeds on the same kinds."""
    path = Path(__file__).parent / "results" / "fuzz.jsonl"
    found = [json.loads(line)["cells"] for line in path.read_text().splitlines()]
    others = [one for one in found if one["kinds"] == cells["kinds"]]
    kept = {one["seed"]: one for one in [*others, cells]}
    rows = [kept[seed] for seed in sorted(kept)]
    lines = [json.dumps({"table": "fuzz", "cells": one}) + "\n" for one in rows]
    path.write_text("".join(lines))


def main() -> int:
    """Run the inputs and print counts as a JSON line, after the failures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", action="append", choices=INPUTS, help="repeatable")
    parser.add_argument("--only", type=int, nargs="+", help="numbers of inputs")
    parser.add_argument("--record", action="store_true", help="for docs/reliability.md")
    parser.add_argument("--keep", type=Path, help="folder for inputs that failed")
    options = parser.parse_args()
    kinds = options.kind or list(INPUTS)
    numbers = options.only or range(options.count)
    counts, failures, most = run(numbers, options.seed, kinds)
    for line in failures:
        print(json.dumps(line))
    if options.keep and failures:
        shutil.rmtree(options.keep, ignore_errors=True)
        wanted = [line["input"] for line in failures]
        for i, kind, content in inputs(wanted, options.seed, kinds):
            place = options.keep / str(i)
            place.mkdir(parents=True)
            (place / INPUTS[kind][0]).write_bytes(content)
    told = {"inputs": sum(counts.values()), "seed": options.seed, "kinds": len(kinds)}
    if options.record:
        cells = {**told, "read": counts["read"], "refused": counts["refused"]}
        cells |= {"failed": counts["failed"], "most memory (MiB)": round(most)}
        record(cells)
    print(json.dumps({**told, **counts, "memory MiB": most}))
    return bool(failures)


if __name__ == "__main__":
    raise SystemExit(main())
