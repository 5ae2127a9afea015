"""Exports are read by the readers of other programs, where these are installed."""

import warnings

import pytest

from benchmarks.exports import READERS, look


@pytest.mark.parametrize("name", READERS)
def test_masks_are_read_as_they_are(name, tmp_path):
    package, _ = READERS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(package.replace("-", "_"))

        assert look(name, tmp_path) == 1
