"""Curves of a training: what trackers are told, and that they cannot spoil it."""

import sys
from dataclasses import dataclass, field

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.drawn import FAST, Squares
from wsis import InputWarning, train
from wsis.runs.run import load
from wsis.training import Tracker, Training
from wsis.training.checkpoints import Progress
from wsis.training.schedule import Schedule
from wsis.training.trackers import Curves, following

TINY = (*FAST, "schedule.epochs=3", "class_map=false")
IMAGES = 6


@dataclass
class Notes:
    """A tracker that keeps what it is told; at ``fails`` it fails."""

    fails: str = ""
    told: list = field(default_factory=list)

    def begin(self, training: Training) -> None:
        self._keep("begin", training)

    def log(self, images, figures) -> None:
        self._keep("log", (images, dict(figures)))

    def end(self, *, finished: bool) -> None:
        self._keep("end", finished)

    def _keep(self, what, value):
        self.told.append((what, value))
        if what == self.fails:
            raise OSError("the disk is full")

    @property
    def points(self):
        return [value for what, value in self.told if what == "log"]


def trained(folder, tracker, cache, **more):
    return train(
        *(Squares(), "cim"),
        settings=TINY,
        device="cpu",
        cache=cache,
        folder=folder,
        tracker=tracker,
        **more,
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def test_a_training_is_told_from_begin_to_end(tmp_path, cache):
    notes = Notes()

    run = trained(tmp_path / "run", notes, cache)

    assert isinstance(notes, Tracker)
    (first, training), *_, last = notes.told
    assert (first, last) == ("begin", ("end", True))
    assert (training.name, training.folder) == ("run", tmp_path / "run")
    assert training.settings["model"] == "cim"
    assert training.settings["schedule.epochs"] == "3"
    assert training.settings["source.settings.nodes"] == "30"
    assert [at for at, _ in notes.points] == [IMAGES, 2 * IMAGES, 3 * IMAGES]
    for (_, figures), losses in zip(notes.points, run.card.losses, strict=True):
        for name, value in losses.items():
            assert figures[f"loss/{name}"] == pytest.approx(value)
    rates = [figures["learning_rate"] for _, figures in notes.points]
    assert rates == pytest.approx([1e-4, 1e-4, 1e-5])
    assert notes.points[-1][1]["pass"] == 3
    assert notes.points[-1][1]["steps/taken"] == 3 * IMAGES


def test_tracking_changes_no_weight(tmp_path, cache):
    plain = trained(tmp_path / "plain", (), cache)
    told = trained(tmp_path / "told", [Notes(), Notes()], cache)

    assert plain.card.weights == told.card.weights


def test_losses_are_means_since_the_last_point():
    """120 images a pass: points after 50, 100, 120, 150, …"""
    notes, progress = Notes(), Progress()
    follow = Curves(trackers=[notes]).of(Schedule(epochs=2), 120, 240)
    for i in range(240):
        progress.step += 1
        if i == 7:
            progress.skip("no tags")
        elif i == 9:
            progress.drop("loss", "a.png")
        else:
            progress.add({"total": float(i)})
        follow(progress)
        if progress.step % 120 == 0:
            progress.close()

    points = dict(notes.points)
    assert list(points) == [50, 100, 120, 150, 200, 240]
    assert points[50]["loss/total"] == pytest.approx((49 * 25 - 7 - 9) / 48)
    means = [points[at]["loss/total"] for at in (100, 120, 150, 200, 240)]
    assert means == pytest.approx([74.5, 109.5, 134.5, 174.5, 219.5])
    assert {one["images/skipped"] for one in points.values()} == {1}
    assert {one["steps/dropped"] for one in points.values()} == {1}
    assert points[150]["pass"] == 1.25


def test_a_span_without_a_taught_image_has_no_loss():
    notes, progress = Notes(), Progress(step=49, skipped={"no tags": 49})
    follow = Curves(trackers=[notes]).of(Schedule(), 1000, 1000)
    progress.step += 1
    progress.skip("no tags")
    follow(progress)

    [(at, figures)] = notes.points
    assert at == 50
    assert not any(name.startswith("loss") for name in figures)
    assert figures["images/skipped"] == 50


def test_a_tracker_that_fails_is_warned_of_once_and_training_goes_on(tmp_path, cache):
    broken, whole = Notes(fails="log"), Notes()

    with pytest.warns(InputWarning, match=r"Notes failed .* the disk is full") as told:
        trained(tmp_path / "run", [broken, whole], cache)

    assert len(told) == 1
    assert [what for what, _ in broken.told] == ["begin", "log"]
    assert [what for what, _ in whole.told] == ["begin", *["log"] * 3, "end"]
    assert load(tmp_path / "run", cache=cache).card.weights


def test_one_that_cannot_begin_ends_the_training_at_once(tmp_path, cache):
    first = Notes()

    with pytest.raises(ValueError, match=r"Notes cannot begin, .* the disk is full"):
        trained(tmp_path / "run", [first, Notes(fails="begin")], cache)

    assert first.told[-1] == ("end", False)
    assert not (tmp_path / "run/model.safetensors").exists()


def test_a_training_that_stops_says_so():
    notes = Notes()

    with (
        pytest.raises(KeyboardInterrupt),
        following([notes], Training(name="a", settings={})),
    ):
        raise KeyboardInterrupt

    assert notes.told[-1] == ("end", False)


@pytest.mark.parametrize("wrong", ["wandb", "", 3, ["tensorboard:a", None]])
def test_what_is_no_tracker_is_refused_before_any_work(tmp_path, cache, wrong):
    with pytest.raises((ValueError, TypeError), match="tracker"):
        trained(tmp_path / "run", wrong, cache)

    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_missing_package_is_named(tmp_path, cache, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(ValueError, match=rf"pip install 'wsis\[{name}\]'"):
        trained(tmp_path / "run", name, cache)


def read(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def scalars(folder, name):
    return [(one.step, one.value) for one in read(folder).Scalars(name)]


def test_tensorboard_reads_the_curves(tmp_path, cache):
    run = trained(tmp_path / "run", "tensorboard", cache)

    folder = tmp_path / "run/tensorboard"
    wanted = [(IMAGES * (i + 1), one["total"]) for i, one in enumerate(run.card.losses)]
    assert scalars(folder, "loss/total") == [
        (at, pytest.approx(value)) for at, value in wanted
    ]
    tags = set(read(folder).Tags()["scalars"])
    assert {"learning_rate", "pass", "steps/taken", "steps/dropped"} <= tags
    [text] = read(folder).Tensors("settings/text_summary")
    assert b"schedule.epochs | 3" in text.tensor_proto.string_val[0]


def test_a_resumed_training_continues_its_curves(tmp_path, cache):
    trained(tmp_path / "run", "tensorboard", cache, steps=IMAGES + 1)
    folder = tmp_path / "run/tensorboard"
    before = scalars(folder, "loss/total")
    assert [at for at, _ in before] == [IMAGES, IMAGES + 1]

    trained(tmp_path / "run", "tensorboard", cache, resume=True)

    after = scalars(folder, "loss/total")
    assert after[:2] == before
    assert [at for at, _ in after[2:]] == [2 * IMAGES, 3 * IMAGES]
    assert len(read(folder).Tensors("settings/text_summary")) == 1


def test_points_beyond_the_checkpoint_are_drawn_anew(tmp_path, cache):
    """A training that was killed had drawn more than it kept."""
    place = tmp_path / "curves"
    tracker = f"tensorboard:{place}"
    trained(tmp_path / "run", tracker, cache, steps=IMAGES)
    trained(tmp_path / "run", tracker, cache, resume=True, steps=2 * IMAGES)
    shorter = tmp_path / "shorter"
    trained(shorter, (), cache, steps=IMAGES)

    trained(shorter, tracker, cache, resume=True)

    steps = [at for at, _ in scalars(place, "loss/total")]
    assert steps == [IMAGES, 2 * IMAGES, 3 * IMAGES]


def test_curves_of_two_trainings_stay_apart(tmp_path, cache):
    tracker = f"tensorboard:{tmp_path / 'curves'}"
    trained(tmp_path / "run", tracker, cache)

    with pytest.raises(ValueError, match="has the curves of another training"):
        trained(tmp_path / "other", tracker, cache)
    with pytest.raises(ValueError, match="expected tensorboard:FOLDER"):
        trained(None, "tensorboard", cache)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_mlflow_reads_the_curves(tmp_path, cache):
    pytest.importorskip("mlflow", reason="the extra 'mlflow' is not installed")
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    trained(tmp_path / "run", f"mlflow:{uri}", cache, steps=IMAGES + 1)
    trained(tmp_path / "run", f"mlflow:{uri}", cache, resume=True)
    trained(tmp_path / "other", f"mlflow:{uri}", cache, steps=IMAGES)

    client = MlflowClient(uri)
    place = client.get_experiment_by_name("wsis").experiment_id
    other, run = client.search_runs([place])
    assert [one.info.run_name for one in (other, run)] == ["other", "run"]
    assert run.info.status == "FINISHED"
    assert run.data.params["schedule.epochs"] == "3"
    points = client.get_metric_history(run.info.run_id, "loss/total")
    assert [one.step for one in points] == [
        *(IMAGES, IMAGES + 1),
        *(2 * IMAGES, 3 * IMAGES),
    ]
    assert not (tmp_path / "run/tensorboard").exists()
    with pytest.raises(ValueError, match="MLflowTracker cannot begin"):
        trained(tmp_path / "no", "mlflow:nonsense://a", cache)
