"""Benches that are killed at random, and resumed.

python -m tests.experiments.killed CACHE WHOLE BROKEN [FOLDS]

Runs one bench into WHOLE undisturbed, and the same into BROKEN, killed at random
moments and started again. Prints how often it was killed.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from tests.drawn import Masked, Squares, settings
from wsis.experiments import Comparison, compare_variants, variants_of
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Part

MINERS = [Part(name="cim"), Part(name="oicr")]
KILLS = 2


def bench(cache: Path, folder: Path, folds: int | None = None) -> Comparison:
    pipeline = Pipeline(settings(f"schedule.epochs={1 if folds else 4}"), cache)
    data = Masked(train=5, val=4) if folds else Squares()
    return compare_variants(
        variants_of(MINERS), data, pipeline, seeds=[0, 1], folder=folder, folds=folds
    )


def started(cache: Path, folder: Path, folds: int | None) -> int:
    """A process that benches; forked, as importing everything takes longest."""
    child = os.fork()
    if not child:
        torch.set_num_threads(1)
        try:
            bench(cache, folder, folds)
        except BaseException as error:
            print(error, file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return child


def killed_and_resumed(*given: Path | int) -> int:
    """How often the benches were killed; this module in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.experiments.killed", *map(str, given)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def main(cache: Path, whole: Path, broken: Path, folds: int | None = None) -> int:
    began = time.perf_counter()
    if os.waitpid(started(cache, whole, folds), 0)[1]:
        return 1
    took = time.perf_counter() - began
    moments = random.Random(3)
    killed = 0
    for _ in range(2 if folds else KILLS):
        child = started(cache, broken, folds)
        time.sleep(took * moments.uniform(0.2, 0.7))
        os.kill(child, signal.SIGKILL)
        killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    print(killed)
    return os.waitstatus_to_exitcode(os.waitpid(started(cache, broken, folds), 0)[1])


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:4]), *map(int, sys.argv[4:])))
