"""Compare HED's convolutions in float32 by NNPACK and by oneDNN in one run.

    python benchmarks/hed.py

Prints the seconds of one core that the network takes for an image of 480 × 640 pixels
at each scale, the least of ``--times``, and how far the edges differ. The weights are
found as the source ``hed`` finds them.
"""

import argparse
import time
from unittest.mock import patch

import numpy as np
import torch

from wsis.proposals import hed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=3)
    times = parser.parse_args().times
    torch.set_num_threads(1)
    if not hed._by_nnpack(torch.float32):
        raise SystemExit("this torch has no NNPACK, or not for this processor")
    random = np.random.default_rng(0)
    sums = np.zeros(2)
    print("scale    nnpack s    onednn s   ratio   largest difference")
    for scale in hed.SCALES:
        height, width = round(480 * scale), round(640 * scale)
        photo = random.integers(0, 256, (height, width, 3), np.uint8)
        (seconds, edges), (plain_seconds, plain) = (
            measured(photo, nnpack, times) for nnpack in (True, False)
        )
        sums += seconds, plain_seconds
        print(
            f"{scale:5}  {seconds:10.2f}  {plain_seconds:10.2f}"
            f"  {plain_seconds / seconds:6.2f}   {np.abs(edges - plain).max():.1e}"
        )
    print(f"  all  {sums[0]:10.2f}  {sums[1]:10.2f}  {sums[1] / sums[0]:6.2f}")


def measured(photo: np.ndarray, nnpack: bool, times: int) -> tuple[float, np.ndarray]:
    """Return the least seconds of a core, and the edges."""
    with patch.object(hed, "_by_nnpack", lambda dtype: nnpack):
        network = hed.read_network(hed.find_weights())
        seconds = []
        for _ in range(times):
            start = time.process_time()
            edges = network(photo)
            seconds.append(time.process_time() - start)
    return min(seconds), edges


if __name__ == "__main__":
    main()
