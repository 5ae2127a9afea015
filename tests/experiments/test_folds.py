import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from tests.builders import match
from tests.drawn import Masked, Squares, pointed, settings
from tests.experiments.killed import MINERS, killed_and_resumed
from wsis.data.splits import Folds
from wsis.evaluation import evaluate
from wsis.experiments import (
    JournalError,
    compare,
    compare_folders,
    table,
    variants_of,
)
from wsis.experiments._resampling import of_classes, point
from wsis.experiments.folders import read_runs
from wsis.plugins import SettingError
from wsis.report import caption, render, to_csv, to_markdown
from wsis.runs.pipeline import Pipeline


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def bench(cache, folder=None, miners=MINERS, data=None, **more):
    pipeline = Pipeline(settings("schedule.epochs=1"), cache)
    given = {"seeds": [0, 1], "folds": 3, "folder": folder, **more}
    return compare(
        variants_of(miners), data or Masked(train=5, val=4), pipeline, **given
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("folds") / "cache"


@pytest.fixture(scope="module")
def kept(cache):
    folder = cache.parent / "whole"
    found = bench(cache, folder)
    results = json.loads(json.dumps(found.results(), allow_nan=False))
    (folder / "results.json").write_text(json.dumps(results))
    return found, results, folder


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        (1, "from 2 to the number of images, got 1"),
        (10, "from 2 to 9, the number of images, got 10"),
    ],
)
def test_numbers_of_folds_out_of_range_are_refused(cache, folds, message):
    with pytest.raises(SettingError, match=message):
        bench(cache, folds=folds)


def test_a_bench_with_folds_and_points_is_not_image_level(cache, tmp_path):
    pipeline = Pipeline(settings("cues=points", "schedule.epochs=1"), cache)
    data = pointed(tmp_path, "train", "val")

    found = compare(
        variants_of(MINERS[:1]),
        data,
        pipeline,
        seeds=[0],
        folds=3,
        folder=tmp_path / "bench",
    )

    assert found.results()["supervision"]["points"] == ["cues"]
    assert len(read_runs(tmp_path / "bench")) == 3


def test_data_without_masks_of_their_training_half_are_refused(cache):
    with pytest.raises(
        ValueError, match=r"masks of both halves.*Squares has none of its training half"
    ):
        bench(cache, data=Squares())


def test_data_without_masks_are_not_compared(cache):
    class Maskless(Masked):
        def val(self):
            return None

    with pytest.raises(ValueError, match=r"masks of validation .* Maskless has"):
        bench(cache, data=Maskless(), folds=None)


def test_masks_never_reach_training(cache, kept):
    """Masks replaced by traps: read elsewhere than in their fold's evaluation, fail."""
    data = Masked(train=5, val=4)
    folds = [fold.numbers for fold in Folds(count=3).of(data)]
    state = {"armed": False, "open": set(), "read": set()}

    class Trap(Sequence):
        def __init__(self, truths, start):
            self.truths, self.start = truths, start

        def __len__(self):
            return len(self.truths)

        def __getitem__(self, index):
            if state["armed"]:
                place = self.start + index
                assert place in state["open"], f"the mask of image {place} was read"
                state["read"].add(place)
            return self.truths[index]

    class Guarded(Masked):
        def train_truths(self):
            return Trap(super().train_truths(), 0)

        def val(self):
            val = super().val()
            return replace(val, truths=Trap(val.truths, 5))

    class Monitor:
        def start(self, title, total):
            state["armed"] = True
            fold = title.partition("fold ")[2].partition(":")[0]
            if "predict" in title:
                state["open"] = set(folds[int(fold)])
            elif "train" in title:
                state["open"] = set()
            elif title == "errors by kind":
                assert state["read"] == set(range(9))
                state["open"] = set(range(9))
            return lambda note: None

        def say(self, text):
            pass

    guarded = Guarded(train=5, val=4)
    found = bench(cache, None, MINERS[:1], guarded, seeds=[0], monitor=Monitor())

    assert found.runs[0].metrics == kept[0].runs[0].metrics


def test_every_strategy_seed_and_fold_is_a_run_and_seeds_are_measured_whole(kept):
    found, results, folder = kept

    single = [(run["miner"], run["seed"], run["fold"]) for run in results["folds"]]
    assert single == [
        (miner, seed, fold)
        for seed in (0, 1)
        for fold in range(3)
        for miner in ("cim", "oicr")
    ]
    lines = [json.loads(x) for x in (folder / "runs.jsonl").read_text().splitlines()]
    assert sorted({line["fold"] for line in lines}) == [0, 1, 2]
    assert len(lines) == 12
    assert [(run["miner"], run["seed"]) for run in results["runs"]] == [
        ("cim", 0),
        ("oicr", 0),
        ("cim", 1),
        ("oicr", 1),
    ]
    assert "fold" not in results["runs"][0]
    truths = list(found.val.truths)
    for label, predictions in found.pictures.items():
        assert [p.image_id for p in predictions] == [t.image_id for t in truths]
        measured = evaluate(predictions, truths, ("red", "blue"))
        [run] = [r for r in found.runs if (r.miner, r.seed) == (label, 0)]
        for name, value in run.metrics.items():
            assert value == pytest.approx(measured.metrics[name])
        assert run.per_class["red"]["AP"] == pytest.approx(
            measured.per_class["red"]["AP"]
        )
        assert run.anatomy["objects"] == 9
    assert results["verdict"]["images"] == 9
    assert [row.seeds for row in table(results)][:2] == [2, 2]


@pytest.mark.parametrize("folds", [None, 2])
def test_photos_are_learned_and_judged_with_proposals_of_their_own(cache, folds):
    def bench(*parts):
        pipeline = Pipeline(settings("schedule.epochs=1", *parts), cache)
        data = Masked(train=5, val=4)
        given = {"seeds": [0], "folds": folds, "trace": True}
        return compare(variants_of(["cim"]), data, pipeline, **given)

    lab = "lab:count=25:side=64"
    tree, both = bench(), bench(f"test_source={lab}")
    other = bench(f"source={lab}")

    taught = [one.results()["trace"]["cim"] for one in (tree, both, other)]
    assert taught[0] == taught[1] != taught[2]
    assert both.oracle.metrics == other.oracle.metrics != tree.oracle.metrics
    assert max(one.index.max() for one in both.pictures["cim"]) < 25


def test_settings_tell_the_split_and_reports_cope(kept, tmp_path):
    _, results, folder = kept

    split = results["settings"]["data"]["folds"]
    assert (split["count"], split["seed"], sum(split["held_out"])) == (3, 0, 9)
    assert "9 images, each held out once in 3 folds" in caption(results)
    assert to_markdown(results).startswith("| squares | seeds |")
    assert to_csv(results).count("\noicr,") == 5
    page = render(results, [])
    assert "9 images, each held out once in 3 folds" in page
    assert page.count('<th scope="row">cim</th><td>0</td><td>2</td>') == 1
    verdict = compare_folders([folder, folder])
    assert verdict["strategies"]["oicr (" + folder.name + ")"]["mAP50"]["seeds"] == 2
    other = json.loads(json.dumps(results))
    del other["settings"]["data"]["folds"]
    (tmp_path / "results.json").write_text(json.dumps(other))
    with pytest.raises(JournalError, match=r"data\.folds: {'count': 3"):
        compare_folders([folder, tmp_path])


def timeless(comparison):
    """The results without what a clock says."""
    results = comparison.results()
    del results["prepare_seconds"]
    for run in [*results["runs"], *results["folds"]]:
        for name in ("train_seconds", "predict_seconds", "peak_memory_mb"):
            del run[name]
    return json.loads(json.dumps(results))


@pytest.mark.slow
def test_killed_and_started_again_it_gives_what_it_gives_undisturbed(tmp_path):
    cache, whole, broken = (tmp_path / x for x in ("cache", "whole", "broken"))
    killed_and_resumed(cache, whole, broken, 3)
    runs = [(run.miner, run.seed, run.fold) for run in read_runs(broken)]

    assert len(runs) == len(set(runs)) == 12
    assert timeless(bench(cache, broken)) == timeless(bench(cache, whole))


def test_folders_with_and_without_folds_are_told_apart(cache, kept):
    _, _, folder = kept

    with pytest.raises(JournalError, match=r"data\.folds"):
        bench(cache, folder, folds=None)
    with pytest.raises(JournalError, match=r"data\.folds\.count: 3 there, 2 asked for"):
        bench(cache, folder, folds=2)


def test_a_watcher_looks_at_the_images_of_its_fold(cache):
    watched = bench(cache, None, MINERS[:1], seeds=[0], folds=2, trace=True)

    rows = watched.results()["trace"]["cim"]
    trained = 9 - len(Folds(count=2).of(Masked(train=5, val=4))[0].numbers)
    assert {row["images"] for row in rows} == {trained}


def test_joined_matches_are_those_of_all_images(kept):
    found, _, _ = kept
    truths, predictions = list(found.val.truths), found.pictures["cim"]

    together = match(predictions, truths, ("red", "blue"))

    run = found.runs[0]
    assert run.metrics == point(together)
    assert list(run.per_class.values()) == of_classes(together)
