"""The benchmark of large photos, on small ones."""

import json

from PIL import Image as Pillow

from benchmarks import large


def test_it_times_photos_of_every_size(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(large, "RESULTS", tmp_path / "large.jsonl")
    monkeypatch.setattr(
        "sys.argv", ["large.py", "--megapixels", "0.01", "0.02", "--record"]
    )
    taken = {"0.01": 2.0, "0.02": 3.0}

    def measured(photo, settings):
        with Pillow.open(photo) as picture:
            assert abs(picture.width * picture.height / 1e6 - float(photo.stem)) < 1e-3
        return {"seconds": taken[photo.stem], "peak_mb": 900.0}

    monkeypatch.setattr(large, "measured", measured)

    large.main()

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1] == {"ratios": {"0.01": 1.0, "0.02": 1.5}}
    rows = [json.loads(x) for x in (tmp_path / "large.jsonl").read_text().splitlines()]
    assert [row["cells"]["ratio"] for row in rows] == ["1.00", "1.50"]
    assert rows[1]["cells"]["peak MB"] == "900"


def test_a_photo_is_predicted_and_drawn(tmp_path):
    large.draw(0.01, tmp_path / "photo.jpg")

    found = large.predicted(
        tmp_path / "photo.jpg", tmp_path, ["source.nodes=20", "test_sides=64"]
    )

    assert found["instances"] > 5
    assert found["seconds"] >= found["drawing_s"]
    assert found["peak_mb"] > 100
