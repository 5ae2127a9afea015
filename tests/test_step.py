"""The benchmark of a training step, in small."""

import json

import pytest

from benchmarks import step, tables

SMALL = [
    *("--proposals", "40", "--photos", "2", "--size", "96", "--rounds", "1"),
    *("--set", "head.width=8", "--set", "train_sides=64", "--set", "test_sides=64"),
]


@pytest.mark.parametrize("miner", ["cim", "pcl"])
def test_the_line_tells_every_part_and_the_ratio_last(
    miner, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(step, "RESULTS", tmp_path / "step.jsonl")

    assert step.main([*SMALL, "--miner", miner, "--record"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert list(found)[-1] == "ratio"
    assert found["ratio"] == pytest.approx(
        found["step_ms"] / found["bare_ms"], rel=0.05
    )
    parts = found["parts_ms"]
    assert {"overlaps", "mining", "assignment", "losses", "rest"} < set(parts)
    assert all(value > 0 for part, value in parts.items() if part != "rest")
    assert len(found["largest"]) == 3
    assert not set(found["largest"]) & set(step.NETWORK)
    # A row of the same label and miner is replaced.
    step.record(found | {"ratio": 1.5}, "now")
    step.record(found, "before")
    assert [(row["wsis"], row["ratio"]) for row in tables.read(tmp_path)["step"]] == [
        ("now", 1.5),
        ("before", found["ratio"]),
    ]
