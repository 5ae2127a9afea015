"""Times the prediction of one drawn photo at several sizes, with its peak memory.

    python benchmarks/large.py                        # 1, 12, 48 and 108 megapixels
    python benchmarks/large.py --megapixels 1 12      # some of them
    python benchmarks/large.py --record               # and keep them in results/

Each size is a process of its own, which reads a JPEG, proposes, scores, maps masks back
and draws, as ``wsis predict`` does for one photo; a small photo goes before, so that
libraries are loaded. The model is an untrained one with the default settings: every
image gets as many instances as one may have. Seconds are those of the processor, on one
thread, as others may work on the machine too; ``clock_s`` are those of the clock.

Prints a JSON line for each size, and last the seconds of each by those of the first.
``--record`` writes the table ``large``.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from wsis.contracts import Tagged

SIZES = (1.0, 12.0, 48.0, 108.0)
SHAPES = 12
RESULTS = Path(__file__).parent / "results" / "large.jsonl"
RATIO = 1.5
"""The highest ratio that 12 megapixels should have to 1."""
MEGABYTES = 2000
"""The memory that no size should need."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megapixels", type=float, nargs="+", default=SIZES)
    parser.add_argument("--set", action="append", default=[], help="of the run")
    parser.add_argument("--repeats", type=int, default=1, help="the median is taken")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--child", type=Path, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(predicted(*given.child, given.set)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in given.megapixels:
            photo = Path(folder) / f"{size:g}.jpg"
            draw(size, photo)
            tries = [measured(photo, given.set) for _ in range(given.repeats)]
            tries.sort(key=lambda one: one["seconds"])
            rows.append({"megapixels": size, **tries[len(tries) // 2]})
            print(json.dumps(rows[-1]), flush=True)
    first = rows[0]["seconds"]
    ratios = {
        f"{row['megapixels']:g}": round(row["seconds"] / first, 2) for row in rows
    }
    if given.record:
        record(rows, ratios)
    print(json.dumps({"ratios": ratios}))
    most = max(row["peak_mb"] for row in rows)
    if ratios.get("12", 0) > RATIO or most > MEGABYTES:
        sys.exit(
            f"expected a ratio of at most {RATIO:g} at 12 megapixels and less than "
            f"{MEGABYTES} MB, got {ratios} and {most:.0f} MB"
        )


def record(rows: list[dict[str, float]], ratios: dict[str, float]) -> None:
    """Write the table ``large``, in place of the one before."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    known = {"date": datetime.date.today().isoformat(), "commit": commit}
    lines = []
    for row in rows:
        name = f"{row['megapixels']:g}"
        cells = {
            "megapixels": name,
            "seconds": f"{row['seconds']:.2f}",
            "ratio": f"{ratios[name]:.2f}",
            "peak MB": f"{row['peak_mb']:.0f}",
        }
        lines.append(json.dumps({"table": "large", **known, "cells": cells}))
    RESULTS.write_text("\n".join(lines) + "\n")


def draw(megapixels: float, path: Path) -> None:
    """Save a photo of 4 by 3: soft colours, shapes and grain, alike at every size."""
    width = round((megapixels * 1e6 * 4 / 3) ** 0.5)
    height = round(width * 3 / 4)
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (24, 32, 3), np.uint8)
    photo = Pillow.fromarray(coarse).resize((width, height), Pillow.Resampling.BICUBIC)
    pen = ImageDraw.Draw(photo)
    for i in range(SHAPES):
        x, y, r = random.random(3) * (1, 0.75, 0.1) + (0, 0, 0.04)
        box = tuple(width * side for side in (x - r, y - r, x + r, y + r))
        colour = tuple(random.integers(0, 256, 3).tolist())
        (pen.ellipse if i % 2 else pen.rectangle)(box, fill=colour)
    tile = Pillow.fromarray(random.integers(0, 256, (512, 512, 3), np.uint8))
    for y in range(0, height, 512):
        for x in range(0, width, 512):
            box = (x, y, min(x + 512, width), min(y + 512, height))
            part = photo.crop(box)
            grain = tile.crop((0, 0, *part.size))
            photo.paste(Pillow.blend(part, grain, 0.06), box)
    photo.save(path, quality=92)


def measured(photo: Path, settings: list[str]) -> dict[str, float]:
    """Predict a photo in a process and with a cache of its own."""
    sets = [word for one in settings for word in ("--set", one)]
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, __file__, *sets, "--child", str(photo), cache],
            check=True,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def predicted(photo: Path, cache: Path, settings: list[str]) -> dict[str, float]:
    """Return what predicting a photo takes here."""
    from wsis._support.memory import peak_megabytes
    from wsis.runs.pipeline import Pipeline
    from wsis.runs.run import Card, Run
    from wsis.runs.settings import Part

    pipeline = Pipeline.of(
        settings=["backbone.weights=random", *settings], device="cpu", cache=cache
    )
    run = Run(
        card=Card.of(pipeline, Part.parse("cim"), 0, classes()),
        model=pipeline.model(20, 0).eval(),
        pipeline=pipeline,
    )
    small = cache / "small.png"
    draw(0.05, small)
    run.predict(small).draw()
    clock, began = time.perf_counter(), time.process_time()
    found = run.predict(photo)
    middle = time.process_time()
    Pillow.fromarray(found.draw()).save(cache / "drawn.png", compress_level=1)
    end = time.process_time()
    return {
        "seconds": round(end - began, 2),
        "drawing_s": round(end - middle, 2),
        "clock_s": round(time.perf_counter() - clock, 2),
        "peak_mb": round(peak_megabytes(pipeline.device)),
        "instances": len(found),
    }


def classes() -> Tagged:
    """Return a data set of 20 classes and no photos."""
    names = tuple(f"class {number}" for number in range(1, 21))
    return Tagged(name="none", classes=names, images=())


if __name__ == "__main__":
    main()
