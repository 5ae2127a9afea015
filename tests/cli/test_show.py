"""Progress, where a terminal shows bars and where none does."""

from wsis.cli import _show


def test_a_file_gets_lines_of_progress(capsys, monkeypatch):
    monkeypatch.setattr(_show, "QUIET", 0.0)
    with _show.Bars() as bars:
        step = bars.start("read photos", 3)
        for _ in range(3):
            step("a.png")

    text = capsys.readouterr().err
    assert "read photos: 1 of 3" in text
    assert "read photos: 2 of 3, about 1 second left" in text
    assert "read photos: 3 of 3" not in text


def test_short_stages_get_no_lines(capsys):
    with _show.Bars() as bars:
        bars.start("read photos", 2)("a.png")

    assert " of 2" not in capsys.readouterr().err
