"""Fixtures of several commands."""

import pytest


@pytest.fixture
def cache(tmp_path_factory, monkeypatch):
    """The cache of commands that name none, shared by all tests of a process."""
    folder = tmp_path_factory.getbasetemp() / "cli-cache"
    monkeypatch.setenv("WSIS_CACHE", str(folder))
    monkeypatch.delenv("WSIS_DEBUG", raising=False)
    return folder
