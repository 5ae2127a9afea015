"""Settings are read in an instant: what they are made of loads no torch."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "wsis._support.checks",
        "wsis.features.scale",
        "wsis.training.schedule",
        "wsis.training.selection",
    ],
)
def test_settings_are_importable_without_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
