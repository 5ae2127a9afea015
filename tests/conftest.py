"""Shapes and types are checked at run time in every test."""

import os
import signal

import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook

from tests.photos import draw_photos, lay_out

install_import_hook("wsis", "beartype.beartype")

# How long an example takes says how busy the machine is. Examples are the same in every
# run.
settings.register_profile("wsis", deadline=None, derandomize=True)
settings.load_profile("wsis")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As shells start what runs in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: more threads than these make all of them wait.
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Photos of squares and discs, with annotations of both halves."""
    return draw_photos(tmp_path_factory.mktemp("drawn"))


@pytest.fixture
def laid_out(drawn, tmp_path, monkeypatch, tmp_path_factory):
    """A current folder of them by tag, with a quick recipe; its cache is shared."""
    lay_out(drawn, tmp_path)
    monkeypatch.setenv("WSIS_CACHE", str(tmp_path_factory.getbasetemp() / "road-cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def _two_workers():
    distributed = pytest.importorskip("distributed")
    given = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.LocalCluster(**given, silence_logs=50) as cluster:
        yield cluster


@pytest.fixture
def local(_two_workers):
    """A Dask cluster of two workers, which are there again if a test killed one."""
    with _two_workers.get_client() as client:
        client.wait_for_workers(2, timeout=120)
    return _two_workers
