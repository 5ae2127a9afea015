"""Kill, starve and corrupt the work of wsis, start it again, and compare the results.

    python benchmarks/chaos.py --kills 50 --faults --record

Every piece of work runs twice undisturbed. Then it is killed (SIGKILL, all processes)
at ``--kills`` random moments, each in a new folder, and started again there. With
``--faults`` it also meets a full disk, a read-only one, kept files that are cut,
damaged or exchanged, and a clock set back. Needs Linux and the right to mount.

An outcome is ``same`` (the restart ends with the undisturbed result), ``told`` (it
stops with one line that says what is wrong) or a failure: ``wrong`` (another result) or
``crash`` (anything else). The last line is JSON; the exit code is 1 after a failure.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

DATA = ("--data", "scenes:train_images=6:val_images=4")
SETTINGS = ("source.nodes=60", "source.pairs=30", "anti_noise=false")
SMALL = (
    *("--recipe", "paper-small"),
    *(word for one in SETTINGS for word in ("--set", one)),
)
SIDES = ("--set", "train_sides=64", "--set", "test_sides=64")
"""Of the run that is refined, as it looks at photos anew."""

PASSING = {
    *("train_seconds", "predict_seconds", "prepare_seconds", "judge_seconds"),
    *("look_seconds", "seconds", "peak_memory_mb", "created", "finished"),
}
"""Figures that differ between any two runs."""


@dataclass(frozen=True)
class Work:
    """A command, what it may find ready, and how its result is read."""

    name: str
    command: tuple[str, ...]
    result: Callable[[Path], object]
    ready: tuple[str, ...] = ()
    again: tuple[str, ...] = ()

    def arguments(self, folder: Path, *, again: bool = False) -> list[str]:
        """Return the command line in a folder."""
        words = (*self.command, *(self.again if again else ()))
        return [word.replace("DIR", str(folder)) for word in words]


def stripped(value: object) -> object:
    """Leave out of a result what differs between any two runs."""
    if isinstance(value, dict):
        return {k: stripped(v) for k, v in value.items() if k not in PASSING}
    return [stripped(one) for one in value] if isinstance(value, list) else value


def digest(path: Path) -> str:
    """Return the digest of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stored(folder: Path) -> object:
    """Return the digests of a store's proposals by photo."""
    from wsis.proposals.shards import Store

    store = Store.open(folder / "out")
    sets = {key: store.get(key) for key in sorted(store.entries)}
    return {
        str(key): hashlib.sha256(
            one.regions.numpy().tobytes() + one.members.numpy().tobytes()
        ).hexdigest()
        for key, one in sets.items()
    }


def trained(folder: Path) -> object:
    """Return the digest of a run's model, and its losses."""
    card = json.loads((folder / "out/run.json").read_text())
    return digest(folder / "out/model.safetensors"), card["losses"]


def compared(folder: Path) -> object:
    """Return the figures of a bench."""
    return stripped(json.loads((folder / "out/results.json").read_text()))


def tuned(folder: Path) -> object:
    """Return the figures of a tuning."""
    return stripped(json.loads((folder / "out/tune.json").read_text()))


def refined(folder: Path) -> object:
    """Return the digests of a refined model and of its pseudo labels."""
    names = "model.safetensors", "pseudo_labels.json", "results.json"
    return [digest(folder / "out" / name) for name in names]


OUT = ("--out", "DIR/out")
CACHED = ("--cache", "DIR/cache")
WORKS = {
    work.name: work
    for work in (
        Work(
            "proposals",
            (
                *("proposals", "make", "--source", "region_tree:nodes=60:pairs=30"),
                *(*DATA, *OUT),
            ),
            stored,
        ),
        Work(
            "features",
            (*("train", *DATA, *SMALL, *OUT, *CACHED), "--steps", "1"),
            trained,
            again=("--resume",),
        ),
        Work(
            "training",
            (*("train", *DATA, *SMALL, *OUT, *CACHED), "--set", "schedule.epochs=12"),
            trained,
            ready=("cache",),
            again=("--resume",),
        ),
        Work(
            "bench",
            (
                *("bench", "--miners", "cim,oicr", "--seeds", "2", "--jobs", "1"),
                *(*DATA, *SMALL, *OUT, *CACHED, "--set", "schedule.epochs=2"),
            ),
            compared,
            ready=("cache",),
        ),
        Work(
            "tune",
            (
                *("tune", "--settings", "3", "--jobs", "1"),
                *(*DATA, *SMALL, *OUT, *CACHED, "--set", "schedule.epochs=2"),
            ),
            tuned,
            ready=("cache",),
        ),
        Work(
            "refine",
            (
                *("refine", "--run", "DIR/run", "--epochs", "3", "--set", "sides=64"),
                *("--set", "width=16", "--set", "regions=50"),
                *(*DATA, *OUT, *CACHED),
            ),
            refined,
            ready=("cache", "run"),
            again=("--resume",),
        ),
    )
}


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, None if killed, and what it printed."""

    code: int | None
    text: str
    seconds: float


def start(
    arguments: list[str], *, clock: float = 0.0, after: float | None = None
) -> Ended:
    """Run a command in a process of its own; kill it ``after`` so many seconds.

    The process is forked from this one, so that it has nothing left to import.
    """
    begin = time.monotonic()
    with tempfile.TemporaryFile("w+") as log:
        child = os.fork()
        if child == 0:
            _become(arguments, log.fileno(), clock)
        killed = False
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                break
            if after is not None and time.monotonic() - begin > after:
                os.killpg(child, signal.SIGKILL)
                killed, after = True, None
            time.sleep(0.002)
        # Workers that an end by ``os._exit`` leaves behind.
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        log.seek(0)
        text = log.read()
    code = (
        None if killed and os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)
    )
    return Ended(code, text, time.monotonic() - begin)


def _become(arguments: list[str], log: int, clock: float) -> None:
    """Turn this process into the command's; never returns."""
    os.setpgrp()
    for number in (1, 2):
        os.dup2(log, number)
    if clock:
        now = time.time
        time.time = lambda: now() + clock
    code = 3
    try:
        from wsis.cli import app

        app(arguments, standalone_mode=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Trial:
    """One piece of work, disturbed again and again."""

    def __init__(self, work: Work, base: Path, draw: random.Random) -> None:
        self.work, self.base, self.draw = work, base, draw
        self.count: Counter[str] = Counter()
        self.failures: list[str] = []
        self.wanted: object = None
        self.seconds = 0.0

    @contextmanager
    def folder(self, parent: Path | None = None) -> Iterator[Path]:
        """Make a folder in which the work may start; removed afterwards."""
        path = Path(tempfile.mkdtemp(dir=parent or self.base))
        try:
            for name in self.work.ready:
                shutil.copytree(self.base / "ready" / name, path / name)
            yield path
        finally:
            shutil.rmtree(path)

    def undisturbed(self) -> None:
        """Learn the right result, how long it takes, and that two runs agree."""
        for _ in range(2):
            with self.folder() as folder:
                ended = start(self.work.arguments(folder))
                if ended.code != 0:
                    raise SystemExit(
                        f"{self.work.name} fails undisturbed: {ended.text}"
                    )
                result, self.seconds = self.work.result(folder), ended.seconds
                if self.wanted is not None and result != self.wanted:
                    raise SystemExit(f"{self.work.name}: two runs differ")
                self.wanted = result

    def judge(self, folder: Path, what: str, *, clock: float = 0.0) -> None:
        """Start the work again and count how it ends."""
        ended = start(self.work.arguments(folder, again=True), clock=clock)
        outcome = self.outcome(folder, ended)
        self.count[outcome] += 1
        if outcome in ("wrong", "crash"):
            self.failures.append(f"{self.work.name}, {what}: {outcome}")
            print(self.failures[-1], "\n", ended.text[-2000:], flush=True)

    def outcome(self, folder: Path, ended: Ended) -> str:
        """Return the word for how a restart ended."""
        if ended.code == 0:
            return "same" if self.work.result(folder) == self.wanted else "wrong"
        said = any(line.startswith("wsis: ") for line in ended.text.splitlines())
        return "told" if said and "--debug" not in ended.text else "crash"

    def kill(self) -> None:
        """Kill the work at a random moment, then judge its restart."""
        moment = self.draw.uniform(0, self.seconds)
        with self.folder() as folder:
            start(self.work.arguments(folder), after=moment)
            self.judge(folder, f"killed after {moment:.2f} s")

    def faults(self) -> None:
        """Meet each fault once; damaged files in every file that is kept."""
        self.mounted("a full disk", full=True)
        self.mounted("a read-only disk", full=False)
        with self.folder() as folder:
            start(self.work.arguments(folder), after=self.seconds / 2)
            self.judge(folder, "clock set back by a day", clock=-86400)
        with self.folder() as folder:
            start(self.work.arguments(folder), after=0.6 * self.seconds)
            kept = sorted(path.relative_to(folder) for path in folder.rglob("*.*"))
            kept = [one for one in kept if (folder / one).is_file()]
            half = folder.with_name(folder.name + "-half")
            shutil.copytree(folder, half)
        try:
            for change in (cut, flip, exchange):
                for one in self.draw.sample(kept, min(6, len(kept))):
                    with self.folder() as folder:
                        shutil.copytree(half, folder, dirs_exist_ok=True)
                        what = change(folder, one)
                        if what:
                            self.judge(folder, what)
        finally:
            shutil.rmtree(half)

    def mounted(self, what: str, *, full: bool) -> None:
        """Work on a small or read-only disk, then on the same one with room."""
        disk = Path(tempfile.mkdtemp(dir=self.base))
        if not mount("-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)):
            self.count[f"not tried: {what}"] += 1
            return
        try:
            with self.folder(disk) as folder:
                if full:
                    used = shutil.disk_usage(disk).used // 1024 + 8
                    mount("-o", f"remount,size={used}k", str(disk))
                else:
                    mount("-o", "remount,ro", str(disk))
                ended = start(self.work.arguments(folder))
                outcome = self.outcome(folder, ended)
                if outcome != "told":
                    self.failures.append(f"{self.work.name}, {what}: {outcome}")
                    print(self.failures[-1], "\n", ended.text[-2000:], flush=True)
                self.count["crash" if outcome != "told" else "told"] += 1
                mount("-o", "remount,rw,size=64m", str(disk))
                self.judge(folder, f"after {what}")
        finally:
            subprocess.run(["umount", "--lazy", str(disk)], check=False)
            disk.rmdir()


def mount(*arguments: str) -> bool:
    """Mount or remount; return whether that worked."""
    return (
        subprocess.run(
            ["mount", *arguments], capture_output=True, check=False
        ).returncode
        == 0
    )


def cut(folder: Path, one: Path) -> str:
    """Leave the first half of a kept file."""
    content = (folder / one).read_bytes()
    (folder / one).write_bytes(content[: len(content) // 2])
    return f"{one} cut"


def flip(folder: Path, one: Path) -> str:
    """Change one bit in the middle of a kept file."""
    content = bytearray((folder / one).read_bytes())
    if not content:
        return ""
    content[len(content) // 2] ^= 1
    (folder / one).write_bytes(content)
    return f"{one} damaged"


def exchange(folder: Path, one: Path) -> str:
    """Exchange a kept file with the next one of its kind."""
    same = sorted((folder / one).parent.glob(f"*{one.suffix}"))
    if len(same) < 2:
        return ""
    here = folder / one
    other = same[(same.index(here) + 1) % len(same)]
    spare = here.with_name("spare")
    here.rename(spare)
    other.rename(here)
    spare.rename(other)
    return f"{one} exchanged with {other.name}"


def record(rows: dict[str, dict]) -> None:
    """Keep a row for each work, for the table in the docs; other works keep theirs."""
    path = Path(__file__).parent / "results/chaos.jsonl"
    kept = path.read_text().splitlines() if path.exists() else []
    lines = [one for one in map(json.loads, kept) if one["cells"]["work"] not in rows]
    lines += [
        {
            "table": "chaos",
            "cells": {
                "work": name,
                "killed": sum(row["killed"].values()),
                "same result": row["killed"].get("same", 0),
                "faults": sum(row["faults"].values()),
                "same": row["faults"].get("same", 0),
                "told": row["killed"].get("told", 0) + row["faults"].get("told", 0),
                "failed": sum(
                    row[part].get(word, 0)
                    for part in ("killed", "faults")
                    for word in ("wrong", "crash")
                ),
            },
        }
        for name, row in rows.items()
    ]
    order = list(WORKS)
    lines.sort(key=lambda line: order.index(line["cells"]["work"]))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def main() -> int:
    """Run the works that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", nargs="+", choices=WORKS, default=list(WORKS))
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", action="store_true", help="for docs/reliability.md")
    given = parser.parse_args()

    import torch

    # Imported here once, so that the processes forked from this one need not.
    from wsis.experiments import compare  # noqa: F401
    from wsis.runs import Pipeline  # noqa: F401

    torch.set_num_threads(1)
    base = Path(tempfile.mkdtemp(prefix="chaos-"))
    failures, rows = [], {}
    try:
        ready = base / "ready"
        for name, more in (("first", ()), ("run", SIDES)):
            words = ["train", *DATA, *SMALL, *more, "--set", "schedule.epochs=2"]
            words += ["--out", str(ready / name), "--cache", str(ready / "cache")]
            ended = start(words)
            if ended.code:
                raise SystemExit(ended.text)
        for name in given.work:
            trial = Trial(WORKS[name], base, random.Random(f"{given.seed} {name}"))
            trial.undisturbed()
            for _ in range(given.kills):
                trial.kill()
            killed = dict(trial.count)
            if given.faults:
                trial.faults()
            rows[name] = {
                "seconds": round(trial.seconds, 2),
                "killed": killed,
                "faults": dict(trial.count - Counter(killed)),
            }
            failures += trial.failures
            print(name, json.dumps(rows[name]), flush=True)
            if given.record:
                record({name: rows[name]})
    finally:
        shutil.rmtree(base)
    print(json.dumps({"kills": given.kills, "works": rows, "failures": failures}))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
