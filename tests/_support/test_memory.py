import gc
import platform

import numpy as np
import pytest
import torch

from wsis._support import memory
from wsis._support.memory import give_back, peak_megabytes, reset_peak, uncollected

CPU = torch.device("cpu")


def test_the_peak_covers_memory_that_is_gone_again():
    reset_peak(CPU)
    before = peak_megabytes(CPU)
    held = np.ones(40_000_000)
    del held

    assert peak_megabytes(CPU) > before + 200


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
def test_what_is_given_back_is_no_longer_held():
    # Blocks too small to be mapped by themselves, the last of which is kept: without
    # it the rest would go back by itself.
    blocks = [np.ones(10_000) for _ in range(1000)]
    last = blocks.pop()
    blocks.clear()
    reset_peak(CPU)
    before = peak_megabytes(CPU)

    give_back()

    reset_peak(CPU)
    assert peak_megabytes(CPU) < before - 60
    assert last.sum() == 10_000


@pytest.mark.parametrize("on", [True, False])
def test_garbage_is_left_alone_for_a_while(on):
    was = gc.isenabled()
    try:
        (gc.enable if on else gc.disable)()
        with uncollected():
            assert not gc.isenabled()
        assert gc.isenabled() == on
    finally:
        (gc.enable if was else gc.disable)()


def test_free_memory_is_what_a_container_has_left(tmp_path, monkeypatch):
    meminfo, limit, stat = (tmp_path / name for name in ("info", "max", "stat"))
    monkeypatch.setattr(memory, "_FREE", meminfo)
    monkeypatch.setattr(memory, "_LIMITS", ((limit, stat, "anon"),))
    assert memory.free_megabytes() is None

    meminfo.write_text("MemTotal: 9000000 kB\nMemAvailable: 8388608 kB\n")
    assert memory.free_megabytes() == 8192
    limit.write_text("max\n")
    stat.write_text("anon 1073741824\nfile 5\n")
    assert memory.free_megabytes() == 8192
    limit.write_text(f"{4 * 2**30}\n")
    assert memory.free_megabytes() == 3072
