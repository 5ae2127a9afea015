"""HED's weights on disk, of a narrow network."""

from pathlib import Path

import numpy as np
import pytest

from wsis.proposals.hed import LAYERS


def tiny_hed(
    path: Path, widths: tuple[int, ...] = (2, 3, 3, 2, 2), seed: int = 0
) -> Path:
    """A narrow network's weights as Keras names them; edges where channel 0 is lit."""
    h5py = pytest.importorskip("h5py")
    random = np.random.default_rng(seed)
    before = 3
    with h5py.File(path, "w") as file:

        def put(name: str, *shape: int) -> None:
            file[f"{name}/vars/0"] = random.normal(0, 0.1, shape).astype(np.float32)
            file[f"{name}/vars/1"] = random.normal(0, 0.1, shape[-1:]).astype("f4")

        for block, (layers, width) in enumerate(zip(LAYERS, widths, strict=True), 1):
            for layer in range(layers):
                name = f"conv2d_{layer}" if layer else "conv2d"
                put(f"block{block}/layers/{name}", 3, 3, before, width)
                before = width
            put(f"dsn{block}", 1, 1, width, 1)
        put("fuse", 1, 1, 5, 1)
    return path
