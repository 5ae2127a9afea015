import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import save_file

from tests.drawn import Squares, settings
from tests.experiments.killed import MINERS, bench, killed_and_resumed
from wsis._support.checks import InputWarning
from wsis._support.progress import Silent
from wsis.contracts import Supervision
from wsis.evaluation.matches import Matches
from wsis.experiments import (
    METRICS,
    JournalError,
    compare,
    compare_folders,
    variants_of,
)
from wsis.experiments.folders import (
    predictions_path,
    read_predictions,
    read_runs,
    shown_path,
    write_predictions,
)
from wsis.features.backbones import efficientnet_lite0
from wsis.runs.pipeline import Pipeline


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A bench, and the same after having been killed."""
    root = tmp_path_factory.mktemp("benches")
    cache, whole, broken = root / "cache", root / "whole", root / "broken"
    killed_and_resumed(cache, whole, broken)
    return cache, whole, broken


TIMES = ("train_seconds", "predict_seconds", "peak_memory_mb")


def timeless(comparison):
    """The results without what a clock says."""
    results = comparison.results()
    runs = [{k: v for k, v in r.items() if k not in TIMES} for r in results["runs"]]
    kept = {k: v for k, v in results.items() if k != "prepare_seconds"}
    return json.loads(json.dumps({**kept, "runs": runs}))


def test_killed_and_started_again_it_gives_what_it_gives_undisturbed(folders):
    cache, whole, broken = folders

    one, other = bench(cache, whole), bench(cache, broken)

    assert timeless(one) == timeless(other)
    for label, mine in one.pictures.items():
        for a, b in zip(mine, other.pictures[label], strict=True):
            assert a.score.equal(b.score)
            assert a.masks == b.masks


def test_no_run_is_done_twice(folders):
    _, _, broken = folders

    runs = [(run.miner, run.seed) for run in read_runs(broken)]

    assert sorted(runs) == [("cim", 0), ("cim", 1), ("oicr", 0), ("oicr", 1)]


def test_what_is_kept_is_what_was_found(folders, tmp_path):
    cache, *_ = folders
    pipeline = Pipeline(settings(), cache)

    found, kept = (
        compare(
            variants_of(MINERS[:1]), Squares(), pipeline, folder=tmp_path, seeds=[0]
        )
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
    _, whole, _ = folders
    (tmp_path / "runs").mkdir()
    for file in (whole / "runs").iterdir():
        (tmp_path / "runs" / file.name).write_bytes(file.read_bytes())
    text = (whole / "runs.jsonl").read_bytes()
    (tmp_path / "runs.jsonl").write_bytes(text[:-100])

    assert len(read_runs(tmp_path)) == 3
    predictions_path(tmp_path, "cim", 0).unlink()
    with pytest.warns(InputWarning, match=r"line 1 .*: cim-\S+ is missing"):
        assert len(read_runs(tmp_path)) == 2


def changed(folder, **values):
    """Change the first line of a bench."""
    first, *lines = (folder / "runs.jsonl").read_text().splitlines()
    line = json.loads(first) | values
    kept = {key: value for key, value in line.items() if value is not ...}
    text = "\n".join([json.dumps(kept), *lines]) + "\n"
    (folder / "runs.jsonl").write_text(text)
    return text


@pytest.fixture
def copied(folders, tmp_path):
    cache, whole, *_ = folders
    return cache, Path(shutil.copytree(whole, tmp_path / "copy"))


def test_predictions_that_were_exchanged_or_changed_are_noticed(copied):
    cache, folder = copied
    mine, other = (predictions_path(folder, "cim", seed) for seed in (0, 1))
    whole = mine.read_bytes()
    first, second, *rest = read_predictions(mine)
    swapped = [replace(first, image_id=second.image_id)]
    swapped += [replace(second, image_id=first.image_id), *rest]
    changes = (other.read_bytes(), None)
    for content in changes:
        if content is None:
            write_predictions(mine, swapped)
        else:
            mine.write_bytes(content)
        with pytest.raises(
            JournalError, match=rf"{mine.name} is not the file that was"
        ):
            bench(cache, folder)
    mine.write_bytes(whole)
    bench(cache, folder)


def test_what_reports_show_of_another_run_is_noticed(copied):
    cache, folder = copied
    mine, other = (shown_path(folder, label, 0) for label in ("cim", "oicr"))
    whole = mine.read_bytes()
    mine.write_bytes(other.read_bytes())

    with pytest.raises(JournalError, match=rf"{mine.name} is not the file that was"):
        bench(cache, folder)

    mine.write_bytes(whole)
    bench(cache, folder)


def test_predictions_of_folders_that_do_not_tell_are_read(copied):
    cache, folder = copied
    for path in (folder / "runs").glob("*.matches.safetensors"):
        Matches.load(path).save(path)
    write_predictions(predictions_path(folder, "cim", 0), [])

    assert bench(cache, folder).pictures["cim"] == []


def test_weights_at_another_path_are_the_same_weights(tmp_path):
    net = efficientnet_lite0("random").net
    pipelines = []
    for name in ("a", "b"):
        save_file(net.state_dict(), tmp_path / f"{name}.safetensors")
        own = f"backbone.weights={tmp_path / name}.safetensors"
        few = settings(own, "schedule.epochs=1")
        pipelines.append(Pipeline(few, tmp_path / "cache"))
    for pipeline in pipelines:
        compare(
            variants_of(MINERS[:1]),
            Squares(),
            pipeline,
            folder=tmp_path / "bench",
            seeds=[0],
        )
    assert len(read_runs(tmp_path / "bench")) == 1

    net.bn1.weight.data += 1
    save_file(net.state_dict(), tmp_path / "b.safetensors")
    other = Pipeline(few, tmp_path / "cache")
    with pytest.raises(JournalError, match=r"b\.safetensors.*cim\.inputs\.backbone: "):
        compare(
            variants_of(MINERS[:1]),
            Squares(),
            other,
            folder=tmp_path / "bench",
            seeds=[0],
        )


def test_a_line_without_versions_stays_without(copied):
    cache, folder = copied
    text = changed(folder, versions=..., commit=...)

    found = bench(cache, folder)

    assert (found.runs[0].versions, found.runs[0].commit) == ({}, None)
    assert found.runs[1].versions["wsis"]
    assert (folder / "runs.jsonl").read_text() == text


def test_fields_of_another_version_are_named_and_the_run_counts(copied):
    cache, folder = copied
    text = changed(folder, surprise=1)

    with pytest.warns(InputWarning, match=r"line 1 \(cim, seed 0\): surprise"):
        bench(cache, folder)

    assert (folder / "runs.jsonl").read_text() == text


def test_a_line_that_lacks_a_field_is_named_and_its_run_done_again(copied):
    cache, folder = copied
    text = changed(folder, losses=...)

    with pytest.warns(InputWarning, match=r"line 1 \(cim, seed 0\): losses: field req"):
        found = bench(cache, folder)

    assert (folder / "runs.jsonl").read_text().startswith(text)
    assert len(found.runs) == 4


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"versions": {"wsis": "0.0.1"}}, r"cim, seed 0 was made with .*wsis 0\.0\.1"),
        (
            {"metrics": dict.fromkeys(METRICS, 99.5)},
            r"cim, seed 0 has mAP25 99\.5, its matches give",
        ),
    ],
)
def test_a_line_of_another_version_or_changed_is_refused(copied, values, message):
    cache, folder = copied
    text = changed(folder, **values)

    with pytest.raises(JournalError, match=message):
        bench(cache, folder)

    assert (folder / "runs.jsonl").read_text() == text


def test_lines_without_a_design_are_refused(copied):
    cache, folder = copied
    (folder / "bench.json").unlink()

    with pytest.raises(JournalError, match=r"expected bench\.json beside"):
        bench(cache, folder)


def test_two_processes_do_not_bench_in_one_folder(copied):
    cache, folder = copied
    code = (
        "import fcntl, os, sys\n"
        "held = os.open(sys.argv[1], os.O_RDONLY)\n"
        "fcntl.flock(held, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(
            JournalError, match="another process is working on the bench"
        ):
            bench(cache, folder)
        other.stdin.close()
    bench(cache, folder)


def test_a_fresh_bench_that_is_killed_leaves_no_results_of_the_other(copied):
    cache, folder = copied
    bench(cache, folder).save(folder)
    pipeline = Pipeline(settings("schedule.epochs=1"), cache)

    class Stopped(Silent):
        def start(self, title, total):
            if title.startswith("oracle"):
                raise KeyboardInterrupt
            return super().start(title, total)

    with pytest.raises(KeyboardInterrupt):
        compare(
            variants_of(MINERS[:1]),
            Squares(),
            pipeline,
            folder=folder,
            fresh=True,
            monitor=Stopped(),
            seeds=[0],
        )

    with pytest.raises(JournalError, match=r"no results\.json"):
        compare_folders([folder, folder])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("schedule.epochs=5", "cim.schedule.epochs: 4 there, 5 asked for"),
        ("source.nodes=29", "cim.source.settings.nodes: 30 there, 29 asked for"),
    ],
)
def test_another_bench_is_refused_before_work(folders, setting, message):
    cache, whole, _ = folders
    pipeline = Pipeline(settings("schedule.epochs=4", setting), cache)

    with pytest.raises(JournalError, match=message):
        compare(variants_of(MINERS), Untouched(), pipeline, seeds=[0, 1], folder=whole)


def test_other_pixels_masks_and_weights_are_refused(folders, monkeypatch):
    cache, whole, _ = folders

    class Darker(Squares):
        def _load(self, split, i):
            return super()._load(split, i) // 2

    class Relabelled(Squares):
        def _truth(self, split, i):
            found = super()._truth(split, i)
            return replace(found, label=3 - found.label)

    def asked(data, what):
        pipeline = Pipeline(settings("schedule.epochs=4"), cache)
        with pytest.raises(JournalError, match=rf"cim\.inputs\.{what}: "):
            compare(variants_of(MINERS), data, pipeline, seeds=[0, 1], folder=whole)

    asked(Darker(), "photos")
    asked(Relabelled(), "truths")
    monkeypatch.setattr(Pipeline, "weights", "others")
    asked(Squares(), "backbone")


def test_other_data_are_refused_before_work(folders):
    cache, whole, _ = folders

    class Fewer(Untouched):
        def __init__(self):
            super().__init__(train=5)

    pipeline = Pipeline(settings("schedule.epochs=4"), cache)
    with pytest.raises(JournalError, match=r"data\.digest"):
        compare(variants_of(MINERS), Fewer(), pipeline, seeds=[0, 1], folder=whole)


def test_seeds_and_miners_are_added(folders, tmp_path):
    cache, *_ = folders
    pipeline = Pipeline(settings("schedule.epochs=1"), cache)
    compare(variants_of(MINERS[1:]), Squares(), pipeline, seeds=[1], folder=tmp_path)
    kept = (tmp_path / "runs.jsonl").read_text()

    found = compare(
        variants_of(MINERS), Squares(), pipeline, seeds=[1], folder=tmp_path
    )

    assert (tmp_path / "runs.jsonl").read_text().startswith(kept)
    assert [run.miner for run in read_runs(tmp_path)] == ["oicr", "cim"]
    assert [run.miner for run in found.runs] == ["cim", "oicr"]


def test_a_fresh_bench_forgets_the_other(folders, tmp_path):
    cache, *_ = folders
    for epochs, fresh in ((2, False), (1, True)):
        pipeline = Pipeline(settings(f"schedule.epochs={epochs}"), cache)
        compare(
            variants_of(MINERS[1:]),
            Squares(),
            pipeline,
            folder=tmp_path,
            fresh=fresh,
            seeds=[0],
        )

    [run] = read_runs(tmp_path)
    assert len(run.losses) == 1
    assert len(list((tmp_path / "runs").iterdir())) == 3


def test_predictions_survive_the_file(folders, tmp_path):
    _, whole, _ = folders
    some = read_predictions(predictions_path(whole, "cim", 0))
    some = [replace(one, ledger=frozenset({Supervision.TAGS})) for one in some]

    one, two = tmp_path / "one.json.gz", tmp_path / "two.json.gz"
    write_predictions(one, some)
    write_predictions(two, read_predictions(one))

    assert one.read_bytes() == two.read_bytes()
    one.write_bytes(b"half")
    with pytest.raises(JournalError, match="damaged"):
        read_predictions(one)
