"""The benchmark of growing costs, in small."""

import json

import pytest

from benchmarks import curves, tables

CURVES = {"photos": (10, 100, 1000), "classes": (5, 20)}


def test_a_figure_has_a_steps_time_and_memory():
    found = curves.measured(photos=3, proposals=20, classes=4, instances=2, steps=5)

    assert found["step_ms"] > 0
    assert found["peak_mb"] >= 0


def test_slopes_tell_how_costs_grow():
    assert curves.slope([10, 100, 1000], [3, 30, 300]) == 1
    assert curves.slope([10, 100, 1000], [5, 5, 5]) == 0
    assert curves.slope([1, 2, 4], [1, 4, 16]) == pytest.approx(2)


def test_each_number_is_varied_alone_and_kept_as_a_row(tmp_path, capsys, monkeypatch):
    seen = []

    def alone(photos, proposals, classes, instances, steps):
        seen.append((photos, proposals, classes, instances, steps))
        return {"step_ms": 2.0 * classes, "peak_mb": 10.0}

    monkeypatch.setattr(curves, "alone", alone)
    monkeypatch.setattr(curves, "RESULTS", tmp_path / "curves.jsonl")

    assert curves.main(["--record", "--steps", "7"], CURVES) == 0
    assert curves.main(["--record", "--only", "classes"], CURVES) == 0

    assert seen[:5] == [
        *[(photos, 20, 20, 2, 7) for photos in (10, 100, 1000)],
        *[(40, 500, classes, 2, 7) for classes in (5, 20)],
    ]
    rows = tables.read(tmp_path)["curves"]
    assert [row["varied"] for row in rows] == ["photos", "classes"]
    assert (rows[0]["slope of time"], rows[1]["slope of time"]) == (0, 1)
    assert rows[1]["step, ms"] == "10.0, 40.0"
    assert len([json.loads(x) for x in capsys.readouterr().out.splitlines()]) == 10
