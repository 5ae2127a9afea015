"""wsis show: what it refuses before it serves anything."""

import json
import socket
import sys

import pytest

from tests.command import wsis
from wsis.report import Exported


def test_without_nicegui_says_how_to_get_it(tmp_path, monkeypatch):
    for name in [one for one in sys.modules if one.startswith("wsis.report.viewer")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "nicegui", None)

    said = wsis("show", tmp_path, code=2)

    assert "wsis show needs NiceGUI" in said
    assert "pip install 'wsis[viewer]'" in said


def test_a_folder_without_predictions_says_what_makes_them(tmp_path):
    pytest.importorskip("nicegui", reason="the extra 'viewer' is not installed")

    assert "there is none; make it with: wsis predict PHOTOS" in wsis(
        "show", tmp_path, code=1
    )
    assert "no " in wsis("show", tmp_path / "none", code=1)


def test_a_taken_port_is_named(monkeypatch):
    pytest.importorskip("nicegui", reason="the extra 'viewer' is not installed")
    from wsis.report.viewer import server

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"port {port} .* another one: --port"):
            server.listening(port)


@pytest.fixture
def project(tmp_path):
    """A run, another run, and predictions of the first beside them."""
    for name in ("run-2", "run"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text("{}")
    for name, made_by in (("found-2", "../run-2"), ("found", "../gone")):
        (tmp_path / name).mkdir()
        told = json.dumps({"info": {"run": made_by}})
        (tmp_path / name / "predictions.json").write_text(told)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "predictions.json").write_text("[]")
    return tmp_path


def exported(monkeypatch, folder, out, code=0):
    """What wsis export is asked for, and what it prints."""
    asked = []

    def export(found, *given, **more):
        asked.append(found)
        return Exported(photos=1, instances=1, empty=0, hidden=0, renamed=0)

    monkeypatch.setattr("wsis.report.export", export)
    said = wsis("export", folder, "--format", "coco", "--out", out, code=code)
    return asked, said


def test_a_run_leads_to_the_predictions_beside_it(project, monkeypatch):
    for given in ("run-2", "found-2"):
        asked, _ = exported(monkeypatch, project / given, project / "new")
        assert asked == [project / "found-2"]
    # A relative path, from within the folder, too.
    monkeypatch.chdir(project / "run-2")
    asked, said = exported(monkeypatch, ".", project / "new")
    assert asked[0].resolve() == project / "found-2"
    assert "predictions of ." in said


def test_a_run_with_several_or_no_predictions_says_what_to_take(project, monkeypatch):
    asked, said = exported(monkeypatch, project / "run", project / "new", code=2)
    assert asked == []
    assert f"wsis predict PHOTOS --run {project / 'run'} --out found" in said

    (project / "again").mkdir()
    told = (project / "found-2" / "predictions.json").read_text()
    (project / "again" / "predictions.json").write_text(told)
    asked, said = exported(monkeypatch, project / "run-2", project / "new", code=2)
    assert asked == []
    assert f"{project / 'again'}, {project / 'found-2'}" in said
