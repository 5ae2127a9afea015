"""Many processes begin on one fresh cache folder at once; some are killed.

    python benchmarks/sharing.py --builds 40 --kills 10 --rounds 3

Every build opens the folder, asks for the same entries, and compares what it gets with
what it would have made. Some processes are killed on the way, and some bytes of what
they leave are changed. The last line is JSON: a failure is a build that raised, wrong
is one that got other values. It exits with 1 if there is either.
"""

import argparse
import json
import random
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from multiprocessing import Process, get_context
from pathlib import Path

import torch

from wsis._support.files import Cache

ENTRIES = 20


def entry(number: int) -> dict[str, torch.Tensor]:
    """Return what belongs under a key; takes a moment, as features do."""
    time.sleep(0.002)
    generator = torch.Generator().manual_seed(number)
    return {"x": torch.rand(200, 50, generator=generator).half()}


def build(folder: Path, start: float, out: Path) -> None:
    """Do the work of one process; write what went wrong, if anything did."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    while time.time() < start:
        time.sleep(0.0005)
    try:
        cache = Cache.keyed(folder, {"source": "drawn"}, {"version": 1})
        for number in range(ENTRIES):
            found = cache.get(str(number), lambda number=number: entry(number))
            if not found["x"].equal(entry(number)["x"]):
                out.write_text("wrong")
                return
        out.write_text("")
    except BaseException:
        out.write_text(traceback.format_exc())


def spoil(folder: Path) -> None:
    """Change a byte of one kept file, and cut another short."""
    files = sorted(folder.rglob("*.safetensors"))
    if len(files) > 1:
        first, second = files[0], files[1]
        content = bytearray(first.read_bytes())
        content[-1] ^= 1
        # In place of the old one, as open files must stay as they were.
        aside = first.with_suffix(".aside")
        aside.write_bytes(content)
        aside.replace(first)
        aside.write_bytes(second.read_bytes()[:100])
        aside.replace(second)


def round_of(builds: int, kills: int) -> tuple[list[str], int]:
    """Run all builds of one fresh folder; return what they said, and how many died."""
    home = Path(tempfile.mkdtemp())
    start, context = time.time() + 0.05 * builds, get_context("fork")
    children: list[Process] = []
    for number in range(builds + kills):
        given = (home / "cache", start, home / f"{number}.txt")
        children.append(context.Process(target=build, args=given))
        children[-1].start()
    time.sleep(max(0.0, start - time.time()))
    for child in children[builds:]:
        time.sleep(random.uniform(0, 0.05))
        child.kill()
    spoil(home / "cache")
    for child in children:
        child.join()
    killed = sum(child.exitcode == -signal.SIGKILL for child in children)
    said = [
        path.read_text() if path.exists() else "no word"
        for path in (home / f"{number}.txt" for number in range(builds))
    ]
    shutil.rmtree(home)
    return said, killed


def main() -> None:
    """Run the rounds and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, default in (("builds", 40), ("kills", 10), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    said, killed = list[str](), 0
    for _ in range(given.rounds):
        more, died = round_of(given.builds, given.kills)
        said, killed = said + more, killed + died
    failures = [text for text in said if text and text != "wrong"]
    for text in failures[:3]:
        print(text)
    wrong = said.count("wrong")
    print(
        json.dumps(
            {
                "builds": len(said),
                "killed": killed,
                "failures": len(failures),
                "wrong": wrong,
            }
        )
    )
    raise SystemExit(bool(failures or wrong))


if __name__ == "__main__":
    main()
