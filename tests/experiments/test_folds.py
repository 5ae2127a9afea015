import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.drawn import CLASSES, Masked, Squares, settings
from tests.experiments.killed import MINERS, killed_and_resumed
from wsis._support.randomness import generator
from wsis.contracts import Tagged
from wsis.data.points import Pointed
from wsis.data.splits import Folds, deal, in_turn, whole
from wsis.evaluation import Trace, evaluate
from wsis.experiments import BenchError, compare, compare_folders, table
from wsis.experiments.journal import read_runs
from wsis.experiments.matches import match
from wsis.experiments.resampling import of_classes, point
from wsis.experiments.summary import caption, to_csv, to_markdown
from wsis.plugins import SettingError
from wsis.report import render
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
    return compare(data or Masked(train=5, val=4), miners, pipeline, **given)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A bench with folds, and the same after having been killed twice."""
    root = tmp_path_factory.mktemp("folds")
    cache, kept, broken = root / "cache", root / "whole", root / "broken"
    assert killed_and_resumed(cache, kept, broken, 3) > 0
    return cache, kept, broken


@pytest.fixture(scope="module")
def cache(folders):
    return folders[0]


@pytest.fixture(scope="module")
def kept(folders):
    cache, folder, _ = folders
    found = bench(cache, folder)
    results = json.loads(json.dumps(found.results(), allow_nan=False))
    (folder / "results.json").write_text(json.dumps(results))
    return found, results, folder


def test_every_image_is_held_out_once_and_trained_on_otherwise():
    data = Masked(train=5, val=4)
    folds = Folds(count=3).of(data)

    held_out = [i for fold in folds for i in fold.numbers]
    assert sorted(held_out) == list(range(9))
    for fold in folds:
        train = [image.name for image in fold.train().images]
        val = [image.name for image in fold.val().tagged.images]
        assert len(train) + len(val) == 9
        assert not set(train) & set(val)
        assert [t.image_id for t in fold.val().truths] == fold.numbers
        assert len(fold.train_truths()) == len(train)
    everything = in_turn(folds)
    assert [image.id for image in everything.tagged.images] == held_out


def test_images_keep_their_pixels_tags_and_objects_under_new_numbers():
    data = Masked(train=5, val=4)
    both = whole(data)

    truths = [*data.train_truths(), *data.val().truths]
    images = [*data.train().images, *data.val().tagged.images]
    for i, (image, truth) in enumerate(zip(both.tagged.images, both.truths)):  # noqa: B905
        assert image.id == truth.image_id == i
        assert image.name == images[i].name
        assert (image.load() == images[i].load()).all()
        assert truth.masks == truths[i].masks
        assert image.tags[truth.label - 1].all()


def test_the_same_seed_gives_the_same_split_and_another_one_another():
    data = Masked(train=8, val=8)
    one, again, other = (
        [fold.numbers for fold in Folds(count=4, seed=seed).of(data)]
        for seed in (0, 0, 1)
    )

    assert one == again
    assert one != other


@given(
    st.integers(2, 5),
    st.integers(6, 60),
    st.integers(1, 6),
    st.floats(0.05, 0.6),
    st.integers(0, 99),
)
def test_parts_are_alike_in_their_classes(count, images, classes, often, seed):
    draw = torch.Generator().manual_seed(seed)
    tags = torch.rand(images, classes, generator=draw) < often

    part = deal(tags, count, generator(seed, "folds"))

    sizes = torch.bincount(part, minlength=count)
    assert part.min() >= 0
    assert sizes.sum() == images
    single = tags.sum(1) <= 1
    if single.all():
        # Of images with one class at most, every class is dealt out evenly.
        shares = torch.stack([tags[part == k].sum(0) for k in range(count)])
        assert int((shares.amax(0) - shares.amin(0)).max()) <= 1


def test_a_class_that_cannot_be_in_every_fold_is_refused():
    class Rare(Masked):
        def train(self):
            return self._rare(super().train())

        def val(self):
            val = super().val()
            return replace(val, tagged=self._rare(val.tagged))

        def _rare(self, tagged: Tagged) -> Tagged:
            green = torch.tensor([False])
            images = [
                replace(i, tags=torch.cat([i.tags, green])) for i in tagged.images
            ]
            return replace(tagged, classes=(*tagged.classes, "green"), images=images)

    with pytest.raises(ValueError, match=r"each of 3 folds has one; .* green \(0\)"):
        Folds(count=3).of(Rare())
    with pytest.raises(ValueError, match=r"fewer of: red \(3\), blue \(3\)"):
        Folds(count=4).of(Masked(train=4, val=2))


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


def test_data_without_masks_of_their_training_half_are_refused(cache):
    pipeline = Pipeline(settings(), cache)

    with pytest.raises(ValueError, match=r"masks of its training half.*Squares has"):
        compare(Squares(), MINERS, pipeline, folds=3)


def test_data_without_masks_of_their_validation_half_are_refused(cache):
    class Maskless(Masked):
        def val(self):
            return None

    for folds, message in ((3, "masks of its validation half"), (None, "Maskless has")):
        with pytest.raises(ValueError, match=message):
            bench(cache, data=Maskless(), folds=folds)


def pointed(folder, *halves, data=None):
    """Squares of which the images of ``halves`` have a point in the middle."""
    data = data or Masked(train=5, val=4)
    lines = [
        f"{image.name},32,24,{CLASSES[image.id % 2]}"
        for half in (data.train(), data.val().tagged)
        for image in half.images
        if image.name.split()[0] in halves
    ]
    file = folder / "points.csv"
    file.write_text("\n".join(["file,x,y,class", *lines]))
    return Pointed(source=data, file=file)


def test_whatever_is_trained_on_has_its_points(tmp_path):
    data = Masked(train=5, val=4)
    folds = Folds(count=3).of(pointed(tmp_path, "train", "val", data=data))

    seen = [image for fold in folds for image in fold.train().images]
    assert {image.name for image in seen} >= {"train 0", "val 0"}
    for image in seen:
        assert image.points.label.tolist() == [image.tags.nonzero().item() + 1]


def test_a_bench_with_folds_and_points_is_not_image_level(cache, tmp_path):
    pipeline = Pipeline(settings("cues=points", "schedule.epochs=1"), cache)
    data = pointed(tmp_path, "train", "val")

    found = compare(
        data, MINERS[:1], pipeline, seeds=[0], folds=3, folder=tmp_path / "bench"
    )

    assert found.results()["supervision"]["points"] == ["cues"]
    assert len(read_runs(tmp_path / "bench")) == 3


@pytest.mark.parametrize(
    ("has", "lacks"), [("train", "validation"), ("val", "training")]
)
def test_points_of_one_half_alone_are_refused(cache, tmp_path, has, lacks):
    data = pointed(tmp_path, has)

    with pytest.raises(ValueError, match=f"none of the {lacks} half"):
        compare(data, MINERS, Pipeline(settings(), cache), folds=2)


def test_points_of_photos_with_one_name_are_refused(tmp_path):
    class Alike(Masked):
        def _tagged(self, split):
            tagged = super()._tagged(split)
            images = [replace(x, name=f"train {x.id}") for x in tagged.images]
            return replace(tagged, images=images)

    with pytest.raises(ValueError, match=r"a name of its own for each photo.*train 0"):
        whole(pointed(tmp_path, "train", data=Alike()))


def test_photos_in_both_halves_are_refused(cache):
    class Same(Masked):
        def val(self):
            half = super().val()
            images = [*super().train().images[:2], *half.tagged.images[2:]]
            return replace(half, tagged=replace(half.tagged, images=images))

    with pytest.raises(ValueError, match=r"2 are in both: "):
        compare(Same(), MINERS, Pipeline(settings(), cache), folds=2)


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
    with pytest.raises(BenchError, match=r"data\.folds: {'count': 3"):
        compare_folders([folder, tmp_path])


def timeless(comparison):
    """The results without what a clock says."""
    results = comparison.results()
    del results["prepare_seconds"]
    for run in [*results["runs"], *results["folds"]]:
        for name in ("train_seconds", "predict_seconds", "peak_memory_mb"):
            del run[name]
    return json.loads(json.dumps(results))


def test_killed_and_started_again_it_gives_what_it_gives_undisturbed(folders, kept):
    cache, _, broken = folders
    runs = [(run.miner, run.seed, run.fold) for run in read_runs(broken)]

    assert len(runs) == len(set(runs)) == 12
    assert timeless(bench(cache, broken)) == timeless(kept[0])


def test_folders_with_and_without_folds_are_told_apart(cache, kept):
    _, _, folder = kept

    with pytest.raises(BenchError, match=r"data\.folds"):
        bench(cache, folder, folds=None)
    with pytest.raises(BenchError, match=r"data\.folds\.count: 3 there, 2 asked for"):
        bench(cache, folder, folds=2)


def test_a_watcher_looks_at_the_images_of_its_fold(cache):
    watched = bench(cache, None, MINERS[:1], seeds=[0], folds=2, watch=Trace.of)

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
