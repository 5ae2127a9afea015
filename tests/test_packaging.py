"""What is handed on holds what its tests need, and CI runs what is written down."""

import ast
import subprocess
import sys
import tarfile
from pathlib import Path
from shutil import which

import pytest
from hatchling.builders.sdist import SdistBuilder

ROOT = Path(__file__).parent.parent
OWN = ("benchmarks", "docs", "examples", "tests", "wsis")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The source distribution, unpacked."""
    pytest.importorskip("hatch_vcs", reason="the extra 'test' is not installed")
    folder = tmp_path_factory.mktemp("sdist")
    [archive] = SdistBuilder(str(ROOT)).build(directory=str(folder))
    with tarfile.open(archive) as content:
        content.extractall(folder / "unpacked", filter="data")
    [unpacked] = (folder / "unpacked").iterdir()
    return unpacked


def imports(path):
    """Modules of this repository that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found = [node.module]
        else:
            continue
        yield from (name for name in found if name.split(".")[0] in OWN)


def named(path):
    """Files and folders of this repository that a file names from its root."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            left, right = node.left, node.right
            if getattr(left, "id", None) == "ROOT" and isinstance(right, ast.Constant):
                yield right.value


def test_the_sdist_holds_every_module_that_its_tests_import(sdist):
    needed = {
        name for path in (sdist / "tests").rglob("*.py") for name in imports(path)
    }
    missing = [
        name
        for name in sorted(needed)
        for place in [sdist.joinpath(*name.split("."))]
        if not (place.with_suffix(".py").is_file() or place.is_dir())
    ]

    assert {"benchmarks.parity", "tests.drawn", "wsis.contracts"} <= needed
    assert missing == []


def test_the_sdist_holds_every_file_that_its_tests_read(sdist):
    needed = {name for path in (sdist / "tests").rglob("*.py") for name in named(path)}

    assert {"README.md", "docs", ".ci"} <= needed
    assert [name for name in sorted(needed) if not (sdist / name).exists()] == []
    for folder in ("docs", "examples", "benchmarks", "tests"):
        here = {path.name for path in (ROOT / folder).glob("*.[pm][yd]")}
        assert {path.name for path in (sdist / folder).glob("*.[pm][yd]")} == here


def output(*command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def test_ci_runs_the_readmes_command_and_the_checks():
    script = (ROOT / ".ci" / "run").read_text()
    reader = script.partition("<<'PY'\n")[2].partition("\nPY\n")[0]
    command = output(sys.executable, "-c", reader)

    assert "pip install -e '.[test]'" in command
    assert "pytest -q" in command
    assert "\n.ci/checks ||" in script


@pytest.mark.skipif(which("make") is None, reason="make is not installed")
def test_make_check_runs_what_ci_runs():
    made = output("make", "--dry-run", "check").splitlines()

    assert made[0].startswith("pytest -q")
    assert made[1:] == [".ci/checks"]
