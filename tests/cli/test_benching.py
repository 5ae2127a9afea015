import json

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.command import wsis
from wsis.contracts import Supervision

pytestmark = pytest.mark.usefixtures("cache")

SETTINGS = [
    *("backbone=efficientnet_lite0:weights=random", "head=mask_pool"),
    *("source=region_tree:nodes=20:pairs=0", "class_map=false"),
    *("schedule.epochs=1", "train_sides=64", "test_sides=64"),
]
TINY = [
    *("--device", "cpu", "--jobs", "1"),
    *("--data", "scenes:train_images=2:val_images=2:size=64"),
    *(word for one in SETTINGS for word in ("--set", one)),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("bench") / "out"
    cache = tmp_path_factory.getbasetemp() / "cli-cache"
    vary = ("--vary", "sampler=none,anti_noise", "--seeds", 2)
    text = wsis("bench", *vary, *TINY, "--out", out, "--cache", cache)
    return out, text


def test_runs_are_tracked_one_by_one_and_again_after_a_stop(folder, tmp_path):
    out, curves = tmp_path / "out", tmp_path / "curves"
    track = ("--track", "tensorboard", "--track", f"tensorboard:{curves}")
    bench = ("bench", "--miners", "cim,oicr", "--no-ceiling", *TINY)
    wsis(*bench, "--out", out, *track)

    for place in (out / "tensorboard", curves):
        one, other = sorted(place.iterdir())
        assert one.name.startswith("cim-")
        assert other.name.startswith("oicr-")
    results = json.loads((out / "results.json").read_text())
    events = EventAccumulator(str(one)).Reload()
    [last] = events.Scalars("val/mAP50")
    assert last.value == pytest.approx(results["runs"][0]["metrics"]["mAP50"])
    assert [point.step for point in events.Scalars("loss/total")] == [2]
    [text] = events.Tensors("settings/text_summary")
    assert b"model | cim" in text.tensor_proto.string_val[0]

    # Another bench has runs of the same names.
    text = wsis(*bench, *track[2:], "--out", tmp_path / "other", code=1)
    assert "has the curves of another training" in text
    (out / "tensorboard/mist-0").mkdir()
    wsis(*bench, "--out", out, *track, "--overwrite")
    assert len(list((out / "tensorboard").iterdir())) == 2
    assert [len(list(one.iterdir())) for one in curves.iterdir()] == [1, 1]


def test_a_part_is_varied_with_one_miner(folder):
    out, text = folder
    results = json.loads((out / "results.json").read_text())

    assert [v["label"] for v in results["variants"]] == [
        "sampler=none",
        "sampler=anti_noise",
    ]
    assert "sampler" not in results["settings"]
    assert {run["miner_settings"]["sampler"] for run in results["runs"]} == {
        "none",
        "anti_noise",
    }
    assert "against sampler=none" in text
    # On drawn scenes, the first seed's ceiling is a default.
    assert [run["seed"] for run in results["ceiling"]["runs"]] == [0]
    assert "of the ceiling" in text
    assert results["verdict"]["differences"]["sampler=anti_noise"]["mAP50"]["p"] <= 1


def test_the_same_command_does_nothing_again(folder):
    out, _ = folder
    before = (out / "runs.jsonl").read_bytes()

    vary = ("--vary", "sampler=none,anti_noise", "--seeds", 2)
    wsis("bench", *vary, *TINY, "--out", out)

    assert (out / "runs.jsonl").read_bytes() == before


def test_another_bench_is_refused_and_the_setting_named(folder):
    out, _ = folder
    other = ("--set", "schedule.lr=0.5")
    vary = ("--vary", "sampler=none,anti_noise")

    text = wsis("bench", *vary, *TINY, *other, "--out", out, code=1)

    assert "schedule.lr: 0.0001 there, 0.5 asked for" in text


def test_summaries_are_written_beside_the_results(folder):
    out, _ = folder

    assert (out / "summary.csv").read_text().startswith("strategy,metric,seeds,mean")
    assert "| sampler=none | 2 |" in (out / "summary.md").read_text()


def test_folders_are_compared(folder, tmp_path):
    out, _ = folder
    figures = tmp_path / "verdict.json"

    text = wsis("bench", "compare", out, out, "--json", figures)

    assert "sampler=none (out)" in text
    assert json.loads(figures.read_text())["level"] == 0.05
    assert "no results.json" in wsis("bench", "compare", out, tmp_path, code=1)


SIX = ("--data", "scenes:train_images=4:val_images=2")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Missing option '--miners', or --vary, or --ablate"),
        (["--ablate", "--vary", "sampler=none"], "got --vary and --ablate"),
        (["--ablate", "--miners", "cim,mist"], "expected one miner"),
        (["--ablate", "--miners", "mist"], "to be cim, got mist"),
        (["--vary", "samplr=none"], "did you mean 'sampler'"),
        (["--vary", "sampler=nne"], "installed samplers are"),
        (["--ablate", "--folds", "1"], "folds must be from 2 to"),
        (["--ablate", "--folds", "999", *SIX], "folds must be from 2 to 6, the number"),
        (["--ablate", "--resume"], "No such option: --resume"),
        (
            ["--ablate", "--set", "cues=none", *SIX],
            "expected cues where anti_noise is false",
        ),
    ],
)
def test_wrong_usage_is_refused_before_work(options, message, tmp_path):
    text = wsis("bench", *options, "--out", tmp_path / "new", code=2)

    assert message in text
    assert not (tmp_path / "new").exists()


def test_a_run_that_read_masks_is_marked(folder, tmp_path, monkeypatch):
    from wsis.proposals.region_tree import RegionTree

    masks = property(lambda tree: frozenset({Supervision.MASKS}))
    monkeypatch.setattr(RegionTree, "ledger", masks)
    text = wsis("bench", "--miners", "oicr", *TINY, "--out", tmp_path / "new")

    results = json.loads((tmp_path / "new" / "results.json").read_text())
    assert results["level"] == results["runs"][0]["level"] == "not image-level"
    assert "source" in results["supervision"]["masks"]
    assert "not image-level" in text
