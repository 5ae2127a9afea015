import numpy as np
import pytest
from PIL import Image as Pillow
from typer.testing import CliRunner

from tests.photos import draw_photos
from wsis.cli import app

SETTINGS = (
    *("backbone.weights=random", "source.nodes=30", "source.pairs=0"),
    *("train_sides=64", "test_sides=64", "schedule.epochs=1", "cues.agreement=0.6"),
)


def wsis(folder, command, *options, cues="agpl", points="", code=0):
    drawn = folder / "drawn"
    draw_photos(drawn)
    data = ("--data", f"coco{points}", "--images", drawn / "images")
    chosen = [f"cues={cues}", *SETTINGS]
    arguments = [
        *(*command, *options, *data, "--train", drawn / "train.json"),
        *("--cache", folder / "cache", "--device", "cpu"),
        *(word for one in chosen for word in ("--set", one)),
    ]
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_named_photos_are_drawn_with_their_peaks_and_clusters(tmp_path):
    looks = tmp_path / "looks"

    text = wsis(tmp_path, ("cues", "show"), "train1.png", "--out", looks)

    assert "1 photos" in text
    assert [file.name for file in looks.iterdir()] == ["train1.png"]
    # The photo twice, side by side, its longer side 420 pixels.
    assert np.asarray(Pillow.open(looks / "train1.png")).shape == (336, 844, 3)


def test_unknown_photos_are_refused_before_work(tmp_path):
    looks = tmp_path / "looks"

    text = wsis(tmp_path, ("cues", "show"), "train9.png", "--out", looks, code=2)

    assert "no tagged training photo 'train9.png'" in text
    assert not looks.exists()


def test_training_goes_by_a_file_of_points_and_says_so(tmp_path):
    file = tmp_path / "points.csv"
    file.write_text("file,x,y,class\ntrain0.png,30,30,square\n")
    run = tmp_path / "run"

    wsis(tmp_path, ("train",), "--out", run, cues="points", points=f":points={file}")

    assert '"points"' in (run / "run.json").read_text()


@pytest.mark.parametrize(
    ("line", "message"),
    [("train0.png,1,2,disc", "is not tagged"), ("train0.png,1,2", "line 2: expected")],
)
def test_wrong_points_stop_training_before_it_begins(tmp_path, line, message):
    file = tmp_path / "points.csv"
    file.write_text(f"file,x,y,class\n{line}\n")
    run = tmp_path / "run"

    text = wsis(
        *(tmp_path, ("train",), "--out", run),
        cues="points",
        points=f":points={file}",
        code=1,
    )

    assert message in text
    assert not run.exists()
