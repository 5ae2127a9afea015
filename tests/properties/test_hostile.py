"""Files from anywhere: nothing in them runs, fills the memory or steers a terminal."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from typer.testing import CliRunner

import wsis
from benchmarks.fuzz import INPUTS, bomb_npz, bomb_png
from wsis._support.files import parse_json
from wsis.cli import app
from wsis.data import read_image
from wsis.proposals.importers import FORMATS

ROOT = Path(__file__).parents[2]
OWL = "\x1b]0;owned\x07owl"


def test_every_reader_answers_or_refuses() -> None:
    kinds = [kind for kind in INPUTS if kind != "weights"]

    # By itself, as the run-time check of types looks into what is read later.
    script = [sys.executable, ROOT / "benchmarks" / "fuzz.py", "--count", "120"]
    named = [word for kind in kinds for word in ("--kind", kind)]
    done = subprocess.run(
        [*script, "--seed", "17", *named],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["read"] > 5
    assert told["refused"] > 60
    assert told["memory MiB"] < 512


def test_a_bomb_is_refused_before_it_unfolds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb, before = tmp_path / "bomb.png", Pillow.MAX_IMAGE_PIXELS
    bomb.write_bytes(bomb_png(20_000, 10_000))

    with pytest.raises(ValueError, match=r"20000 × 10000 pixels.*178,956,970.*_PIXELS"):
        read_image(bomb)

    small = tmp_path / "small.png"
    Pillow.fromarray(np.zeros((6, 5, 3), np.uint8)).save(small)
    monkeypatch.setenv("WSIS_MAX_PIXELS", "29")
    with pytest.raises(ValueError, match=r"5 × 6 pixels, more than the 29"):
        read_image(small)
    monkeypatch.setenv("WSIS_MAX_PIXELS", "30")
    assert read_image(small).shape == (6, 5, 3)
    monkeypatch.setenv("WSIS_MAX_PIXELS", "many")
    with pytest.raises(ValueError, match="WSIS_MAX_PIXELS to be a number"):
        read_image(small)
    assert before == Pillow.MAX_IMAGE_PIXELS


def test_an_array_that_unfolds_is_refused_by_its_header(tmp_path: Path) -> None:
    (tmp_path / "photo.npz").write_bytes(bomb_npz((4, 2**15, 2**15), "masks"))
    [found] = FORMATS["npz"].importer(tmp_path, ())

    with pytest.raises(ValueError, match=r"expected masks of 12 x 16 pixels"):
        found.read((12, 16))


def test_postscript_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")

    with pytest.raises(ValueError, match="PostScript"):
        read_image(path)


def test_json_that_nests_too_deep_is_refused() -> None:
    with pytest.raises(ValueError, match="nest too deep"):
        parse_json("[" * 100_000)


def test_nothing_steers_the_terminal(tmp_path: Path) -> None:
    recipe = tmp_path / "own.toml"
    recipe.write_text(
        'description = "\\u001b]0;owned\\u0007owl"\ndata = "scenes"\nminer = "cim"\n'
        "[settings]\n"
    )

    shown = CliRunner().invoke(app, ["recipe", "show", str(recipe)])

    assert shown.exit_code == 0
    assert "\x1b]" not in shown.output
    assert r"\x1b]0;owned\x07owl" in shown.output
    refused = CliRunner().invoke(app, ["recipe", "show", f"no {OWL}, собака, 犬"])
    assert r"\x1b]0;owned\x07owl" in refused.output
    assert "собака, 犬" in refused.output


def test_nothing_is_unpickled() -> None:
    """Every call that could says that it must not.

    A worker of a cluster reads what the command has sent it, on the connection on which
    Dask sends code.
    """
    sent = Path(wsis.__file__).parent / "_support/cluster.py"
    wanted = {
        "torch.load": "weights_only=True",
        "np.load": "allow_pickle=False",
    }
    calls = []
    for path in Path(wsis.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if path != sent:
                assert not name.startswith(("pickle.load", "pickle.Unpickler")), path
            if name in wanted:
                calls.append(name)
                assert wanted[name] in ast.unparse(node), path
    assert set(calls) == set(wanted)
