import json
from dataclasses import replace

import pytest

from tests.drawn import Squares, settings
from tests.experiments.killed import MINERS, bench, killed_and_resumed
from wsis.contracts import Supervision
from wsis.experiments import JournalError, compare_variants, variants_of
from wsis.experiments.folders import (
    predictions_path,
    read_predictions,
    read_runs,
    write_predictions,
)
from wsis.runs.pipeline import Pipeline


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A bench, the same after having been killed, and how often it was."""
    root = tmp_path_factory.mktemp("benches")
    cache, whole, broken = root / "cache", root / "whole", root / "broken"
    return cache, whole, broken, killed_and_resumed(cache, whole, broken)


TIMES = ("train_seconds", "predict_seconds", "peak_memory_mb")


def timeless(comparison):
    """The results without what a clock says."""
    results = comparison.results()
    runs = [{k: v for k, v in r.items() if k not in TIMES} for r in results["runs"]]
    kept = {k: v for k, v in results.items() if k != "prepare_seconds"}
    return json.loads(json.dumps({**kept, "runs": runs}))


def test_killed_and_started_again_it_gives_what_it_gives_undisturbed(folders):
    cache, whole, broken, killed = folders
    assert killed > 0

    one, other = bench(cache, whole), bench(cache, broken)

    assert timeless(one) == timeless(other)
    for label, mine in one.pictures.items():
        for a, b in zip(mine, other.pictures[label], strict=True):
            assert a.score.equal(b.score)
            assert a.masks == b.masks


def test_no_run_is_done_twice(folders):
    _, _, broken, _ = folders

    runs = [(run.miner, run.seed) for run in read_runs(broken)]

    assert sorted(runs) == [("cim", 0), ("cim", 1), ("oicr", 0), ("oicr", 1)]


def test_what_is_kept_is_what_was_found(folders, tmp_path):
    cache, *_ = folders
    pipeline = Pipeline(settings(), cache)

    found, kept = (
        compare_variants(variants_of(MINERS[:1]), Squares(), pipeline, folder=tmp_path)
        for _ in range(2)
    )

    assert found.results()["runs"] == kept.results()["runs"]
    assert found.verdict == kept.verdict
    for a, b in zip(found.pictures["cim"], kept.pictures["cim"], strict=True):
        for name in ("index", "label", "score", "boxes"):
            assert getattr(a, name).equal(getattr(b, name))
        assert [m["counts"] for m in a.masks] == [m["counts"] for m in b.masks]
        assert (a.image_id, a.size, a.ledger) == (b.image_id, b.size, b.ledger)


class Untouched(Squares):
    """A data set whose photos are not to be looked at."""

    def _load(self, split, i):
        raise AssertionError("work began")


def test_half_a_line_is_no_run(folders, tmp_path):
    _, whole, _, _ = folders
    (tmp_path / "runs").mkdir()
    for file in (whole / "runs").iterdir():
        (tmp_path / "runs" / file.name).write_bytes(file.read_bytes())
    text = (whole / "runs.jsonl").read_bytes()
    (tmp_path / "runs.jsonl").write_bytes(text[:-100])

    assert len(read_runs(tmp_path)) == 3
    predictions_path(tmp_path, "cim", 0).unlink()
    assert len(read_runs(tmp_path)) == 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("schedule.epochs=5", "cim.schedule.epochs: 4 there, 5 asked for"),
        ("source.nodes=29", "cim.source.settings.nodes: 30 there, 29 asked for"),
    ],
)
def test_another_bench_is_refused_before_work(folders, setting, message):
    cache, whole, _, _ = folders
    pipeline = Pipeline(settings("schedule.epochs=4", setting), cache)

    with pytest.raises(JournalError, match=message):
        compare_variants(
            variants_of(MINERS), Untouched(), pipeline, seeds=[0, 1], folder=whole
        )


def test_other_data_are_refused_before_work(folders):
    cache, whole, _, _ = folders

    class Fewer(Untouched):
        def __init__(self):
            super().__init__(train=5)

    pipeline = Pipeline(settings("schedule.epochs=4"), cache)
    with pytest.raises(JournalError, match=r"data\.digest"):
        compare_variants(
            variants_of(MINERS), Fewer(), pipeline, seeds=[0, 1], folder=whole
        )


def test_seeds_and_miners_are_added(folders, tmp_path):
    cache, *_ = folders
    pipeline = Pipeline(settings("schedule.epochs=1"), cache)
    compare_variants(
        variants_of(MINERS[1:]), Squares(), pipeline, seeds=[1], folder=tmp_path
    )
    kept = (tmp_path / "runs.jsonl").read_text()

    found = compare_variants(
        variants_of(MINERS), Squares(), pipeline, seeds=[1], folder=tmp_path
    )

    assert (tmp_path / "runs.jsonl").read_text().startswith(kept)
    assert [run.miner for run in read_runs(tmp_path)] == ["oicr", "cim"]
    assert [run.miner for run in found.runs] == ["cim", "oicr"]


def test_a_fresh_bench_forgets_the_other(folders, tmp_path):
    cache, *_ = folders
    for epochs, fresh in ((2, False), (1, True)):
        pipeline = Pipeline(settings(f"schedule.epochs={epochs}"), cache)
        compare_variants(
            variants_of(MINERS[1:]), Squares(), pipeline, folder=tmp_path, fresh=fresh
        )

    [run] = read_runs(tmp_path)
    assert len(run.losses) == 1
    assert len(list((tmp_path / "runs").iterdir())) == 3


def test_predictions_survive_the_file(folders, tmp_path):
    _, whole, _, _ = folders
    some = read_predictions(predictions_path(whole, "cim", 0))
    some = [replace(one, ledger=frozenset({Supervision.TAGS})) for one in some]

    one, two = tmp_path / "one.json.gz", tmp_path / "two.json.gz"
    write_predictions(one, some)
    write_predictions(two, read_predictions(one))

    assert one.read_bytes() == two.read_bytes()
    one.write_bytes(b"half")
    with pytest.raises(JournalError, match="damaged"):
        read_predictions(one)
