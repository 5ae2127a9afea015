"""Times wsis's miners against the plain loops of ``plain_mining`` on drawn boxes.

    python benchmarks/mining.py --proposals 500 2000

Medians over several runs, of the mining alone: overlaps are given to both, and to the
plain loops as lists. Results must be identical. Exit status: 0, or 1 if they are not.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import torch
from plain_mining import MINERS, found, plain

from wsis.contracts import BranchScores, Miner
from wsis.geometry.overlap import box_overlaps
from wsis.mining import CIMMiner, MISTMiner, OICRMiner

OURS: dict[str, Miner] = {"cim": CIMMiner(), "mist": MISTMiner(), "oicr": OICRMiner()}
CLASSES, PRESENT = 20, 3


def drawn(proposals: int, seed: int) -> tuple[BranchScores, torch.Tensor, torch.Tensor]:
    """Scores of 12 bits, boxes and tags."""
    generator = torch.Generator().manual_seed(seed)
    shape = (proposals, CLASSES + 1)
    bits = torch.randint(1, 2**12, (2, *shape), generator=generator)
    corner = torch.rand(proposals, 2, generator=generator) * 400
    # Squared: many small boxes inside few large ones, as proposals are.
    size = 10 + torch.rand(proposals, 2, generator=generator).square() * 230
    tags = torch.zeros(CLASSES, dtype=torch.bool)
    tags[torch.randperm(CLASSES, generator=generator)[:PRESENT]] = True
    return BranchScores(*(bits / 2**12)), torch.cat([corner, corner + size], 1), tags


def timed(call: Callable[[], Any], runs: int) -> tuple[Any, float]:
    """The result and the median time in seconds."""
    times = []
    for _ in range(runs):
        start = perf_counter()
        result = call()
        times.append(perf_counter() - start)
    return result, median(times)


def main(arguments: list[str] | None = None) -> int:
    """Prints the table; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--proposals", type=int, nargs="+", default=[500, 2000])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    equal = True
    threads = torch.get_num_threads()
    print(f"{PRESENT} of {CLASSES} classes present, {threads} threads, CPU")
    print("miner      N   found    plain ms     wsis ms     ratio  identical")
    for proposals in options.proposals:
        scores, boxes, tags = drawn(proposals, options.seed)
        overlaps = box_overlaps(boxes)
        problem = plain(scores, overlaps, tags)
        for name, miner in OURS.items():
            slow, slow_time = timed(partial(MINERS[name], problem), options.runs)
            mine = partial(miner, scores, overlaps, tags)
            mine()  # The first call warms up torch.
            fast, fast_time = timed(mine, options.runs * 5)
            same = found(fast) == slow
            equal &= same
            print(
                f"{name:5} {proposals:6} {len(slow):7} {slow_time * 1e3:11.2f} "
                f"{fast_time * 1e3:11.2f} {slow_time / fast_time:9.1f}  {same}"
            )
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
