import numpy as np
import torch

from wsis.memory import peak_megabytes, reset_peak

CPU = torch.device("cpu")


def test_the_peak_covers_memory_that_is_gone_again():
    reset_peak(CPU)
    before = peak_megabytes(CPU)
    held = np.ones(40_000_000)
    del held

    assert peak_megabytes(CPU) > before + 200
