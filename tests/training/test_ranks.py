"""Several processes train as one does: to the last bit, and never half."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open

from tests.drawn import FAST, Squares, settings
from tests.training.processes import command, two
from tests.training.test_resume import check_same
from wsis import InputWarning
from wsis.cli import app
from wsis.runs.pipeline import Pipeline
from wsis.runs.run import _check_batch
from wsis.runs.settings import Part, SettingsError
from wsis.training import Ranks, joined
from wsis.training.checkpoints import _comparable
from wsis.training.ranks import check_statistics

OVERRIDES = {
    "dropout": ("schedule.batch=4", "head.dropout=0.5", "sampler=anti_noise"),
    "sgd": ("schedule.batch=3", "schedule.optimizer=sgd", "train_flips=true"),
}
STOP = 6
"""Images after which training stops, within an epoch of seven and a batch of four."""


def train(folder, name, ranks=None, steps=None):
    """Train on seven photos in a folder, or resume there.

    The first photo has no tags, so that nothing is mined in it.
    """
    data, ranks = Squares(train=7).train(), ranks or Ranks()
    untagged = dataclasses.replace(data.images[0], tags=torch.zeros(2).bool())
    data = dataclasses.replace(data, images=[untagged, *data.images[1:]])
    pipeline = Pipeline(settings(*OVERRIDES[name]), folder / "cache")
    path = folder / name if ranks.first else None
    torch.manual_seed(ranks.rank)
    return pipeline.train(
        data, Part(name="cim"), 0, checkpoint=path, steps=steps, ranks=ranks
    )


def train_all(folder):
    """Train whole runs, the beginnings of some, and the ends of others."""
    with joined(torch.device("cpu")) as ranks:
        for name in OVERRIDES:
            model, progress = train(folder / "whole", name, ranks)
            train(folder / "begun", name, ranks, steps=STOP)
            train(folder / "ended", name, ranks)
            state = model.state_dict()
            for other, same in ranks.shared((state, progress)):
                assert same == progress
                assert all(other[key].equal(value) for key, value in state.items())


def words(tmp_path):
    """Return the command that trains on three scenes."""
    sets = [word for one in (*FAST, "schedule.batch=2") for word in ("--set", one)]
    return [
        *("train", "--out", str(tmp_path / "run"), "--cache", str(tmp_path / "cache")),
        *("--recipe", "paper-small", "--device", "cpu"),
        *("--data", "scenes:train_images=3:val_images=1:size=64"),
        *sets,
    ]


def told(text):
    """Return our lines of what was printed."""
    return [x for x in text.splitlines() if x.startswith(("wsis: ", "to go on: "))]


def test_two_processes_train_as_one_does_and_resume_each_others_runs(tmp_path):
    for name in OVERRIDES:
        train(tmp_path / "ended", name, steps=STOP)

    codes, printed = two(tmp_path, train_all, tmp_path)

    assert codes == [0, 0], printed
    for name in OVERRIDES:
        _, progress = train(tmp_path / "alone", name)
        train(tmp_path / "begun", name)
        assert progress.step == 14
        assert progress.skipped == {"no tags": 2}
        for folder in ("whole", "begun", "ended"):
            check_same(tmp_path / "alone" / name, tmp_path / folder / name)


@pytest.mark.slow
def test_torchrun_ends_all_with_the_error_of_one(tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", "-m", "tests.training.processes"),
            *words(tmp_path),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 1
    # The rest is torchrun's own, about its processes.
    assert told(done.stderr) == ["wsis: a photo of the second process"]


def test_a_process_that_is_killed_ends_all(tmp_path):
    codes, printed = two(tmp_path, command, "lost", words(tmp_path))

    assert codes == [1, -9]
    [line] = told(printed[0])
    assert "another of its processes ended" in line


def test_ctrl_c_in_one_process_keeps_a_checkpoint_for_all(tmp_path):
    codes, printed = two(tmp_path, command, "interrupt", words(tmp_path))

    assert codes == [1, 1]
    first, again = told("".join(printed))
    assert first == "wsis: interrupted; nothing half-written"
    assert again.startswith("to go on: torchrun --nproc-per-node 2 -m wsis train ")
    assert again.endswith(" --resume")
    with safe_open(tmp_path / "run" / "checkpoint.safetensors", "pt") as file:
        assert json.loads(file.metadata()["progress"])["step"] == 2


@pytest.mark.slow
def test_wrong_usage_is_told_once(tmp_path):
    small = [*words(tmp_path), "--set", "schedule.batch=1"]

    codes, printed = two(tmp_path, command, "fail", small)

    assert sorted(codes) == [1, 2]
    [line] = told("".join(printed))
    assert "schedule.batch of at least 2, an image for each process, got 1" in line


def test_batches_too_small_for_the_processes_are_refused():
    with pytest.raises(
        SettingsError, match=r"batch of at least 2, .*got 1; give --set"
    ):
        _check_batch(1, Ranks(0, 2))
    with pytest.warns(InputWarning, match="batch=3 is no multiple of 2 processes"):
        _check_batch(3, Ranks(0, 2))
    _check_batch(1, Ranks())


def test_statistics_of_one_process_are_told():
    norm = torch.nn.Sequential(torch.nn.BatchNorm1d(3))

    with pytest.warns(InputWarning, match="batch normalisation"):
        check_statistics(norm, Ranks(0, 2))
    check_statistics(norm, Ranks())
    check_statistics(norm.eval(), Ranks(0, 2))


def test_torchrun_is_for_training_alone(monkeypatch, capsys):
    for name, value in {
        "TORCHELASTIC_RUN_ID": "1",
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "RANK": "0",
    }.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit) as ended:
        app(["bench", "--miners", "cim"])

    assert ended.value.code == 2
    assert "expected torchrun with wsis train alone" in capsys.readouterr().err


def test_without_torchrun_a_process_is_alone():
    with joined(torch.device("cpu")) as ranks:
        assert ranks == Ranks(0, 1)
        assert ranks.shared("x") == ["x"]
        assert ranks.any(False, True) == [False, True]


def test_features_of_other_machines_are_not_compared():
    there = {"machine": {"threads": 1}, "features": "a", "cues": "b", "seed": 0}
    here = {"machine": {"threads": 2}, "features": "c", "cues": "d", "seed": 0}

    assert _comparable(dict(there), here) == ({"seed": 0}, {"seed": 0})
    found, wanted = _comparable(dict(there), {**here, "machine": {"threads": 1}})
    assert found != wanted
    # Checkpoints that wsis wrote before December 2026 do not name the machine.
    del there["machine"]
    found, wanted = _comparable(dict(there), here)
    assert (found["features"], wanted["features"]) == ("a", "c")
