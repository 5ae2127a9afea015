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


@pytest.mark.parametrize("command", [("--help",), ("bench", "--help")], ids=" ".join)
def test_help_is_printed_without_reading_any_option(command):
    """To read options, Typer imports most of pydantic."""
    code = f"""
import sys
from wsis.cli import app
app({command!r}, standalone_mode=False)
print("pydantic.main" in sys.modules)
"""
    run = [sys.executable, "-c", code]

    done = subprocess.run(run, check=True, capture_output=True, text=True)

    assert "Show this" in done.stdout
    assert "default" not in done.stdout.partition("--help")[2].splitlines()[0]
    assert done.stdout.splitlines()[-1] == "False"
