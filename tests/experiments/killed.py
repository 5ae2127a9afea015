"""Benches that are killed at random, and resumed."""

import os
import random
import shutil
import signal
import time
import traceback
import warnings
from pathlib import Path

import torch

from tests.drawn import Masked, Squares, settings
from wsis.experiments import Comparison, compare, variants_of
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Part

MINERS = [Part(name="cim"), Part(name="oicr")]


def bench(cache: Path, folder: Path, folds: int | None = None) -> Comparison:
    pipeline = Pipeline(settings(f"schedule.epochs={1 if folds else 4}"), cache)
    data = Masked(train=5, val=4) if folds else Squares()
    return compare(
        variants_of(MINERS), data, pipeline, seeds=[0, 1], folder=folder, folds=folds
    )


def started(cache: Path, folder: Path, folds: int | None) -> int:
    """A process that benches; forked, as importing everything takes longest."""
    with warnings.catch_warnings():
        # Of forks beside threads: those of torch have ended their work.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        torch.set_num_threads(1)
        try:
            bench(cache, folder, folds)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return child


def killed_and_resumed(
    cache: Path, whole: Path, broken: Path, folds: int | None = None
) -> None:
    """Bench undisturbed into one folder, and into the other killed twice, at random.

    A bench that ends before its moment is forgotten, and the next moments are earlier.
    """
    began = time.perf_counter()
    assert os.waitpid(started(cache, whole, folds), 0)[1] == 0
    took = time.perf_counter() - began
    moments = random.Random(3)
    killed = 0
    while killed < 2:
        child = started(cache, broken, folds)
        time.sleep(took * moments.uniform(0.2, 0.7))
        os.kill(child, signal.SIGKILL)
        if os.WIFSIGNALED(os.waitpid(child, 0)[1]):
            killed += 1
        else:
            shutil.rmtree(broken)
            killed, took = 0, took / 2
    assert os.waitpid(started(cache, broken, folds), 0)[1] == 0
