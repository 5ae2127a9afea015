"""wsis show: what it refuses before it serves anything."""

import socket
import sys

import pytest

from tests.command import wsis


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
