import ast
import importlib.util
import itertools
import json
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import wsis as command
from tests.photos import draw_photos
from tests.test_architecture import ROOMS
from wsis import plugins

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.md"))


def blocks(language):
    for page in PAGES:
        found = re.findall(rf"```{language}\n(.+?)```", page.read_text(), re.S)
        for i, code in enumerate(found):
            yield pytest.param(code, id=f"{page.stem}-{i}")


@pytest.mark.parametrize(
    "path", sorted((ROOT / "docs").rglob("*.ipynb")), ids=lambda path: path.stem
)
def test_notebooks_run_and_hold_no_results(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = {"__name__": "notebook"}

    for cell in json.loads(path.read_text())["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            # A notebook shows the last value of a cell, here as a browser asks for it.
            *lines, last = ast.parse("".join(cell["source"])).body
            exec(compile(ast.Module(lines, []), path.name, "exec"), space)
            if isinstance(last, ast.Expr):
                shown = eval(
                    compile(ast.Expression(last.value), path.name, "eval"), space
                )
                for draw in {"_repr_html_", "_repr_png_"} & set(dir(shown)):
                    assert getattr(shown, draw)()
            else:
                exec(compile(ast.Module([last], []), path.name, "exec"), space)


@pytest.mark.parametrize("code", list(blocks("python")))
def test_python_snippets_run(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    exec(compile(code, "snippet", "exec"), {"__name__": "snippet"})


def inline(page):
    """The ``wsis`` commands in a page's text, and its options as one of a command."""
    for code in re.findall(r"`([^`]+)`", (ROOT / "docs" / page).read_text()):
        if code.startswith("wsis ") and code != "wsis convert":
            yield code
        elif code.startswith("--") and code != "--set" and "cfg-options" not in code:
            yield f"wsis {OPTIONS.get(code.split()[0], 'train')} {code}"


OPTIONS = {"--min-score": "predict", "--val": "evaluate"}
"""Commands of options that ``wsis train`` lacks."""


@pytest.mark.parametrize(
    "code", [*blocks("sh"), *inline("coming-from.md"), *inline("when-not.md")]
)
def test_commands_in_the_docs_are_understood(code):
    """Every ``wsis`` command names what exists: options, miners, settings."""
    import typer

    from wsis import plugins
    from wsis.cli import app
    from wsis.experiments import vary
    from wsis.runs.recipes import Recipe
    from wsis.runs.settings import Part, Settings

    group = typer.main.get_command(app)
    for line in re.findall(r"^.*?\bwsis ((?!\[)[a-z].*)$", code, re.M):
        words = line.split("#")[0].split("&&")[0].split()
        command = group
        while words and hasattr(command, "commands"):
            if words[0].startswith("--") and command is not group:
                break  # the options of a group that is a command itself
            command = command.commands[words.pop(0)]
        options = {
            name for p in command.params for name in (*p.opts, *p.secondary_opts)
        }
        for name, value in itertools.pairwise([*words, ""]):
            if name.startswith("--"):
                assert name in options, line
            if name in ("--miners", "--miner"):
                for part in value.split(","):
                    assert Part.parse(part).build("miners"), line
            if name == "--vary":
                assert all(
                    v.settings(Settings()) for v in vary(value, Part(name="cim"))
                )
            if name == "--set" and not value.startswith("weights="):  # of refine
                Settings.read([value])
            if name == "--recipe" and not value.endswith(".toml"):
                assert Recipe.read(value), line
            if name == "--data":
                assert Part.parse(value).name in plugins.names("datasets")


def commands():
    """The commands of wsis in the pages' snippets, each once, as they are typed."""
    found = {}
    for code in blocks("sh"):
        for line in re.findall(r"^.*?\bwsis ((?!\[)[a-z].*)$", code.values[0], re.M):
            found[" ".join(line.split("#")[0].split("&&")[0].split())] = None
    return [*found]


RUN = (
    "doctor",
    "doctor photos",
    "doctor --data coco --images photos --train tags.json --val masks.json",
    "new miner largest",
    "proposals show photos/one.jpg --out proposals",
    "recipe diff voc12-cim-r50 voc12-cim-vgg16",
    "recipe list",
    "recipe show voc12-cim-r50",
    "run",
    "start photos",
)
"""Commands of the pages that a test types, ``wsis run`` with ``--dry-run``."""

NOT_RUN = {
    "bench": "trains for minutes; tests/experiments and tests/cli/test_benching.py",
    "convert": "needs a checkpoint of the authors; tests/runs/test_convert.py",
    "doctor wsis-out": "needs a run; tests/cli/test_doctor.py",
    "evaluate": "needs a run; tests/cli/test_commands.py",
    "export": "needs predictions; tests/report/test_formats.py",
    "predict": "needs a run; tests/cli/test_own_photos.py and test_videos.py",
    "proposals": "needs stores or other programs' files; tests/cli/test_storing.py",
    "refine": "trains for minutes; tests/cli/test_refining.py",
    "report": "needs a bench or predictions; tests/report/test_found.py",
    "show": "serves until it is stopped; tests/cli/test_showing.py",
    "train": "trains for minutes; tests/cli/test_commands.py and test_road.py",
    "tune": "trains for minutes; tests/cli/test_tuning.py",
}
"""Commands of the pages that are only parsed: why, and where they run on less."""


def test_every_command_of_the_pages_is_run_or_says_why_not():
    others = [line for line in commands() if line not in RUN]
    unknown = [line for line in others if not line.startswith((*NOT_RUN,))]
    unused = [one for one in NOT_RUN if not any(x.startswith(one) for x in others)]
    named = re.findall(r"(tests/[\w/]+(?:\.py)?)", " ".join(NOT_RUN.values()))

    assert (unknown, unused) == ([], [])
    assert set(RUN) <= set(commands())
    assert all((ROOT / path).exists() for path in named)


def test_cheap_commands_of_the_pages_run(tmp_path, monkeypatch):
    """In one folder, as a reader types them; photos are small."""
    drawn = draw_photos(tmp_path / "drawn")
    for number, path in enumerate(sorted(drawn.images.iterdir())):
        folder = tmp_path / "photos" / ("square", "disc")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
    monkeypatch.setenv("WSIS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    expected = {
        "doctor photos": "7 photos of 2 classes",
        "recipe list": "photos-small",
        "new miner largest": "largest",
        "start photos": "wsis.toml",
        "run": "train: to do",
    }

    for line in [one for one in commands() if one in RUN and "--data" not in one]:
        if line.startswith("proposals"):
            shutil.copy(drawn.images / "val0.png", tmp_path / "photos" / "one.jpg")
        more = ["--dry-run"] if line == "run" else []
        text = command(*line.split(), *more)
        assert expected.get(line, "") in text, line
        (tmp_path / "photos" / "one.jpg").unlink(missing_ok=True)
    # Beside a folder of tags it is another data set: photos as a json names them.
    monkeypatch.chdir(tmp_path / "drawn")
    drawn.images.rename("photos")
    drawn.train.rename("tags.json")
    drawn.val.rename("masks.json")
    [line] = [one for one in RUN if "--data" in one]
    assert "tags: 4 photos of 2 classes" in command(*line.split())


def test_tables_are_those_of_the_results():
    command = [sys.executable, ROOT / "benchmarks" / "tables.py", "--check"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_a_stale_table_is_noticed(tmp_path):
    tables = script("benchmarks/tables.py")
    (tmp_path / "one.jsonl").write_text(
        '{"table": "a", "cells": {"x": "cim", "mAP50": {"mean": 1.0, "sd": 0.5}}}\n'
        '{"table": "b", "cells": {"again": "=a/cim/mAP50", "seeds": 3}}\n'
    )
    page = "<!-- table: b -->\n| again |\n<!-- end -->\n"

    filled = tables.filled(page, tables.read(tmp_path))

    assert "| 1.0 ± 0.5 | 3 |" in filled
    assert tables.filled(filled, tables.read(tmp_path)) == filled


def test_every_table_of_the_results_is_on_a_page():
    tables = script("benchmarks/tables.py")
    marks = "".join(page.read_text() for page in (*PAGES, *BENCHMARKS))

    unused = [n for n in tables.read() if f"<!-- table: {n} -->" not in marks]

    assert not unused


def test_the_architecture_has_a_line_for_every_room():
    page = (ROOT / "docs" / "architecture.md").read_text()
    rooms = page.split("## Rooms")[1].split("\n## ")[0]

    assert re.findall(r"^\| `(\w+)` \| .+ \|$", rooms, re.M) == ROOMS


def test_the_architecture_picture_has_every_room():
    picture = script("docs/make_architecture_picture.py")

    assert picture.drawn() == picture.rooms() == set(ROOMS)


@pytest.mark.parametrize("page", [*PAGES, *BENCHMARKS], ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there.read_text()), target


def test_quoted_messages_exist():
    """Each message of the troubleshooting page stands in the code, … being a gap."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    table = page.split("## Messages")[1].split("\n## ")[0]
    quoted = re.findall(r"^\| (?!message|---)(.+?) \|", table, re.M)
    said = "\n".join(
        str(node.value)
        for path in (ROOT / "wsis").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    assert len(quoted) > 10
    for message in quoted:
        for piece in message.split("…"):
            assert piece.strip(" ;.") in said, message


def test_names_in_the_docs_exist():
    for page in [*PAGES, *BENCHMARKS]:
        text = page.read_text().split("## Modules that moved")[0]
        for name in re.findall(r"`(wsis(?:\.\w+)+)", text):
            if name.split(".")[1] not in (*plugins.KINDS, "toml"):
                pkgutil.resolve_name(name)


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")))
def test_examples_fit_on_a_screen_and_use_public_names(path):
    code = path.read_text()
    modules = [
        part
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.ImportFrom) and node.module
        for part in node.module.split(".")
    ]

    assert len(code.splitlines()) <= 40
    assert not [part for part in modules if part.startswith("_")]


def script(path):
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def anchors(text):
    """The anchors that GitHub and MkDocs give a page's headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    words = [re.sub(r"[^\w\- ]", "", heading.lower()).strip() for heading in headings]
    return {word.replace(" ", "-") for word in words}
