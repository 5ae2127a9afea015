import re
from typing import get_args

import pytest

from tests.command import wsis
from tests.test_docs import ROOT, anchors
from wsis._support.checks import warn
from wsis.report import Exported
from wsis.runs.advice import Topic

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
TABLE = PAGE.split("## Messages")[1].split("\n## ")[0]
ROWS = re.findall(r"^\| (?!message|---)(.+?) \| ", TABLE, re.M)
LINK = re.compile(r"\(wsis help ([\w-]+)\)")


@pytest.fixture
def says(tmp_path, monkeypatch):
    """What the command line prints of an error, or of warnings, within a command."""

    def said(*told, code=0):
        def export(*given, **more):
            for one in told:
                if isinstance(one, Exception):
                    raise one
                warn(one)
            return Exported(photos=0, instances=0, empty=0, hidden=0, renamed=0)

        monkeypatch.setattr("wsis.report.export", export)
        return wsis("export", tmp_path, "--format", "coco", "--out", "x", code=code)

    return said


def test_every_section_is_linked_from_what_wsis_says():
    """From an advice, or from the row of a message."""
    advice = {one.replace(" ", "-") for one in get_args(Topic)}
    rows = set(re.findall(r"\]\(#(.+?)\)", TABLE))
    sections = anchors(PAGE) - {"troubleshooting", "messages", "advice"}

    assert advice | rows == sections
    listed = wsis("help").split()
    assert set(listed[: listed.index("and")]) == sections


@pytest.mark.parametrize("row", ROWS)
def test_every_message_carries_the_words_that_lead_to_its_row(row, says):
    said = "a " + row.replace("…", "something") + " b"

    text = says(ValueError(said), code=1)

    [name] = LINK.findall(text)
    assert text == f"wsis: {' '.join(said.split())} (wsis help {name})"
    shown = wsis("help", name)
    assert "why: " in shown
    assert all(one.strip(" ;.") in said for one in shown.split(" why:")[0].split("…"))


def test_warnings_carry_them_too_and_only_once(says):
    pages = "a.tif has and others have several pages or frames"
    told = f"{pages} (wsis help masks-that-cover-the-photo)"

    text = says(pages, told, "nothing of the page")

    assert f"warning: {pages} (wsis help have-several-pages-or)" in text
    assert f"warning: {told} warning: nothing of the page 0 instances" in text


@pytest.mark.parametrize(
    "error",
    [MemoryError("no room"), RuntimeError("CUDA out of memory. Tried to allocate")],
)
def test_too_little_memory_leads_to_what_needs_less(error, says):
    text = says(error, code=1)

    assert text.startswith("wsis: memory ran out: ")
    assert LINK.findall(text) == ["memory-ran-out"]
    assert "wsis help the-machine-is-too-small" in wsis("help", "memory-ran-out")
    assert "head.chunk=64" in wsis("help", "the", "machine", "is", "too", "small")


def test_words_find_what_has_them_all_and_others_are_refused():
    text = wsis("help", "other", "proposals")

    assert "has other proposals why: a store keeps one source" in text
    assert f"{len(ROWS)} messages" in wsis("help")
    assert "miss objects" in wsis("help", "proposals", "miss", "objects")
    assert "got 'no such words'" in wsis("help", "no", "such", "words", code=2)


@pytest.mark.parametrize("words", [["predict"], ["proposals", "make"]])
def test_the_name_of_a_command_gives_its_help(words):
    assert wsis("help", *words) == wsis(*words, "--help")
