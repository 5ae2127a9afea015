import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import gpu
from benchmarks.parity import check_folder
from benchmarks.waits import CARD, DeviceError, waits
from tests.drawn import Squares, settings
from tests.test_parity import GOLDEN, SMALL
from wsis._support.places import moved
from wsis.runs.pipeline import Pipeline


def lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "gpu.jsonl").read_text().splitlines()]


def small(out: Path, part: str) -> int:
    given = ["--golden", str(GOLDEN), "--out", str(out), "--device", "cpu", "--small"]
    return gpu.main([*given, "--part", part])


def test_counts_what_the_host_waits_for():
    numbers = torch.tensor([3.0, 0.0, 1.0])

    def counted(call) -> int:
        with waits(CARD) as places:
            there = moved(numbers, CARD)
            assert not places
            call(there)
        assert all(place.startswith("tests/test_gpu.py:") for place in places)
        return places.total()

    assert counted(lambda x: (x * 2 + 1).sum().exp()) == 0
    assert counted(lambda x: x.masked_fill(x > 1, 0).argsort()[:2]) == 0
    assert counted(lambda x: x.sum().item()) == 1
    assert counted(lambda x: float(x[0]) + int(x[1])) == 2
    assert counted(lambda x: bool((x > 0).all())) == 1
    assert counted(lambda x: x.nonzero()) == 1
    assert counted(lambda x: x[x > 0]) == 1
    assert counted(lambda x: x[torch.tensor([0])]) == 1
    assert counted(lambda x: x.unique()) == 1
    assert counted(lambda x: torch.equal(x, x + 1)) == 1
    assert counted(lambda x: x.tolist()) == 1
    assert counted(lambda x: x.cpu()) == 1
    assert counted(lambda x: numbers.to(CARD)) == 1
    assert counted(lambda x: x.new_tensor([1.0])) == 1


def test_the_card_computes_what_the_cpu_does():
    weight = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    with waits(CARD):
        layer = torch.nn.Linear(2, 2, bias=False).to(CARD)
        with torch.no_grad():
            layer.weight.copy_(weight)
        layer(torch.tensor([[1.0, 10.0]], device=CARD)).square().sum().backward()
        gradient = layer.weight.grad.cpu()

    assert gradient.tolist() == [[42.0, 420.0], [86.0, 860.0]]


def test_two_devices_do_not_mix():
    with waits(CARD):
        there = torch.ones(3, device=CARD)

        assert (there + torch.tensor(1.0)).tolist() == [2, 2, 2]
        with pytest.raises(DeviceError, match=r"given \[\(3,\)\] of the host"):
            _ = there + torch.ones(3)
        with pytest.raises(DeviceError, match="generator of the host"):
            there.multinomial(1, generator=torch.Generator())
        with pytest.raises(DeviceError, match="not whole"):
            there.to("cpu", non_blocking=True)


def test_golden_files_agree_on_another_device(tmp_path):
    kinds = ("refinement", "box miners")
    for kind in kinds:
        shutil.copy(GOLDEN / SMALL[kind], tmp_path)

    with waits(CARD):
        report = check_folder(tmp_path, CARD)

    assert report.problems == []
    assert set(report.files) == set(kinds)


def test_training_is_the_same_on_another_device(tmp_path):
    def weights(device: torch.device) -> dict[str, np.ndarray]:
        pipeline = Pipeline(settings(), tmp_path, device)
        model, _ = pipeline.train(Squares(train=2).train(), "cim", 0, steps=2)
        pipeline.predict(model, pipeline.bags(Squares().val().tagged.images)[0])
        return {k: v.cpu().numpy() for k, v in model.state_dict().items()}

    here = weights(torch.device("cpu"))
    with waits(CARD):
        there = weights(CARD)

    assert here.keys() == there.keys()
    for name, value in here.items():
        assert np.array_equal(value, there[name]), name


def test_a_step_waits_no_more_than_it_must(tmp_path):
    assert small(tmp_path, "waits") == 0

    found = {line["miner"]: line for line in lines(tmp_path) if "miner" in line}
    # Of these, a miner's own: the tags, what is suppressed, and each proposal once,
    # in three branches; a centre's neighbourhood in PCL for each of two classes.
    most = {"cim": 16, "mist": 16, "oicr": 10, "pcl": 19}
    assert found.keys() == most.keys()
    assert all(line["waits"] <= most[miner] for miner, line in found.items())
    assert all(0 < line["mining_share"] < 1 for line in found.values())


def test_full_size_steps_in_small(tmp_path):
    assert small(tmp_path, "steps") == 0

    first, second, last = lines(tmp_path)
    assert (first["precision"], second["precision"]) == ("fp32", "bf16")
    for line in (first, second):
        assert line["ms"] > 0
        assert line["peak_gb"] > 0
        assert "mining" in line["phases_ms"]
    assert last["versions"]["torch"] == torch.__version__


def test_parts_leave_each_other_alone(tmp_path, monkeypatch, capsys):
    called = []

    def spawn(command, **options):
        part = command[command.index("--part") + 1]
        called.append(part)
        if part == "steps":
            raise subprocess.TimeoutExpired(command, options["timeout"])
        return subprocess.CompletedProcess(command, part == "parity")

    def run_all(names, options):
        return run(names, options, spawn)

    run = gpu.run_all
    monkeypatch.setattr(gpu, "run_all", run_all)

    out = ["--golden", str(GOLDEN), "--out", str(tmp_path)]
    assert gpu.main(out) == 1
    assert called == list(gpu.PARTS)
    assert Counter(line["part"] for line in lines(tmp_path)) == {
        "parity": 1,
        "steps": 1,
    }
    assert "ran past its 100 seconds" in capsys.readouterr().out
    assert sum(seconds for _, seconds in gpu.PARTS.values()) <= gpu.WHOLE <= 480


def test_a_part_that_fails_says_so(tmp_path, capsys):
    missing = ["--golden", str(tmp_path / "none"), "--out", str(tmp_path)]

    assert gpu.main([*missing, "--device", "cpu", "--part", "parity"]) == 1
    assert lines(tmp_path)[-1]["error"].endswith("none holds no .npz file")
    assert "Traceback" in capsys.readouterr().err


def test_parts_are_found_where_wsis_is_not_installed(monkeypatch):
    monkeypatch.setattr(gpu, "entry_points", lambda group: ())
    monkeypatch.setattr(gpu.sys, "path", [])
    monkeypatch.setenv("PYTHONPATH", "before")

    gpu.findable()

    [folder] = gpu.sys.path
    said = (Path(folder) / "wsis-0.dist-info" / "entry_points.txt").read_text()
    assert "\ncim = wsis.mining.cim:CIMMiner\n" in said.partition("[wsis.miners]")[2]
    paths = gpu.os.environ["PYTHONPATH"].split(gpu.os.pathsep)
    assert paths == [str(gpu.ROOT), folder, "before"]


def test_tables_have_a_column_a_figure():
    text = gpu.tables(
        [
            {"part": "steps", "device": "cpu", "ms": 3, "phases_ms": {"mining": 1}},
            {"part": "waits", "device": "cpu", "waits": 2, "places": {"a.py:1": 2}},
        ]
    )

    assert "steps\n\n| ms | mining |\n| --- | --- |\n| 3 | 1 |" in text
    assert "| 2 | a.py:1 2 |" in text
