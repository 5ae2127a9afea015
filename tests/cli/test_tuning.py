import json
import shlex

import numpy as np
import pytest
from PIL import Image

from tests.command import wsis
from wsis.cues import balance

SETTINGS = [
    *("backbone=efficientnet_lite0:weights=random", "head=mask_pool"),
    *("source=region_tree:nodes=20:pairs=0", "class_map=false"),
    *("schedule.epochs=1", "train_sides=64", "test_sides=64", "head.width=8"),
]
TINY = [
    *("--device", "cpu", "--jobs", "1", "--settings", "3", "--views", "1"),
    *(word for one in SETTINGS for word in ("--set", one)),
]
SCENES = ["--data", "scenes:train_images=8:val_images=2:size=64"]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.getbasetemp() / "tuning-cache"
    monkeypatch.setenv("WSIS_CACHE", str(folder))


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    out = tmp_path_factory.mktemp("tune") / "out"
    cache = tmp_path_factory.getbasetemp() / "tuning-cache"
    return out, wsis("tune", *SCENES, *TINY, "--out", out, "--cache", cache)


def test_settings_are_ranked_and_judged(tuned):
    out, text = tuned
    results = json.loads((out / "tune.json").read_text())

    assert [row["rank"] for row in results["settings"]] == [1, 2, 3]
    assert results["by"] == "evidence"
    assert results["verdict"]["settings"] == 3
    assert "Spearman" in text
    assert "tag-ap" in text
    assert (out / "tune.csv").read_text().count("\n") == 4
    # A random backbone and one pass teach nothing, and the command says so.
    assert "no model has learned the tags: tag-ap is" in text


def test_it_ends_with_the_options_of_a_bench(tuned):
    from wsis.runs.settings import Part, Settings

    _, text = tuned

    words = shlex.split(text[text.rindex("wsis bench --data") :])
    assert words[2:4] == SCENES
    assert Part.parse(words[words.index("--miners") + 1]).build("miners")
    sets = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    assert sets[: len(SETTINGS)] == SETTINGS
    Settings.read(sets)


def test_a_bench_compares_what_was_chosen(tuned, tmp_path):
    folder, _ = tuned
    results = json.loads((folder / "tune.json").read_text())
    miner, *assigner = [
        {"p_seed": 0.3, "t_cls": 0.2, "step": 0.0},
        "assigner.t_cls=0.2",
        "assigner.t_iou=0.4",
    ]
    words = ":".join(f"{name}={value}" for name, value in miner.items())
    results["settings"][0] |= {"miner": f"cim:{words}", "overrides": assigner}
    (tmp_path / "tune.json").write_text(json.dumps(results))
    settings = [word for one in SETTINGS for word in ("--set", one)]

    wsis(
        *("bench", *SCENES, *settings, "--device", "cpu", "--jobs", "1"),
        *("--miners", "cim", "--tuned", tmp_path, "--out", tmp_path / "bench"),
    )

    bench = json.loads((tmp_path / "bench" / "results.json").read_text())
    plain, run = bench["runs"]
    assert (plain["miner"], run["miner"]) == ("cim", "cim tuned")
    assert run["miner_settings"].items() >= miner.items()
    assert plain["miner_settings"]["p_seed"] == 0.1
    # What they differ in is not among what is the same for both.
    assert bench["settings"]["assigner"]["settings"] == {
        "step": 0.1,
        "oversized": False,
    }


def test_tunings_of_one_miner_have_their_folders_names(tuned, tmp_path):
    from wsis.experiments.tuning.folder import chosen

    folder, _ = tuned
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "tune.json").write_bytes((folder / "tune.json").read_bytes())

    found = [one.variant.label for one in chosen([folder, tmp_path / "more"])]

    assert found == ["cim tuned (out)", "cim tuned (more)"]
    assert [one.variant.label for one in chosen([folder])] == ["cim tuned"]


def test_a_tuning_of_other_settings_is_told(tuned):
    from wsis.experiments.tuning import Choice
    from wsis.runs.settings import Settings

    choice = Choice.read(tuned[0])

    assert choice.elsewhere(Settings.read(SETTINGS)) == {}
    other = Settings.read([*SETTINGS, "schedule.epochs=7"])
    assert choice.elsewhere(other) == {"schedule.epochs": (1, 7)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "the folder of a finished wsis tune"),
        ("{}", "what wsis tune writes"),
        ('{"settings": []}', "what wsis tune writes"),
    ],
)
def test_a_folder_without_a_choice_is_refused(content, message, tmp_path):
    if content is not None:
        (tmp_path / "tune.json").write_text(content)

    out = tmp_path / "new"
    text = wsis("bench", *SCENES, "--tuned", tmp_path, "--out", out, code=1)

    assert message in text
    assert not out.exists()


def test_the_page_has_a_curve_of_each_axis_and_no_address(tuned):
    page = (tuned[0] / "tune.html").read_text()

    for name in ("p_seed", "containment", "t_cls", "t_iou", "step"):
        assert f"evidence by {name}" in page
        assert f"mAP50 by {name}" in page
    assert page.count("<svg") == 10
    assert "http" not in page
    assert page.count('class="dot') == 30


def test_the_same_command_does_nothing_again_and_another_is_refused(tuned):
    out, _ = tuned
    before = (out / "trials.jsonl").read_bytes()

    wsis("tune", *SCENES, *TINY, "--out", out, "--by", "flips")
    assert (out / "trials.jsonl").read_bytes() == before
    other = ["--set", "schedule.lr=0.5"]
    text = wsis("tune", *SCENES, *TINY, *other, "--out", out, code=1)

    assert "schedule.lr: 0.0001 there, 0.5 asked for" in text
    assert (out / "trials.jsonl").read_bytes() == before


def test_photos_of_ones_own_with_nothing_but_tags(tmp_path):
    photos, lines = tmp_path / "photos", ["file,tags"]
    photos.mkdir()
    random = np.random.default_rng(0)
    for i in range(8):
        pixels = random.integers(0, 255, (48, 64, 3), np.uint8)
        Image.fromarray(pixels).save(photos / f"{i}.png")
        lines.append(f"{i}.png,{'red' if i % 2 else 'blue'}")
    (photos / "tags.csv").write_text("\n".join(lines))
    data = ["--data", "folder", "--root", photos]

    text = wsis("tune", *data, *TINY, "--out", tmp_path / "out", "--held-out", 0.5)

    assert "no masks judged" in text
    assert f"wsis train --data folder --root {photos} --set backbone" in text
    assert " --miner apart" in text
    results = json.loads((tmp_path / "out" / "tune.json").read_text())
    assert results["verdict"] is None
    assert results["settings"][0]["criteria"]["tag-ap"] is not None
    page = (tmp_path / "out" / "tune.html").read_text()
    assert "Nothing was judged by masks" in page
    assert page.count("<svg") == 5
    text = wsis("tune", *data, *TINY, "--judge", "--out", tmp_path / "new", code=2)
    assert "no masks" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sweep", "p_sed=0.1..0.2"], "did you mean 'p_seed'"),
        (["--sweep", "p_seed"], "expected NAME=LOW..HIGH"),
        (["--sweep", "t_cls=0.5..0.9"], "cannot sweep t_cls=0.9"),
        (["--by", "flip"], "expected --by one of combined, tag-ap"),
        (["--miner", "cmi"], "installed miners are"),
        (["--miner", "cim,mist"], "expected one miner"),
        (["--held-out", "1"], "expected --held-out in (0, 1)"),
        (["--settings", "1"], "greater than or equal to 2"),
    ],
)
def test_wrong_usage_is_refused_before_work(options, message, tmp_path):
    text = wsis("tune", *SCENES, *TINY, *options, "--out", tmp_path / "new", code=2)

    assert message in text
    assert not (tmp_path / "new").exists()


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "photo.jpg").write_text("")

    text = wsis("tune", *SCENES, *TINY, "--out", tmp_path, code=2)

    assert "exists; choose another --out" in text


def test_too_few_proposals_for_the_cues_are_told_before_the_sweep(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(balance, "ENOUGH", 1)

    text = wsis("tune", *SCENES, *TINY, "--out", tmp_path / "out")

    assert "hint for default: cues mark" in text
