import json
from dataclasses import replace

import pytest

from tests.drawn import Crowded, Masked, Squares, settings
from wsis._support.checks import InputWarning
from wsis._support.progress import Silent
from wsis.data.scenes import Scenes
from wsis.experiments import JournalError, compare, variants_of, vary
from wsis.experiments._ceiling import names
from wsis.experiments.folders import read_runs
from wsis.experiments.records import Beside
from wsis.report import render, table, to_csv, to_markdown, to_text
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Part

MINERS = variants_of("cim,mist")
CIM = Part(name="cim")


def bench(cache, variants=MINERS, data=None, **more):
    pipeline = Pipeline(settings("schedule.epochs=1"), cache)
    return compare(variants, data or Masked(), pipeline, **{"seeds": [0], **more})


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def topped(cache, folder):
    return bench(cache, seeds=[0, 1], ceiling=True, folder=folder)


@pytest.fixture(scope="module")
def plain(cache):
    return bench(cache, seeds=[0, 1])


def test_runs_from_tags_are_the_same_beside_it(topped, plain):
    with_it, without = topped.results(), plain.results()

    for one, other in zip(topped.runs, plain.runs, strict=True):
        assert one.metrics == other.metrics
        assert one.losses == other.losses
        assert one.supervision == other.supervision
    assert with_it["verdict"] == without["verdict"]
    assert with_it["supervision"] == without["supervision"]
    assert with_it["level"] == "image-level"
    assert "ceiling" not in without
    assert "proposal_free" not in without


def test_it_is_taught_with_masks_and_says_so(topped):
    found = json.loads(json.dumps(topped.results()["ceiling"], allow_nan=False))

    assert found["supervision"] == {"masks": ["training"], "tags": ["training"]}
    assert found["level"] == "not image-level"
    assert found["of"] == {"cim": "ceiling", "mist": "ceiling"}
    assert [(run["miner"], run["seed"]) for run in found["runs"]] == [
        ("ceiling", 0),
        ("ceiling", 1),
    ]
    assert all(run["level"] == "not image-level" for run in found["runs"])
    assert found["runs"][0]["losses"] != topped.runs[0].losses
    assert "ceiling" not in topped.verdict["strategies"]


def test_shares_are_paired_by_seed(topped):
    def run(miner, seed, figure):
        metrics = {**topped.runs[0].metrics, "mAP50": figure, "mAP75": 0.0}
        return replace(topped.runs[0], miner=miner, seed=seed, metrics=metrics)

    tops = [run("ceiling", 0, 50.0), run("ceiling", 1, 80.0)]
    runs = [run("a", 0, 25.0), run("a", 1, 60.0), run("b", 0, 5.0), run("b", 2, 9.0)]
    shares = Beside(runs=tops, of={"a": "ceiling", "b": "ceiling"}).shares(runs)

    a, b = shares["a"]["mAP50"], shares["b"]["mAP50"]
    assert (a.mean, a.seeds) == (62.5, 2)
    assert a.deviation == pytest.approx(12.5 * 2**0.5)
    assert (b.mean, b.deviation, b.seeds) == (10.0, None, 1)
    assert shares["a"]["mAP75"] is None  # the ceiling itself is 0


def test_tables_and_page_show_it_and_cope_without(topped, plain):
    results = topped.results()
    results["ceiling"]["shares"]["cim"]["mAP50"] = {
        "mean": 84.4,
        "deviation": 2.0,
        "seeds": 2,
    }

    assert [row.name for row in table(results)] == [
        *("cim", "mist", "ceiling", "oracle", "random")
    ]
    assert [row.bound for row in table(results)] == [False, False, True, True, True]
    assert "84 % ± 2" in to_text(results)
    assert "| cim | 84 % ± 2 |" in to_markdown(results)
    assert "The ceiling consumed masks, tags: not image-level" in to_markdown(results)
    lines = to_csv(results).splitlines()
    [ceiling] = [one for one in lines if one.startswith("ceiling,mAP50")]
    assert "masks + tags,not image-level" in ceiling
    [cim] = [one for one in lines if one.startswith("cim,mAP50")]
    assert cim.endswith(",84.4")
    assert '<table id="ceiling">' in (page := render(results, []))
    assert "The ceiling is taught with masks" in page
    for text in (to_text, to_markdown, to_csv):
        assert "84" not in text(plain.results())
    assert '<table id="ceiling">' not in render(plain.results(), [])


class Counting(Silent):
    def __init__(self):
        self.trained = []

    def start(self, title, total):
        if title.endswith(": train"):
            self.trained.append(title.removesuffix(": train"))
        return super().start(title, total)


def test_it_is_kept_apart_and_resumed(cache, folder, topped):
    assert {run.miner for run in read_runs(folder)} == {"cim", "mist"}
    [line, other] = read_runs(folder / "ceiling")
    assert line.miner == other.miner
    assert "masks" in line.supervision["training"]
    monitor = Counting()

    again = bench(cache, seeds=[0, 1, 2], ceiling=True, folder=folder, monitor=monitor)

    assert sorted(monitor.trained) == ["ceiling, seed 2", "cim, seed 2", "mist, seed 2"]
    assert again.ceiling.runs[:2] == topped.ceiling.runs
    # A run of its name does not become a run from tags.
    stolen = variants_of({line.miner: "cim"})
    monitor = Counting()
    bench(cache, stolen, folder=folder, monitor=monitor)
    assert monitor.trained == [f"{line.miner}, seed 0"]


def test_other_training_masks_are_refused(cache, folder, topped):
    class Moved(Masked):
        def train_truths(self):
            first, *rest = super().train_truths()
            return [replace(first, masks=rest[1].masks), *rest]

    with pytest.raises(JournalError, match=r"ceiling \S+inputs\.training objects"):
        bench(cache, data=Moved(), seeds=[0], ceiling=True, folder=folder)
    assert bench(cache, data=Moved(), seeds=[0], folder=folder).ceiling is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Squares(), r"objects of its training images .*got Squares"),
        (Crowded(), r"none of 6 tags has one that is no crowd.*--no-ceiling"),
    ],
)
def test_data_without_masks_to_teach_by_are_refused(cache, data, message):
    with pytest.raises(ValueError, match=message):
        bench(cache, data=data, ceiling=True)


def test_tags_without_a_mask_are_told(cache):
    class Sparse(Masked):
        def train_truths(self):
            first, *rest = super().train_truths()
            return [replace(first, ignore=~first.ignore), *rest]

    with pytest.warns(InputWarning, match=r"not taught 1 of 6 tags.*train 0: red"):
        found = bench(cache, MINERS[:1], Sparse(), ceiling=True)
    assert found.ceiling is not None


@pytest.mark.parametrize("label", ["ceiling", "ceiling of cim"])
def test_a_miner_of_its_name_is_refused(cache, label):
    with pytest.raises(ValueError, match=f"got {label}; rename"):
        bench(cache, variants_of({label: "cim"}), ceiling=True)


def test_settings_that_masks_stand_in_for_share_it_others_have_their_own(tmp_path):
    def rows(text, wanted=True, data=None, folds=False):
        shared = settings()
        of = {
            one.label: Pipeline(one.settings(shared), tmp_path)
            for one in vary(text, CIM)
        }
        return [*names(of, wanted, data or Squares(), folds=folds).values()]

    assert len({*rows("sampler=none,anti_noise")}) == 1
    assert len({*rows("source.nodes=10,30")}) == 2
    # By default: on scenes, where a seed's ceiling is a single run.
    scenes = Scenes(train_images=1, val_images=1)
    assert len(rows("sampler=none,anti_noise", None, scenes)) == 2
    assert rows("sampler=none,anti_noise", None, scenes, folds=True) == []
    assert rows("source.nodes=10,30", None, scenes) == []
    assert rows("sampler=none,anti_noise", None) == []
    assert rows("sampler=none,anti_noise", False, scenes) == []


def test_with_folds_and_variants_each_has_a_row_of_all_images(cache):
    found = bench(
        cache,
        vary("source.nodes=10,30", CIM),
        Masked(train=3, val=3),
        ceiling=True,
        folds=2,
        jobs=1,
    )

    assert [run.miner for run in found.ceiling.runs] == [
        *("ceiling of source.nodes=10", "ceiling of source.nodes=30")
    ]
    assert found.ceiling.of["source.nodes=30"] == "ceiling of source.nodes=30"
    assert all(run.fold is None for run in found.ceiling.runs)
    assert set(found.shares) == {"source.nodes=10", "source.nodes=30"}
