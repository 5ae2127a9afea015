"""Warnings about inputs on the command line."""

import pytest
from typer.testing import CliRunner

from wsis._support.checks import warn
from wsis.cli import app


@pytest.fixture
def train(monkeypatch, tmp_path):
    """Run ``wsis train`` on photos of which a warning is told twice."""

    def warning(*given, **settings):
        for _ in range(2):
            warn("photos: 2 left out")
        raise ValueError("trained enough")

    monkeypatch.setattr("wsis.runs.train", warning)

    def run(*arguments):
        return CliRunner().invoke(
            app, ["train", "--out", str(tmp_path / "run"), *arguments]
        )

    return run


def test_a_warning_is_one_line_and_said_once(train):
    lines = train().stderr.split("\n")

    assert lines.count("warning: photos: 2 left out") == 1
    assert "wsis: trained enough" in lines


def test_strict_stops_at_the_first(train):
    result = train("--strict")

    assert result.exit_code == 1
    assert "wsis: photos: 2 left out (--strict)" in result.stderr
    assert "trained" not in result.stderr
