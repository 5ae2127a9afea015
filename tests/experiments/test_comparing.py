import json
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise

import pytest
import torch

from tests.drawn import Masked, Squares, settings
from tests.experiments.strangers import LargeMiner
from tests.traps import Guarded, Told
from wsis import InputWarning
from wsis.experiments import (
    METRICS,
    _free,
    compare,
    table,
    variants_of,
    vary,
)
from wsis.experiments.runner import Plan, Work
from wsis.plugins import SettingError, UnknownPartError
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Part
from wsis.training import ProposalFree

MINERS = [Part(name="cim"), Part.parse("mist:reading=box")]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def comparison(cache):
    return compare(
        variants_of(MINERS), Squares(), Pipeline(settings(), cache), seeds=[0, 1]
    )


def test_results_hold_every_run_and_both_bounds(comparison):
    results = json.loads(json.dumps(comparison.results(), allow_nan=False))

    assert [(run["miner"], run["seed"]) for run in results["runs"]] == [
        ("cim", 0),
        ("mist:reading=box", 0),
        ("cim", 1),
        ("mist:reading=box", 1),
    ]
    for run in results["runs"]:
        assert set(run["metrics"]) == set(METRICS)
        assert set(run["per_class"]) == {"red", "blue"}
        assert run["train_seconds"] > 0
        assert run["peak_memory_mb"] > 50
    assert results["runs"][1]["miner_settings"]["reading"] == "box"
    assert results["data"] == {
        "name": "squares",
        "train_images": 6,
        "val_images": 3,
        "in_both": 0,
        "classes": ["red", "blue"],
    }
    assert results["oracle"]["mAP50"] > 90
    assert results["oracle"]["ABO"] > 60
    assert results["random"]["mAP50"] < results["oracle"]["mAP50"]
    assert results["supervision"] == {"tags": ["cues", "training"]}
    assert results["level"] == "image-level"
    assert results["settings"]["source"]["settings"]["nodes"] == 30


def test_the_table_has_mean_and_deviation_over_seeds(comparison):
    results = deepcopy(comparison.results())
    results["runs"][0]["metrics"]["mAP50"] = 10.0
    results["runs"][2]["metrics"]["mAP50"] = 20.0

    rows = {row.name: row for row in table(results)}

    assert list(rows) == ["cim", "mist:reading=box", "oracle", "random"]
    assert rows["cim"].seeds == 2
    assert rows["cim"].mean["mAP50"] == 15
    assert rows["cim"].deviation["mAP50"] == pytest.approx(50**0.5)


def test_a_miner_gets_the_same_figures_alone_as_in_company(cache, comparison):
    alone = compare(
        variants_of(MINERS[1:]), Squares(), Pipeline(settings(), cache), seeds=[1]
    )

    assert alone.runs[0].metrics == comparison.runs[3].metrics
    assert alone.runs[0].losses == comparison.runs[3].losses


def test_training_sees_tags_only(cache, comparison):
    """Masks replaced by a trap: whoever reads one from the first proposal on fails."""
    done = ["checks before any work"]

    guarded = compare(
        variants_of(MINERS[:1]),
        Guarded(done),
        Pipeline(settings(), cache),
        seeds=[0],
        monitor=Told(done),
    )

    assert guarded.runs[0].metrics == comparison.runs[0].metrics


def test_tags_reach_training(cache, comparison):
    class Swapped(Squares):
        def train(self):
            train = super().train()
            images = [replace(i, tags=i.tags.flip(0)) for i in train.images]
            return replace(train, images=images)

    swapped = compare(
        variants_of(MINERS[:1]), Swapped(), Pipeline(settings(), cache), seeds=[0]
    )

    assert swapped.runs[0].losses != comparison.runs[0].losses


def test_two_processes_give_the_figures_of_one(cache):
    """With a miner that is installed nowhere, too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone, together = (
            compare(
                variants_of({"cim": "cim", "mine": LargeMiner(gamma=0.3)}),
                Masked(),
                Pipeline(settings("schedule.epochs=1"), cache),
                jobs=jobs,
                ceiling=True,
                seeds=[0],
            )
            for jobs in (1, 2)
        )
    finally:
        torch.set_num_threads(threads)

    for one, two in zip(alone.runs, together.runs, strict=True):
        assert one.metrics == two.metrics
        assert one.losses == two.losses
    assert alone.ceiling.runs[0].losses == together.ceiling.runs[0].losses


def test_wrong_miners_are_refused_before_any_work(cache):
    class Untouched:
        def train(self):
            raise AssertionError("work began")

        val = train

    pipeline = Pipeline(settings(), cache)
    for miners, error, message in (
        ([Part(name="cmi")], UnknownPartError, "did you mean 'cim'"),
        ([Part.parse("cim:p_seed=7")], SettingError, "p_seed"),
        ([MINERS[0], MINERS[0]], ValueError, "each once"),
        ([], ValueError, "expected miners"),
    ):
        with pytest.raises(error, match=message):
            compare(variants_of(miners), Untouched(), pipeline, seeds=[0])
    with pytest.raises(ValueError, match=r"expected a pipeline, or recipe"):
        compare(MINERS, Untouched(), pipeline, cache=cache)


def test_devices_are_those_of_the_pipeline(cache):
    pipeline = Pipeline(settings(), cache, torch.device("cpu"))

    assert pipeline.model(2, 0).device == torch.device("cpu")


class Counts:
    """A watcher that counts what branches are taught."""

    def __init__(self, data, source):
        assert len(source.get("any", data.train().images[0].load)) > 0
        self.seen = [0, 0, 0]

    def __call__(self, step):
        self.seen[step.branch] += 1

    def results(self):
        return [{"branch": k, "steps": n} for k, n in enumerate(self.seen)]


def test_a_watcher_sees_every_step_and_changes_nothing(cache, comparison):
    watched = compare(
        variants_of(MINERS[:1]),
        Squares(),
        Pipeline(settings(), cache),
        seeds=[0],
        trace=Counts,
    )

    assert watched.results()["trace"] == {
        "cim": [{"branch": k, "steps": 12} for k in range(3)]
    }
    assert watched.runs[0].losses == comparison.runs[0].losses
    assert comparison.results()["trace"] == {}


@pytest.mark.parametrize(
    ("text", "apart"),
    [("resize=longer,shorter", 2), ("max_side=0,2000", 2), ("schedule.lr=1,2", 1)],
)
def test_all_features_are_prepared_before_the_runs(cache, text, apart):
    variants = vary(text, MINERS[0])
    plan = Plan(
        data=Squares(),
        variants=variants,
        settings=settings(),
        cache=cache,
        device=torch.device("cpu"),
    )

    chores = Work(plan).chores()

    assert len({label for label, _ in chores}) == apart


def test_proposals_can_be_what_differs(cache):
    variants = vary("proposals.nodes=10,30", MINERS[0])
    found = compare(variants, Squares(), Pipeline(settings(), cache), seeds=[0, 1])
    results = found.results()

    assert "nodes" not in results["settings"]["source"]["settings"]
    assert results["settings"]["source"]["settings"]["pairs"] == 10
    assert list(results["verdict"]["differences"]) == ["source.nodes=30"]
    sizes = [len(found.pictures[v.label][0]) for v in variants]
    assert sizes[0] != sizes[1]
    alone = compare(
        variants_of(MINERS[:1]), Squares(), Pipeline(settings(), cache), seeds=[1]
    )
    assert found.runs[3].losses == alone.runs[0].losses


class Counted(Squares):
    """Squares with a number of objects for each class."""

    def __init__(self, counts):
        super().__init__()
        self.given = torch.tensor(counts)

    def train(self):
        train = super().train()
        images = [replace(i, counts=self.given * i.tags) for i in train.images]
        return replace(train, images=images)


def test_counts_reach_training_and_the_ledger(cache, comparison):
    def found(counts):
        pipeline = Pipeline(settings(), cache)
        data = Counted(counts)
        return compare(variants_of(MINERS[:1]), data, pipeline, seeds=[0])

    one, unknown = found((1, 1)), found((0, 0))

    assert one.results()["supervision"]["counts"] == ["training"]
    assert one.results()["level"] == "image-level"
    assert one.runs[0].losses != comparison.runs[0].losses
    # Nobody counted: the figures are those of tags alone.
    assert unknown.runs[0].losses == comparison.runs[0].losses


def test_counts_of_absent_classes_are_refused(cache):
    class Wrong(Counted):
        def train(self):
            train = Squares.train(self)
            images = [replace(i, counts=self.given) for i in train.images]
            return replace(train, images=images)

    pipeline = Pipeline(settings(), cache)
    for counts in ((1, 1), (-1, -1)):
        with pytest.raises(ValueError, match=r"6 photos have others: train 0, train 1"):
            compare(variants_of(MINERS[:1]), Wrong(counts), pipeline, seeds=[0])


@dataclass
class Notes:
    """A tracker that keeps what it is told, and may fail at a call."""

    fails: str = ""
    told: list = field(default_factory=list)

    def begin(self, training):
        self._keep("begin", training)

    def log(self, images, figures):
        self._keep("log", (images, dict(figures)))

    def end(self, *, finished):
        self._keep("end", finished)

    def _keep(self, what, value):
        self.told.append((what, value))
        if what == self.fails:
            raise OSError("the disk is full")


def test_a_tracker_is_told_of_every_run_with_its_figures(cache, monkeypatch):
    quick = ProposalFree(width=8, rounds=2, epochs=1)
    monkeypatch.setattr(_free, "Free", partial(_free.Free, method=quick))
    notes = Notes()
    found = compare(
        variants_of(MINERS[:1]),
        Masked(),
        Pipeline(settings(), cache),
        seeds=[0, 3],
        ceiling=True,
        proposal_free=True,
        tracker=notes,
    )

    begun = [value for what, value in notes.told if what == "begin"]
    assert [one.name for one in begun] == [
        *("cim, seed 0", "cim, seed 3", "ceiling, seed 0", "ceiling, seed 3"),
        *("proposal-free, seed 0", "proposal-free, seed 3"),
    ]
    assert len({one.key for one in begun}) == 6
    assert begun[1].settings["seed"] == "3"
    assert begun[1].settings["source.settings.nodes"] == "30"
    assert [value for what, value in notes.told if what == "end"] == [True] * 6
    last = [value for (what, value), (then, _) in pairwise(notes.told) if then == "end"]
    metrics = [one.metrics for one in found.runs]
    for (images, figures), run in zip(last, metrics, strict=False):
        assert images == 12
        assert figures == {f"val/{name}": value for name, value in run.items()}
    plain = compare(
        variants_of(MINERS[:1]), Masked(), Pipeline(settings(), cache), seeds=[0]
    )
    assert plain.runs[0].metrics == metrics[0]
    assert plain.runs[0].losses == found.runs[0].losses


def test_a_tracker_that_fails_costs_no_run(cache):
    given = variants_of(MINERS[:1]), Squares(), Pipeline(settings(), cache)

    with pytest.warns(InputWarning, match=r"Notes failed .* the disk is full"):
        found = compare(*given, tracker=Notes(fails="log"), seeds=[0])
    assert len(found.runs) == 1
    with pytest.raises(ValueError, match="Notes cannot begin, so this is not trained"):
        compare(*given, tracker=Notes(fails="begin"), seeds=[0])
    with pytest.raises(ValueError, match="expected tensorboard:FOLDER"):
        compare(*given, tracker="tensorboard", seeds=[0])
    with pytest.raises(ValueError, match="expected trackers"):
        compare(*given, tracker="wandb", seeds=[0])
