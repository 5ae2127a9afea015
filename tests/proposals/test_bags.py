import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tests.builders import random_proposals, tagged
from wsis._support.files import Cache
from wsis.data.images import Reading
from wsis.geometry.overlap import overlaps
from wsis.proposals import bags
from wsis.proposals.bags import Bag, KeptShared, counted


class Source:
    """The same proposals of every photo; counts how often they are asked for."""

    ledger = frozenset()

    def __init__(self, count=70, name="source"):
        self.proposals, self.name, self.asked = random_proposals(count), name, 0

    def origin(self, key):
        return self.name

    def get(self, key, load):
        self.asked += 1
        return self.proposals


@pytest.fixture
def photo(tmp_path):
    """A photo in a file, whose change was long ago."""
    path = tmp_path / "photo.png"
    Image.fromarray(np.full((8, 10, 3), 7, np.uint8)).save(path)
    return replace(tagged(True), load=Reading(path, (8, 10), True))


@pytest.fixture
def reads(monkeypatch):
    """The files that were decoded."""
    seen, read = [], Reading.__call__

    def counting(self):
        seen.append(self.path.name)
        return read(self)

    monkeypatch.setattr(Reading, "__call__", counting)
    return seen


def keys(folder):
    return Cache.keyed(folder / "photos", {}, {})


def test_a_photo_is_decoded_again_only_when_its_file_has_changed(
    photo, reads, tmp_path, monkeypatch
):
    monkeypatch.setattr(bags, "_SETTLED", 0.0)
    plain = Bag(photo, Source()).key

    assert [Bag(photo, Source(), keys(tmp_path)).key for _ in "abc"] == [plain] * 3
    assert len(reads) == 2

    path, before = photo.load.path, photo.load.path.stat()
    Image.fromarray(np.full((8, 10, 3), 8, np.uint8)).save(path)
    # A change that hides: of the same length, with the times of before.
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    other = Bag(photo, Source(), keys(tmp_path)).key
    assert other == Bag(photo, Source()).key != plain
    assert len(reads) == 4


def test_a_photo_written_just_now_is_not_taken_as_known(photo, reads, tmp_path):
    for _ in "ab":
        _ = Bag(photo, Source(), keys(tmp_path)).key

    assert len(reads) == 2
    assert [p.name for p in keys(tmp_path).folder.iterdir()] == ["settings.json"]


def test_the_way_a_photo_is_turned_belongs_to_its_digest(tmp_path, monkeypatch):
    monkeypatch.setattr(bags, "_SETTLED", 0.0)
    path, exif = tmp_path / "turned.jpg", Image.Exif()
    exif[274] = 6
    Image.fromarray(np.arange(240, dtype=np.uint8).reshape(8, 10, 3)).save(
        path, exif=exif
    )
    one, other = (
        Bag(replace(tagged(True), load=Reading(path, (8, 10), up)), Source(), kept).key
        for up in (True, False)
        for kept in [keys(tmp_path)]
    )

    assert one != other


def test_a_photo_that_is_gone_is_told_as_ever(photo, tmp_path):
    photo.load.path.unlink()

    with pytest.raises(FileNotFoundError, match=r"photo\.png"):
        _ = Bag(photo, Source(), keys(tmp_path)).key


def test_shared_pixels_are_counted_once_for_every_photo_and_source(tmp_path):
    source, kept = Source(), KeptShared.under(tmp_path)
    bag = Bag(tagged(True), source)

    found = [kept(bag), KeptShared.under(tmp_path)(bag)]

    assert source.asked == 1
    exact = overlaps(source.proposals)
    for one in (*found, counted(bag)):
        assert torch.equal(one.overlaps().iou, exact.iou)
        assert torch.equal(one.overlaps().containment, exact.containment)
    other = Source(count=3, name="other")
    assert len(kept(Bag(tagged(True), other))) == 3


def test_counts_beyond_the_budget_are_made_anew_and_told_once(tmp_path, caplog):
    def bag(value):
        pixels = np.full((8, 10, 3), value, np.uint8)
        return Bag(replace(tagged(True), load=lambda: pixels), source)

    source = Source()
    several = [bag(i) for i in range(4)]
    one = counted(several[0])
    room = 2.5 * (one.pixels.nbytes + one.area.nbytes) / 1e9
    kept, source.asked = KeptShared.under(tmp_path, room), 0

    found = [kept(bag) for bag in [*several, *several]]

    files = list(tmp_path.rglob("*.safetensors"))
    assert len(files) == 2
    assert source.asked == 4 + 2
    for one in found:
        assert one.overlaps().iou.equal(overlaps(source.proposals).iou)
    [record] = caplog.records
    assert "those of other photos are counted at every visit" in record.message
    # What another process kept counts, too.
    KeptShared.under(tmp_path, room)(bag(9))
    assert list(tmp_path.rglob("*.safetensors")) == files


@pytest.mark.parametrize("said", ["-1", "inf", "nan", "much"])
def test_a_budget_that_is_none_is_refused(monkeypatch, said):
    monkeypatch.setenv(bags.OVERLAPS, said)

    with pytest.raises(ValueError, match=rf"gigabytes in WSIS_OVERLAPS_GB, .*'{said}'"):
        bags.overlaps_gigabytes()
    monkeypatch.setenv(bags.OVERLAPS, "0.5")
    assert bags.overlaps_gigabytes() == 0.5


def test_damaged_counts_are_made_again(tmp_path):
    source, kept = Source(), KeptShared.under(tmp_path)
    bag = Bag(tagged(True), source)
    before = kept(bag)
    [file] = kept.cache.folder.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-8] + b"\1\2\3\4\5\6\7\0")

    with pytest.warns(match="were damaged; they are made again"):
        again = kept(bag)

    assert source.asked == 2
    assert torch.equal(again.pixels, before.pixels)
