import subprocess
import sys

import pytest

HEAVY = ("nicegui", "scipy", "skimage", "timm", "torch", "torchvision", "transformers")


@pytest.mark.parametrize(
    "command",
    [
        ("--version",),
        ("--help",),
        ("bench", "--help"),
        ("proposals", "make", "--help"),
        ("recipe", "list"),
        ("recipe", "show", "voc12-cim-r50"),
        ("recipe", "diff", "scenes-small"),
        ("parts",),
        ("start", "--help"),
        ("run", "--help"),
        ("show", "--help"),
        ("new", "--help"),
    ],
    ids=" ".join,
)
def test_answers_without_what_is_slow_to_import(command):
    code = (
        "import sys\n"
        "from wsis.cli import app\n"
        f"app({command!r}, standalone_mode=False)\n"
        f"print([one for one in {HEAVY} if one in sys.modules])"
    )
    run = [sys.executable, "-c", code]

    done = subprocess.run(run, check=True, capture_output=True, text=True)

    assert done.stdout.splitlines()[-1] == "[]"
