import subprocess
import sys

import pytest

from tests.command import wsis

KINDS = ("miner", "sampler", "assigner", "source", "cues", "head")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_packages_of_every_kind_pass_their_tests(here):
    for kind in KINDS:
        wsis("new", kind, f"blue_{kind}s", "--out", f"packages/{kind}")
    tests = [sys.executable, "-m", "pytest", "-q", "-W", "error"]

    done = subprocess.run([*tests, "packages"], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_package_says_what_to_type_and_has_its_names(here):
    said = wsis("new", "miner", "large_first", "--out", "my parts")

    assert "next: pip install -e './my parts' && pytest './my parts'" in said
    assert "then: wsis bench --miners cim,large_first" in said
    files = {path.name: path.read_text() for path in (here / "my parts").iterdir()}
    assert sorted(files) == [
        "README.md",
        "large_first.py",
        "pyproject.toml",
        "test_large_first.py",
    ]
    assert "\nclass LargeFirstMiner:\n" in files["large_first.py"]
    declared = '[project.entry-points."wsis.miners"]\nlarge_first = '
    assert f'{declared}"large_first:LargeFirstMiner"' in files["pyproject.toml"]
    assert not [text for text in files.values() if "new_part" in text.lower()]


def test_a_name_that_ends_with_the_kind_is_not_doubled(here):
    wsis("new", "miner", "blue_miner")

    assert "class BlueMiner:" in (here / "blue_miner" / "blue_miner.py").read_text()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my-miner", "lower-case letters, digits and _.* such as my_miner; got"),
        ("Large", "such as large; got 'Large'"),
        ("1st", "the first a letter"),
        ("a.b", "such as a_b"),
        ("größer", "the first a letter, the last no _; got 'größer'"),
        ("large_", "the last no _, such as large"),
        ("", "got ''"),
        ("class", "'class' is a reserved word; try class_miner"),
        ("none", "'none' is a reserved word"),
        ("cim", "a miner 'cim' is installed; choose another name, such as my_cim"),
        ("random", "'random' is a row of every bench's table; try random_miner"),
        ("json", "a package 'json' is installed, which this one would hide"),
        ("torch", "a package 'torch' is installed.* such as torch_miner"),
        ("pillow", "a package 'pillow' is installed"),
        ("scikit_image", "a package 'scikit_image' is installed"),
        ("wsis", "a package 'wsis' is installed"),
    ],
)
def test_names_that_python_or_wsis_cannot_take_are_refused(here, name, message):
    import re

    said = wsis("new", "miner", name, code=2)

    assert re.search(message, said), said
    assert list(here.iterdir()) == []


def test_a_parts_name_may_be_that_of_another_kind(here):
    wsis("new", "miner", "agpl")

    assert (here / "agpl" / "agpl.py").exists()


def test_nothing_is_overwritten(here):
    wsis("new", "miner", "blue")
    (here / "blue" / "blue.py").write_text("mine")
    (here / "file").write_text("mine")

    again = wsis("new", "miner", "blue", code=2)
    other = wsis("new", "miner", "green", "--out", "blue", code=2)
    file = wsis("new", "miner", "green", "--out", "file", code=2)

    assert "blue exists; choose another --out, or remove it" in again
    assert "blue exists" in other
    assert "file exists" in file
    assert (here / "blue" / "blue.py").read_text() == "mine"


def test_an_unknown_kind_lists_those_there_are(here):
    said = wsis("new", "minor", "blue", code=2)

    assert all(kind in said for kind in KINDS)
