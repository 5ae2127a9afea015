"""Benches and tunings on a Dask cluster: the same figures, whoever is lost."""

import json
import os
import signal
import sys
from dataclasses import asdict, replace

import pytest

from tests.drawn import Squares, settings
from wsis.experiments import compare, variants_of
from wsis.experiments._pool import _same_work, _seen
from wsis.experiments.runner import Plan, Work
from wsis.experiments.tuning import Space, tune
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Part

pytest.importorskip("distributed")
MINERS = [Part(name="cim"), Part(name="oicr")]
OWN = {"train_seconds", "predict_seconds", "peak_memory_mb"}
"""What differs between two runs of the same."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def bench(cache, folder, **given):
    return compare(
        variants_of(MINERS),
        Squares(),
        Pipeline(settings(), cache),
        seeds=[0, 1],
        folder=folder,
        **given,
    )


def figures(found, folder):
    """Everything of a bench that does not depend on the moment."""
    kept = [json.loads(x) for x in (folder / "runs.jsonl").read_text().splitlines()]
    lines = {json.dumps({k: v for k, v in x.items() if k not in OWN}) for x in kept}
    runs = [{k: v for k, v in asdict(x).items() if k not in OWN} for x in found.runs]
    masks = [
        (one.image_id, one.score.tolist(), one.masks)
        for label in found.pictures
        for one in found.pictures[label]
    ]
    return lines, runs, masks, found.verdict


class Killing:
    """A monitor that kills a worker once the first run is done."""

    def __init__(self, local):
        [*workers] = local.workers.values()
        self.pid = workers[0].process.process.pid
        self.killed = False

    def start(self, title, total):
        def step(note):
            if title == "runs" and not self.killed:
                os.kill(self.pid, signal.SIGKILL)
                self.killed = True

        return step

    def say(self, text):
        pass


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_bench_on_a_cluster_that_loses_a_worker_has_the_same_figures(
    local, cache, tmp_path
):
    killing = Killing(local)
    alone = bench(cache, tmp_path / "alone")

    found = bench(
        cache, tmp_path / "far", cluster=local.scheduler_address, monitor=killing
    )

    assert killing.killed
    assert figures(found, tmp_path / "far") == figures(alone, tmp_path / "alone")
    assert not list(cache.glob("cluster-*"))


@pytest.mark.slow
def test_a_tuning_on_a_cluster_has_the_same_figures(local, cache):
    def run(**given):
        pipeline = Pipeline(settings(), cache)
        space = Space.of(MINERS[0], pipeline.settings, ["p_seed=0.05..0.3"])
        found = tune(Squares(), space, pipeline, settings=2, views=1, **given)
        return [(x.label, x.criteria, x.metrics, x.losses) for x in found.trials]

    assert run(cluster=local.scheduler_address) == run()


def work_on(cache):
    plan = Plan(
        data=Squares(),
        variants=variants_of(MINERS),
        settings=settings(),
        cache=cache,
        device=Pipeline(settings(), cache).device,
    )
    return Work(plan)


class Missing(Squares):
    """Photos that are not where they were."""

    def train(self):
        raise FileNotFoundError("photos/train.json")


def test_a_worker_that_sees_no_data_or_other_data_is_told(cache):
    work = work_on(cache)

    for data, text in [
        (Missing(), r"does not see the data, .*: photos/train\.json"),
        (Squares(seed=1), "sees other data under these paths: photos"),
        (Squares(train=5), r"sees other data under these paths: .*train"),
    ]:
        with pytest.raises(ValueError, match=text):
            _same_work(replace(work.plan, data=data), _seen(work))
