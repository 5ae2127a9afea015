from dataclasses import dataclass

import numpy as np
import pytest
import torch

from tests.builders import random_proposals
from wsis._support.checks import InputWarning
from wsis._support.files import CacheMismatchError, digest
from wsis.contracts import Image, Ledger, Proposals, Supervision
from wsis.proposals.store import CachedSource


@dataclass(frozen=True, kw_only=True)
class Counting:
    """A source that remembers how often it worked."""

    calls: list[int]
    count: int = 20
    size: tuple[int, int] = (12, 9)

    @property
    def ledger(self) -> Ledger:
        return frozenset({Supervision.BOUNDARIES})

    def __call__(self, image: Image) -> Proposals:
        self.calls.append(int(image.sum()))
        return random_proposals(self.count, self.size)


@pytest.fixture
def photo() -> Image:
    return np.arange(12 * 9 * 3, dtype=np.uint8).reshape(12, 9, 3)


def source(folder, calls=None, **settings) -> CachedSource:
    calls = [] if calls is None else calls
    counting = Counting(calls=calls, **settings)
    known = {"count": counting.count, "size": counting.size}
    return CachedSource.under(folder, counting, known)


def assert_same(found: Proposals, expected: Proposals) -> None:
    for name in ("regions", "members", "objectness"):
        assert torch.equal(getattr(found, name), getattr(expected, name))
        assert getattr(found, name).dtype == getattr(expected, name).dtype


def test_works_once_per_photo(tmp_path, photo):
    calls: list[int] = []

    first = source(tmp_path, calls)(photo)
    again = source(tmp_path, calls)(photo)
    other = source(tmp_path, calls)(photo + 1)

    assert len(calls) == 2
    assert_same(again, first)
    assert_same(other, first)
    assert_same(again, random_proposals(20, (12, 9)))
    assert again.source == "random"
    assert again.ledger == {Supervision.BOUNDARIES}


def test_a_known_photo_is_not_even_read(tmp_path, photo):
    source(tmp_path)(photo)

    def read() -> Image:
        raise AssertionError("the photo was read")

    assert len(source(tmp_path).get(digest(photo), read)) == 20


def test_more_regions_than_int16_has_numbers(tmp_path, photo):
    settings = {"count": 24, "size": (250, 200)}
    expected = random_proposals(*settings.values())
    assert expected.members.shape[1] > 2**15

    source(tmp_path, **settings)(photo)

    assert_same(source(tmp_path, **settings)(photo), expected)


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_a_damaged_file_is_made_again(tmp_path, photo, keep):
    expected = source(tmp_path)(photo)
    [file] = tmp_path.rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:keep])
    calls: list[int] = []

    with pytest.warns(InputWarning, match="were damaged; they are made again"):
        found = source(tmp_path, calls)(photo)

    assert len(calls) == 1
    assert_same(found, expected)
    assert_same(source(tmp_path, calls)(photo), expected)
    assert len(calls) == 1


def test_an_interruption_leaves_nothing_that_is_taken_for_proposals(
    tmp_path, photo, monkeypatch
):
    def interrupted(tensors, path, metadata):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("safetensors.torch.save_file", interrupted)
        with pytest.raises(KeyboardInterrupt):
            source(tmp_path)(photo)

    assert not list(tmp_path.rglob("*.safetensors*"))
    # A killed process cannot clean up behind itself.
    [folder] = tmp_path.iterdir()
    (folder / f".{digest(photo)}.safetensors.x1y2").write_bytes(b"half")
    assert len(source(tmp_path)(photo)) == 20


def test_other_settings_are_other_proposals(tmp_path, photo):
    assert len(source(tmp_path, count=5)(photo)) == 5
    assert len(source(tmp_path, count=6)(photo)) == 6


@dataclass(frozen=True)
class Sized:
    """A source whose settings are its fields."""

    count: int = 4
    ledger: Ledger = frozenset()

    def __call__(self, image: Image) -> Proposals:
        return random_proposals(self.count)


def test_a_folder_of_other_settings_is_refused(tmp_path, photo):
    CachedSource.at(tmp_path, Sized())(photo)

    assert len(CachedSource.at(tmp_path, Sized())(photo)) == 4
    with pytest.raises(CacheMismatchError, match="count: 4 there, 5 asked for"):
        CachedSource.at(tmp_path, Sized(count=5))


def test_settings_nobody_can_name_are_refused(tmp_path):
    class Plain:
        ledger: Ledger = frozenset()

        def __call__(self, image: Image) -> Proposals:
            return random_proposals(3)

    with pytest.raises(ValueError, match="dataclass, got Plain"):
        CachedSource.at(tmp_path, Plain())
