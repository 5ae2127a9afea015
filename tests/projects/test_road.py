"""The road of a project in Python: steps, resume, processes."""

import json
import os
import shlex
import signal
import sys

import pytest
from safetensors.torch import save_file

from tests.command import wsis
from tests.photos import RECIPE
from wsis.features.backbones import efficientnet_lite0
from wsis.projects import Project, plan, predict, run
from wsis.runs import load, predicting
from wsis.runs.refine import DETECTORS


@pytest.fixture
def here(laid_out, monkeypatch):
    """A current folder with photos and a file of a project; processes are not used."""
    (laid_out / "wsis.toml").write_text('photos = "photos"\nrecipe = "quick.toml"\n')
    monkeypatch.setattr(predicting, "cores", lambda: 1)
    return laid_out


class Lines:
    """A monitor that keeps what it is told."""

    def __init__(self):
        self.lines, self.stages = [], []

    def start(self, title, total):
        self.stages.append(title)
        return lambda note: None

    def say(self, text):
        self.lines.append(text)


def states(steps):
    return {step.name: step.state for step in steps}


def interrupted(*args, **given):
    raise KeyboardInterrupt


def test_a_project_is_made_once_and_told_of(here):
    project = Project(photos="photos", recipe="quick.toml", export=("coco", "voc"))
    before = plan(project, device="cpu")
    assert set(states(before.steps).values()) == {"to do"}
    assert not project.out.exists()

    monitor = Lines()
    made = run(project, device="cpu", monitor=monitor)

    assert [str(step.result) for step in before.steps] == [
        *map(str, (made.model, made.found)),
        *map(str, (made.exports["coco"], made.exports["voc"], made.report)),
    ]
    assert load(made.model, device="cpu").classes == ("disc", "square")
    assert (made.exports["voc"] / "SegmentationObject").is_dir()
    assert "train: begins" in monitor.lines
    assert any(one.startswith("likely ones: ") for one in monitor.lines)
    assert "predict" in monitor.stages
    assert set(states(plan(project, device="cpu").steps).values()) == {"reused"}

    (made.report).unlink()
    again = Lines()
    assert run(project, device="cpu", monitor=again) == made
    assert [one for one in again.lines if "begins" in one] == ["report: begins"]


def test_the_commands_of_a_plan_give_what_the_project_gives(here):
    steps = plan("wsis.toml", device="cpu").steps
    made = run("wsis.toml", device="cpu")
    first = (made.found / "predictions.json").read_bytes()
    weights = json.loads((made.model / "run.json").read_text())["weights"]
    made.model.parent.rename("first")

    for step in steps:
        wsis(*shlex.split(step.command)[1:])

    assert json.loads((made.model / "run.json").read_text())["weights"] == weights
    assert (made.found / "predictions.json").read_bytes() == first
    assert all(step.result.exists() for step in steps)


def test_a_project_that_is_stopped_at_any_step_goes_on(here, monkeypatch):
    def stop(name, value):
        with monkeypatch.context() as patch:
            patch.setattr(name, value)
            with pytest.raises(KeyboardInterrupt):
                run("wsis.toml", device="cpu")

    stop("wsis.runs.pipeline.Pipeline.prepare", interrupted)

    seen = []

    def third(*args, **given):
        def tick(progress):
            seen.append(progress)
            if len(seen) == 3:
                raise KeyboardInterrupt

        return tick

    stop("wsis.runs.run.counting", third)
    assert states(plan("wsis.toml").steps)["train"] == "resumes"
    stop("wsis.geometry.predictions.Predictions.draw", interrupted)
    assert not (here / "wsis-out/found").exists()
    stop("wsis.report.formats._export.write_names", interrupted)
    assert not (here / "wsis-out/coco").exists()
    assert states(plan("wsis.toml").steps) == {
        **{"train": "reused", "predict": "reused"},
        **{"export coco": "to do", "report": "to do"},
    }
    stopped = json.loads((run("wsis.toml").model / "run.json").read_text())

    project = Project.read(here / "wsis.toml").model_copy(update={"out": here / "b"})
    whole = json.loads((run(project, device="cpu").model / "run.json").read_text())
    assert stopped["weights"] == whole["weights"]


def test_processes_find_what_one_finds(here):
    run("wsis.toml", device="cpu", jobs=2)

    found = predict(
        *("wsis-out/run", ["photos"], "again"), tags="photos", jobs=None, device="cpu"
    )

    one, two = (
        json.loads((here / name / "predictions.json").read_text())["annotations"]
        for name in ("again", "wsis-out/found")
    )
    assert one == two
    assert len(one) == sum(map(len, found.predictions.values())) > 0


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_process_that_is_killed_loses_no_photo(here, monkeypatch):
    monitor = Lines()
    monkeypatch.setattr(predicting, "_called", killed)

    made = run("wsis.toml", device="cpu", jobs=2, monitor=monitor)

    content = json.loads((made.found / "predictions.json").read_text())
    assert len(content["images"]) == 7
    [said] = [one for one in monitor.lines if "has ended" in one]
    assert "the other photos are predicted one by one" in said


def killed(keep, task):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_refined_detector_predicts_if_the_file_asks_for_it(here, monkeypatch):
    tiny = {"weights": "random", "width": 8, "regions": 20, "sampled": 16}
    monkeypatch.setitem(DETECTORS, "small", tiny | {"sides": "48"})
    project = Project(photos="photos", recipe="quick.toml", refine=1)

    made = run(project, device="cpu")

    assert made.model.name == "refined"
    card = json.loads((made.model / "refined.json").read_text())
    assert card["settings"]["schedule"]["epochs"] == 1
    assert states(plan(project).steps)["refine"] == "reused"
    longer = project.model_copy(update={"refine": True})
    refine = plan(longer).steps[1]
    assert (refine.state, refine.result.name) == ("to do", "refined-2")
    assert refine.changes


def test_other_weights_under_the_same_name_make_another_model(here):
    weights = here / "weights.safetensors"
    write_weights(weights, times=1)
    named = RECIPE.replace("weights=random", f"weights={weights}")
    (here / "quick.toml").write_text(named)
    run("wsis.toml", device="cpu")
    assert states(plan("wsis.toml").steps)["train"] == "reused"

    write_weights(weights, times=2)
    assert plan("wsis.toml").steps[0].changes.startswith("files: ")


def test_the_file_may_name_the_miner(here):
    run("wsis.toml", device="cpu")
    with (here / "wsis.toml").open("a") as file:
        file.write('miner = "apart:limit=0.5"\n')

    assert (
        plan("wsis.toml").steps[0].changes
        == "miner: 'cim' there, 'apart:limit=0.5' asked for"
    )
    made = run("wsis.toml", device="cpu")

    card = json.loads((made.model / "run.json").read_text())
    assert (made.model.name, card["miner"]["name"]) == ("run-2", "apart")


def write_weights(path, times):
    state = efficientnet_lite0(weights="random").state_dict()
    save_file({key: (times * value).contiguous() for key, value in state.items()}, path)
