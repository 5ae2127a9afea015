import csv
import io
import json

import numpy as np
import pytest

from wsis.evaluation.matches import COCO, VOC, Matches
from wsis.experiments import METRICS, JournalError, compare_folders
from wsis.experiments._provenance import by_label, level
from wsis.experiments._resampling import point
from wsis.experiments._verdicts import judge
from wsis.experiments.folders import matches_path
from wsis.report.tables import (
    COLUMNS,
    caption,
    said,
    to_csv,
    to_markdown,
    to_text,
    unsure,
)

IMAGES = 30


def matches(quality, seed):
    """One object and one prediction an image, right with probability ``quality``."""
    draw = np.random.default_rng([seed, int(100 * quality)])
    state = (draw.random(IMAGES) < quality).astype(np.int8)
    return Matches(
        image=np.arange(IMAGES),
        label=np.ones(IMAGES, np.int64),
        score=draw.random(IMAGES),
        state=np.repeat(state[:, None], len(VOC) + len(COCO), 1),
        objects=np.ones((IMAGES, 1), np.int64),
    )


def results(verdict, labels, seeds, **settings):
    metrics = {
        label: {name: one["mean"] for name, one in of_metric.items()}
        for label, of_metric in verdict["strategies"].items()
    }
    return {
        "settings": {
            "schedule": {"lr": 1e-4},
            "seeds": seeds,
            "data": {"digest": "d"},
            **settings,
        },
        "settings_hash": "0123",
        "versions": {"wsis": "0"},
        "data": {
            "name": "dots",
            "classes": ["dot"],
            "train_images": 3,
            "val_images": IMAGES,
        },
        "truths": "t",
        "oracle": dict.fromkeys((*METRICS[:-1], "ABO"), 90.0),
        "random": dict.fromkeys(METRICS, 1.0),
        "supervision": {"tags": ["training"]},
        "level": "image-level",
        "verdict": verdict,
        "runs": [
            {
                "miner": label,
                "seed": seed,
                "metrics": metrics[label],
                "supervision": {"training": ["tags"]},
                "level": "image-level",
            }
            for label in labels
            for seed in seeds
        ],
    }


def bench(folder, qualities, seeds=(0, 1, 2), **settings):
    folder.mkdir()
    runs = {(x, s): matches(q, s) for x, q in qualities.items() for s in seeds}
    for key, one in runs.items():
        one.save(matches_path(folder, *key))
    found = results(judge(runs, samples=40), list(qualities), list(seeds), **settings)
    for run in found["runs"]:
        run["metrics"] = point(runs[run["miner"], run["seed"]])
    (folder / "results.json").write_text(json.dumps(found))
    return found


def test_strategies_of_two_folders_are_judged_together(tmp_path):
    bench(tmp_path / "a", {"cim": 0.3, "mist": 0.5})
    bench(tmp_path / "b", {"cim": 0.95, "oicr": 0.3}, seeds=(1, 2, 3, 4))

    verdict = compare_folders([tmp_path / "a", tmp_path / "b"])

    assert list(verdict["strategies"]) == ["cim (a)", "mist", "cim (b)", "oicr"]
    assert verdict["first"] == "cim (a)"
    found = verdict["differences"]["cim (b)"]["mAP50"]
    assert found["seeds"] == 2
    assert found["mean"] > 30
    assert verdict["strategies"]["cim (b)"]["mAP50"]["seeds"] == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schedule": {"lr": 3e-4}}, r"schedule\.lr: 0\.0001 and 0\.0003"),
        ({"data": {"digest": "e"}}, r"data\.digest: 'd' and 'e'"),
        ({"cues": {"name": "none"}}, r"cues: none that all share and \{"),
    ],
)
def test_what_cannot_be_compared_is_refused_and_named(tmp_path, change, message):
    bench(tmp_path / "a", {"cim": 0.3})
    bench(tmp_path / "b", {"cim": 0.4}, **change)

    with pytest.raises(JournalError, match=message):
        compare_folders([tmp_path / "a", tmp_path / "b"])


def test_results_that_other_matches_give_are_refused(tmp_path):
    bench(tmp_path / "a", {"cim": 0.3})
    bench(tmp_path / "b", {"mist": 0.4})
    path = tmp_path / "b" / "results.json"
    found = json.loads(path.read_text())
    found["runs"][1]["metrics"]["AP"] += 0.1
    path.write_text(json.dumps(found))

    with pytest.raises(JournalError, match=r"mist, seed 1 has AP .* its matches give"):
        compare_folders([tmp_path / "a", tmp_path / "b"])


def test_what_is_no_finished_bench_is_refused(tmp_path):
    bench(tmp_path / "a", {"cim": 0.3})
    (tmp_path / "b").mkdir()

    with pytest.raises(JournalError, match=r"no results\.json"):
        compare_folders([tmp_path / "a", tmp_path / "b"])
    (tmp_path / "b" / "results.json").write_text("{}")
    with pytest.raises(JournalError, match="holds no results"):
        compare_folders([tmp_path / "a", tmp_path / "b"])
    with pytest.raises(JournalError, match="two folders or more, got 1"):
        compare_folders([tmp_path / "a"])


def test_the_summary_has_a_line_a_strategy_and_figure(tmp_path):
    found = bench(tmp_path / "a", {"cim": 0.3, "mist": 0.9})

    lines = list(csv.DictReader(io.StringIO(to_csv(found))))

    assert tuple(lines[0]) == COLUMNS
    keys = [(line["strategy"], line["metric"]) for line in lines]
    assert keys[:10] == [(x, name) for x in ("cim", "mist") for name in METRICS]
    mist = lines[keys.index(("mist", "mAP50"))]
    assert mist["verdict"] == "better"
    assert float(mist["low"]) < float(mist["mean"]) < float(mist["high"])
    assert (mist["supervision"], mist["level"]) == ("tags", "image-level")
    assert lines[keys.index(("cim", "mAP50"))]["verdict"] == ""


def test_the_markdown_has_verdicts_and_the_labels_consumed(tmp_path):
    found = bench(tmp_path / "a", {"cim": 0.3, "mist": 0.9})
    text = to_markdown(found)

    assert "| cim | 3 |" in text
    assert "Against cim:" in text
    assert "better" in text
    assert "Labels consumed: tags (training): image-level." in text


def test_one_seed_and_figures_of_chance_say_what_they_cannot_show(tmp_path):
    found = bench(tmp_path / "a", {"cim": 0.9, "mist": 0.0})
    several = caption(found)
    alone = {**found, "runs": [run for run in found["runs"] if run["seed"] == 0]}

    low = "No better than chance, so nothing was learned: mist; train longer"
    assert low in several
    assert "One seed" not in several
    for text in (caption(alone), to_text(alone), to_markdown(alone)):
        assert "One seed tells no miner from another" in text
        assert low in text
    assert unsure(bench(tmp_path / "b", {"cim": 0.3, "mist": 0.9})) == []


def test_what_is_not_shown_says_how_many_seeds_more():
    one = {"mean": 1.0, "interval": (-1.0, 3.0), "verdict": "not significant"}

    assert said({**one, "seeds_more": 4}) == (
        "+1.0 (-1.0 to +3.0) not significant, 4 more seeds"
    )
    assert said({**one, "seeds_more": None}) == "+1.0 (-1.0 to +3.0) not significant"


def test_labels_are_listed_with_the_parts_that_consumed_them():
    ledgers = [
        {"training": ["tags"], "backbone": ["imagenet classes"]},
        {"training": ["tags"], "source": ["masks"]},
    ]

    assert by_label(ledgers) == {
        "imagenet classes": ["backbone"],
        "masks": ["source"],
        "tags": ["training"],
    }


def test_masks_and_points_are_more_than_image_level():
    assert level(["tags", "imagenet classes", "boundaries"]) == "image-level"
    assert level(["tags", "masks"]) == "not image-level"
    assert level(["points"]) == "not image-level"
