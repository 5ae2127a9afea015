import json
from dataclasses import asdict, replace

import pytest
import torch

from tests.drawn import Squares, settings
from wsis._support.checks import InputWarning
from wsis._support.journal import JournalError
from wsis.experiments import METRICS
from wsis.experiments.tuning import (
    COMBINED,
    CRITERIA,
    Space,
    Trial,
    Tuning,
    to_csv,
    tune,
)
from wsis.experiments.tuning.folder import journal, read_trials
from wsis.experiments.tuning.results import CHOICES, options
from wsis.geometry.masks import from_masks, rles
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Part, SettingsError

SWEEPS = ("p_seed=0.05..0.5:log", "t_iou=0.3..0.6")
TIMES = ("train_seconds", "look_seconds", "judge_seconds")
DATA = Squares(train=12)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def run(cache, data=DATA, count=3, overrides=(), **options):
    shared = settings("schedule.epochs=1", *overrides)
    space = Space.of(Part(name="cim"), shared, SWEEPS)
    options = {"held_out": 0.5, "views": 3, **options}
    return tune(data, space, Pipeline(shared, cache), settings=count, **options)


@pytest.fixture(scope="module")
def whole(cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tune") / "whole"
    return run(cache, folder=folder), folder


def timeless(trials):
    return [replace(one, **dict.fromkeys(TIMES, 0.0)) for one in trials]


def criteria(tuning):
    return [one.criteria for one in tuning.trials]


def test_every_setting_has_every_criterion_and_the_masks_figure(whole):
    found, _ = whole

    assert found.trials[0].label == "default"
    for one in found.trials:
        assert all(one.criteria[criterion.name] is not None for criterion in CRITERIA)
        assert one.criteria["loss"] == -one.losses[-1]["total"]
        assert set(one.metrics) >= {"mAP50", "AP"}
    # The settings do differ in what they do.
    assert len({json.dumps(one) for one in criteria(found)}) == 3


class Lying(Squares):
    """The same photos and tags, other masks: all of the photo, of the other class."""

    def _truth(self, split, i):
        truth = super()._truth(split, i)
        everything = from_masks(torch.ones(1, 48, 64, dtype=torch.bool))
        masks = rles(everything, torch.tensor([0]))
        return replace(truth, masks=masks, label=3 - truth.label)


def test_other_masks_change_no_criterion(cache, whole):
    found, _ = whole

    lied = run(cache, data=Lying(train=12))

    assert criteria(lied) == criteria(found)
    assert [one.metrics for one in lied.trials] != [one.metrics for one in found.trials]
    best = found.results()["chosen"], lied.results()["chosen"]
    assert best[0] == best[1]


class Maskless(Squares):
    """A data set that nobody may ask for masks."""

    def val(self):
        raise AssertionError("masks were asked for")

    def _truth(self, split, i):
        raise AssertionError("masks were asked for")


def test_without_masks_the_same_is_chosen_and_nothing_judged(cache, whole):
    found, _ = whole

    alone = run(cache, data=Maskless(train=12), judged=False)

    assert criteria(alone) == criteria(found)
    results = alone.results()
    assert results["verdict"] is None
    assert results["chosen"] == found.results()["chosen"]
    assert {row["metrics"] for row in results["settings"]} == {None}


def test_interrupted_and_gone_on_with_it_gives_the_same(cache, whole, tmp_path):
    found, folder = whole
    lines = (folder / "trials.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "design.json").write_bytes((folder / "design.json").read_bytes())
    # A crash while the second line was written.
    (tmp_path / "trials.jsonl").write_bytes(lines[0] + lines[1][:-40])
    assert len(read_trials(tmp_path)) == 1

    again = run(cache, folder=tmp_path)

    assert timeless(again.trials) == timeless(found.trials)
    kept = read_trials(tmp_path)
    assert [one.label for one in kept] == [one.label for one in found.trials]
    assert (tmp_path / "trials.jsonl").read_bytes().startswith(lines[0])
    mine, theirs = again.results(), found.results()
    for name in ("chosen", "verdict", "sensitivity", "settings"):
        assert mine[name] == theirs[name]


def test_what_is_there_is_not_done_again(cache, whole, monkeypatch):
    found, folder = whole

    def began(*given):
        raise AssertionError("work began")

    monkeypatch.setattr(Pipeline, "prepare", began)
    monkeypatch.setattr(Pipeline, "train", began)
    again = run(cache, folder=folder)

    assert again.trials == found.trials


def test_more_settings_are_added(cache, whole, tmp_path):
    found, folder = whole
    for name in ("design.json", "trials.jsonl"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())

    more = run(cache, folder=tmp_path, count=4)

    assert more.trials[:3] == found.trials
    assert len(read_trials(tmp_path)) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overrides": ["schedule.lr=0.5"]}, "schedule.lr: 0.0001 there, 0.5 asked"),
        ({"held_out": 0.25}, "held_out: 0.5 there, 0.25 asked"),
        ({"data": Squares(train=10)}, "data.digest"),
    ],
)
def test_another_tuning_is_refused(cache, whole, options, message):
    with pytest.raises(JournalError, match=message):
        run(cache, folder=whole[1], **options)


def test_a_fresh_tuning_forgets_the_other(cache, whole, tmp_path):
    for name in ("design.json", "trials.jsonl"):
        (tmp_path / name).write_bytes((whole[1] / name).read_bytes())

    run(cache, folder=tmp_path, held_out=0.25, count=2, fresh=True)

    assert len(read_trials(tmp_path)) == 2
    assert json.loads((tmp_path / "design.json").read_text())["held_out"] == 0.25


@pytest.mark.slow
def test_two_processes_give_what_one_gives(cache, whole):
    found, _ = whole

    several = run(cache, count=2, jobs=2)

    for mine, theirs in zip(criteria(several), criteria(found)[:2], strict=True):
        assert mine == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"by": "flip"}, LookupError, "did you mean 'flips'"),
        ({"held_out": 0.0}, ValueError, "held_out must be in"),
        ({"held_out": 0.01}, ValueError, "to train on and to hold out, got 12 and 0"),
        ({"count": 1}, SettingsError, "at least 2 settings"),
        ({"count": 10**9}, SettingsError, "at most 10,000 settings, got 1000000000"),
        ({"seeds": ()}, ValueError, "expected seeds"),
        ({"seeds": range(10**9)}, ValueError, "expected seeds, up to 1,000 of them"),
    ],
)
def test_what_cannot_be_tuned_is_refused(cache, options, error, message):
    with pytest.raises(error, match=message):
        run(cache, **options)


def trial(label, value, figure, **more):
    names = [criterion.name for criterion in CRITERIA]
    return Trial(
        label=label,
        seed=0,
        criteria={**dict.fromkeys([*names, "loss"], value), **more},
        metrics=None if figure is None else dict.fromkeys(METRICS, figure),
        train_seconds=1.0,
        look_seconds=1.0,
        judge_seconds=1.0,
        losses=[],
    )


def tuning(*trials, by=COMBINED):
    space = Space.of(Part(name="cim"), settings(), SWEEPS)
    variants = space.sample(len(trials))
    named = [
        replace(one, label=v.label) for one, v in zip(trials, variants, strict=True)
    ]
    return Tuning(space=space, variants=variants, trials=named, design={}, by=by)


def test_settings_are_ranked_and_the_choice_is_ready_for_a_bench():
    found = tuning(trial("", 0.1, 30.0), trial("", 0.3, 20.0), trial("", 0.2, 40.0))
    results = found.results()

    assert [row["criteria"][COMBINED] for row in results["settings"]] == [1.0, 0.5, 0.0]
    assert [row["metrics"]["mAP50"] for row in results["settings"]] == [20, 40, 30]
    assert results["chosen"]["label"] == found.variants[1].label
    assert results["chosen"]["options"] == options(found.variants[1])
    assert results["chosen"]["options"].startswith("--miners cim:p_seed=0.")
    assert " --set assigner.t_iou=0." in results["chosen"]["options"]
    assert results["verdict"]["criteria"][COMBINED]["regret"] == 20


def test_the_combined_criterion_leaves_out_what_is_not_known():
    found = tuning(
        trial("", 0.1, 1.0, flips=None, evidence=0.9),
        trial("", 0.2, 2.0, evidence=0.1),
        trial("", 0.3, 3.0, evidence=0.5),
    ).results()

    # tag-ap, agreement and scales rank 0, 1/2, 1; evidence 1, 0, 1/2; flips is unknown.
    by_label = {row["rank"]: row["criteria"][COMBINED] for row in found["settings"]}
    assert by_label == pytest.approx({1: 3.5 / 4, 2: 1.5 / 4, 3: 1 / 4})


def test_another_criterion_may_choose():
    trials = trial("", 0.1, 1.0, loss=-1.0), trial("", 0.2, 2.0, loss=-2.0)

    assert tuning(*trials, by="loss").results()["chosen"]["label"] == "default"
    assert tuning(*trials).results()["chosen"]["label"] != "default"
    assert "loss" in CHOICES


def test_a_sweep_judged_in_part_is_not_judged():
    results = tuning(trial("", 0.1, None), trial("", 0.2, 2.0)).results()

    assert results["verdict"] is None


def test_the_table_as_csv():
    results = tuning(trial("", 0.1, 30.0), trial("", 0.3, None)).results()

    head, first, second = to_csv(results).splitlines()
    assert head.startswith("rank,label,p_seed,t_iou,combined,tag-ap,")
    assert first.startswith("1,p_seed=")
    assert first.endswith(",,,,,")
    assert second.endswith("30.0,30.0,30.0,30.0,30.0")


def test_a_folder_keeps_whole_lines_only(tmp_path):
    folder = journal(tmp_path, {"a": 1})
    folder.append(asdict(trial("one", 0.5, 1.0)))
    with (tmp_path / "trials.jsonl").open("ab") as file:
        file.write(b'{"label": "tw')
    folder.append(asdict(trial("three", 0.5, None)))

    with pytest.warns(InputWarning, match=r"1 lines are not read \(line 2: "):
        found = read_trials(tmp_path)
    assert [one.label for one in found] == ["one", "three"]
