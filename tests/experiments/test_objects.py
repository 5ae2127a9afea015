"""Miners that somebody has in hand, compared without being installed."""

import json
import sys
from dataclasses import dataclass, replace
from html.parser import HTMLParser

import pytest

import wsis
from tests.drawn import Squares, settings
from tests.experiments.strangers import LargeMiner
from wsis.experiments import (
    Comparison,
    JournalError,
    Variant,
    compare,
    table,
    variants_of,
)
from wsis.experiments.runner import Work
from wsis.mining import CIMMiner
from wsis.report import rebuild
from wsis.runs.settings import Part, SettingsError

LARGE = "tests.experiments.strangers.LargeMiner"
MINERS = {"paper": "cim", "mine": LargeMiner(gamma=0.3)}


class Untouched(Squares):
    """A data set whose photos are not to be looked at."""

    def _load(self, split, i):
        raise AssertionError("work began")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("objects")


def run(root, miners=MINERS, data=None, **more):
    given = {"settings": settings("schedule.epochs=1"), "cache": root / "cache"}
    given |= {"device": "cpu", "seeds": 2, "folder": root / "bench"} | more
    return compare(miners, data or Squares(), **given)


@pytest.fixture(scope="module")
def found(root):
    return run(root)


def test_compare_is_public():
    assert wsis.compare is compare


def test_an_object_appears_under_its_given_name(found, tmp_path):
    results = found.results()

    assert [(one.miner, one.seed) for one in found.runs] == [
        *(("paper", 0), ("mine", 0), ("paper", 1), ("mine", 1)),
    ]
    assert found.runs[1].miner_settings["gamma"] == 0.3
    assert [row.name for row in table(results)][:2] == ["paper", "mine"]
    assert results["variants"][1]["miner"] == f"{LARGE}:gamma=0.3"
    assert list(found.verdicts) == ["mine"]
    found.save(tmp_path)
    assert '<th scope="row">mine</th>' in rebuild(tmp_path).read_text()


@pytest.fixture
def idle(monkeypatch):
    """Nothing may be trained."""

    def fails(*given):
        raise AssertionError("a run began")

    monkeypatch.setattr(Work, "run", fails)


def test_the_same_call_does_nothing_anew(root, found, idle):
    again = run(root)

    assert again.results()["runs"] == found.results()["runs"]
    assert again.verdicts == found.verdicts


def test_another_object_under_the_same_name_is_refused(root, found):
    miners = {**MINERS, "mine": LargeMiner(gamma=0.4)}

    with pytest.raises(JournalError, match=r"mine.*gamma: 0\.3 there, 0\.4 asked for"):
        run(root, miners, Untouched())
    with pytest.raises(JournalError, match=r"mine\.miner\.name"):
        run(root, {**MINERS, "mine": "oicr"}, Untouched())


def test_an_object_of_an_installed_class_is_what_its_name_is(root, found, idle):
    again = run(root, {"paper": CIMMiner()})

    assert again.runs[0].losses == found.runs[0].losses


def test_miners_come_in_every_form():
    own = Variant(label="own", miner=Part(name="oicr"), overrides=("branches=2",))
    parts = [Part(name="cim"), "mist:reading=box", LargeMiner(), own]

    labels = [one.label for one in variants_of(parts)]

    assert labels == ["cim", "mist:reading=box", LARGE, "own"]
    assert [one.label for one in variants_of("cim,mist:reading=box")] == labels[:2]
    assert variants_of({"mine": own}) == [replace(own, label="mine")]


@pytest.mark.parametrize(
    ("miners", "message"),
    [
        (CIMMiner(), "expected miners by name"),
        ({"mine": LargeMiner}, r"give LargeMiner\(\) instead"),
        ({"mine": object()}, "wsis.contracts.Miner"),
        ({"mine": lambda scores, overlaps, tags: None}, "@dataclass"),
    ],
)
def test_what_is_no_miner_is_refused(miners, message):
    with pytest.raises((SettingsError, ValueError), match=message):
        variants_of(miners)


def local_miner():
    @dataclass(frozen=True)
    class Local:
        def __call__(self, scores, overlaps, tags):
            raise AssertionError("work began")

    return Local()


def test_what_other_processes_cannot_be_given_is_refused_before_work(root, monkeypatch):
    class Local(Untouched):
        pass

    for miners, data, name in (
        ({"mine": local_miner()}, Untouched(), "the miner 'mine'"),
        (MINERS, Local(), "the data set"),
    ):
        with pytest.raises(ValueError, match=f"{name} cannot be sent.*ocal.*jobs=1"):
            run(root, miners, data, jobs=2, folder=None)
    monkeypatch.setattr(LargeMiner, "__module__", "__main__")
    monkeypatch.setattr(
        sys.modules["__main__"], "LargeMiner", LargeMiner, raising=False
    )
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    with pytest.raises(ValueError, match="LargeMiner is defined in a notebook"):
        run(root, data=Untouched(), jobs=2, folder=None)


class Cells(HTMLParser):
    """The texts of a table's cells, and all tags."""

    def __init__(self, text):
        super().__init__()
        self.cells, self.tags = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        if self.tags[-1] in ("th", "td"):
            self.cells.append(data)


def named(found: Comparison, label: str) -> Comparison:
    """The comparison with another name of its second miner."""
    text = json.dumps({"verdict": found.verdict}).replace('"mine"', json.dumps(label))
    runs = [
        replace(one, miner=label) if one.miner == "mine" else one for one in found.runs
    ]
    return replace(found, runs=runs, verdict=json.loads(text)["verdict"])


def test_it_prints_as_a_short_table(found):
    lines = str(found).splitlines()

    assert repr(found) == str(found)
    assert len(lines) in (5, 6)
    assert all(line.startswith("No better than chance") for line in lines[5:])
    assert lines[0].split()[:3] == ["seeds", "mAP25", "mAP50"]
    assert [line.split()[0] for line in lines[1:5]] == [
        *("paper", "mine", "oracle", "random"),
    ]
    assert lines[2].rstrip().endswith(("better", "worse", "not significant", "seeds"))
    assert "±" in lines[1]


def test_its_html_has_mean_deviation_and_verdict_and_is_escaped(found):
    page = Cells(named(found, "<script>x")._repr_html_())

    assert "script" not in page.tags
    assert "<script>x" in page.cells
    assert any("±" in cell for cell in page.cells)
    [said] = [
        c for c in page.cells if c.split()[-1] in ("better", "worse", "significant")
    ] or [c for c in page.cells if c.endswith("more seeds")]
    assert said.startswith(f"{found.verdicts['mine']['mAP50'].mean:+.1f}")
