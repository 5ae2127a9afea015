import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from wsis import plugins
from wsis.plugins import SettingError, UnknownPartError

TESTS = Path(__file__).parent


def test_an_unknown_name_lists_the_right_ones():
    with pytest.raises(UnknownPartError, match=r"mean 'cim'.*cim, mist, oicr, pcl"):
        plugins.find("miners", "cmi")


def test_settings_given_as_text_are_read_as_their_type():
    assert plugins.create("miners", "cim", {"p_seed": "0.25"}).p_seed == 0.25


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"p_sed": 0.1}, "no setting 'p_sed'.*did you mean 'p_seed'"),
        ({"p_seed": "many"}, "p_seed.*number"),
        ({"p_seed": 2.0}, "p_seed"),
    ],
)
def test_wrong_settings_name_themselves(values, message):
    with pytest.raises(SettingError, match=message):
        plugins.create("miners", "cim", values)


def test_a_setting_without_default_is_asked_for():
    with pytest.raises(SettingError, match="needs the setting 'channels'"):
        plugins.create("heads", "mask_pool")


def test_two_parts_of_one_name_are_refused(monkeypatch):
    points = [EntryPoint("cim", f"{p}:Miner", "wsis.miners") for p in ("a", "b")]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points)
    plugins._registered.cache_clear()

    with pytest.raises(LookupError, match="two miners are called 'cim': a:Miner"):
        plugins.names("miners")
    plugins._registered.cache_clear()


def test_a_third_partys_miner_shows_up_and_conforms(tmp_path):
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    pip += ["--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", tmp_path, TESTS / "acme"], check=True)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    parts = subprocess.run(
        [sys.executable, "-m", "wsis", "parts", "miners"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    conformance = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-k",
            "large",
            "tests/test_conformance.py",
        ],
        env=environment,
        capture_output=True,
        text=True,
        cwd=TESTS.parent,
    )

    assert "large" in parts.stdout
    assert "gamma" in parts.stdout
    assert conformance.returncode == 0, conformance.stdout
    assert "6 passed" in conformance.stdout
