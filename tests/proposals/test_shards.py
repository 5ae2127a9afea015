import json
import os
import pickle
import shutil
import sys
from dataclasses import replace
from multiprocessing import get_context

import pytest
from safetensors.numpy import save

from tests.builders import random_proposals
from tests.proposals.test_packing import assert_same
from wsis._support.checks import InputWarning
from wsis.contracts import Supervision
from wsis.proposals import shards
from wsis.proposals.shards import About, Store, StoreError, Writer

LEDGER = frozenset({Supervision.BOUNDARIES})
ABOUT = About(source="drawn", settings={"count": 5}, ledger=LEDGER)


def drawn(i):
    proposals = random_proposals(5, seed=i)
    return replace(proposals, ledger=LEDGER)


def fill(folder, numbers, **settings):
    with Writer(folder, ABOUT, **settings) as writer:
        for i in numbers:
            writer.add(f"key{i}", f"{i}.jpg", drawn(i), seconds=0.25)


def files(folder):
    return sorted((folder / "shards").iterdir())


@pytest.fixture(autouse=True)
def fresh():
    """Each test is a process that has not opened any shard."""
    shards._opened.cache_clear()
    shards._check.cache_clear()


def test_keeps_proposals_in_shards(tmp_path):
    fill(tmp_path / "store", range(7), photos=3)

    store = Store.open(tmp_path / "store")
    assert len(store) == 7
    assert list(store.entries) == [f"key{i}" for i in range(7)]
    assert len(files(tmp_path / "store")) == 3
    for i in range(7):
        assert_same(store.get(f"key{i}"), drawn(i))
    assert store.get("key2").source == "drawn"
    assert store.get("key2").ledger == {Supervision.BOUNDARIES}
    entry = store.entries["key4"]
    assert (entry.photo, entry.height, entry.width) == ("4.jpg", 6, 7)
    assert entry.proposals == 5
    assert entry.seconds == 0.25
    assert list(store.damage()) == []
    assert list(store.leftovers()) == []
    with pytest.raises(KeyError):
        store.get("key9")


def test_what_is_there_is_never_touched(tmp_path):
    fill(tmp_path, range(4), photos=2)
    index = (tmp_path / "index.jsonl").read_bytes()
    before = {path: path.read_bytes() for path in files(tmp_path)}
    token = Store.open(tmp_path).token

    with Writer(tmp_path, ABOUT) as writer:
        assert len(writer) == 4
        assert "key3" in writer
        writer.add("key3", "again.jpg", drawn(8))
        writer.add("key4", "4.jpg", drawn(4))
        assert "key4" in writer

    assert (tmp_path / "index.jsonl").read_bytes().startswith(index)
    assert all(path.read_bytes() == content for path, content in before.items())
    store = Store.open(tmp_path)
    assert (len(store), store.token) == (5, token)
    assert_same(store.get("key3"), drawn(3))


def test_size_and_age_end_a_shard_too(tmp_path):
    fill(tmp_path / "small", range(3), megabytes=1e-6)
    fill(tmp_path / "old", range(3), seconds=0.0)

    assert len(files(tmp_path / "small")) == len(files(tmp_path / "old")) == 3


def test_an_error_in_the_block_keeps_what_was_added(tmp_path):
    def interrupted():
        with Writer(tmp_path, ABOUT) as writer:
            writer.add("key0", "0.jpg", drawn(0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert_same(Store.open(tmp_path).get("key0"), drawn(0))


@pytest.mark.parametrize("keep", [0, 1, 30, -1])
def test_a_line_that_was_cut_off_is_made_up_for(tmp_path, keep):
    fill(tmp_path, range(4), photos=2)
    index = tmp_path / "index.jsonl"
    first, second = index.read_bytes().splitlines(keepends=True)
    # The shard of a line that has only lost its end is whole; -1 cuts the end alone.
    index.write_bytes(first + second[:keep])

    if keep in (1, 30):
        assert len(Store.open(tmp_path)) == 2
        assert "line 2: not whole" in " ".join(Store.open(tmp_path).leftovers())
    assert list(Store.open(tmp_path).damage()) == []
    fill(tmp_path, [7])

    store = Store.open(tmp_path)
    assert sorted(store.entries) == ["key0", "key1", "key2", "key3", "key7"]
    assert_same(store.get("key3"), drawn(3))
    assert_same(store.get("key7"), drawn(7))
    assert list(store.damage()) == []


def test_half_written_shards_are_passed_over(tmp_path):
    fill(tmp_path, range(2))
    (tmp_path / "shards" / ".ab.safetensors.x1").write_bytes(b"half")
    (tmp_path / "shards" / "0123456789abcdef.safetensors").write_bytes(b"half")

    fill(tmp_path, [2])

    store = Store.open(tmp_path)
    assert len(store) == 3
    assert list(store.damage()) == []
    assert len(list(store.leftovers())) == 2


@pytest.mark.parametrize("place", [3, 900, -2])
def test_a_changed_byte_is_found(tmp_path, place):
    fill(tmp_path, range(4), photos=2)
    [first, _] = Store.open(tmp_path).shards
    path = tmp_path / "shards" / first
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)

    store = Store.open(tmp_path)
    with pytest.raises(StoreError, match="damaged, its checksum"):
        store.get("key1")
    assert_same(store.get("key2"), drawn(2))
    [line] = store.damage()
    assert first in line
    # As the message says: delete the file, make them again.
    path.unlink()
    [line] = Store.open(tmp_path).damage()
    assert "missing, and with it 2 photos" in line
    with pytest.warns(InputWarning, match=f"2 photos .* again: .*{first} is m"):
        fill(tmp_path, range(4))
    store = Store.open(tmp_path)
    assert_same(store.get("key1"), drawn(1))
    assert list(store.damage()) == []


@pytest.mark.parametrize(("end", "why"), [(-9, "cut short"), (None, "longer than")])
def test_a_shard_of_another_length_is_made_again(tmp_path, end, why):
    fill(tmp_path, range(2))
    [path] = files(tmp_path)
    path.write_bytes(path.read_bytes()[:end] + (b"" if end else b"?"))

    store = Store.open(tmp_path)
    assert len(store) == 0
    assert why in next(store.damage())
    assert f"{path.name} is {why}" in store.absence("key1")
    assert store.absence("key7") == ""
    with pytest.warns(InputWarning, match=f"2 photos are made .* again: .*{why}"):
        fill(tmp_path, range(2))

    assert_same(Store.open(tmp_path).get("key1"), drawn(1))
    assert list(Store.open(tmp_path).damage()) == []


def test_an_index_that_tells_another_story_is_found(tmp_path):
    fill(tmp_path, range(2))
    index = tmp_path / "index.jsonl"
    index.write_text(index.read_text().replace('"key1"', '"key5"'))

    store = Store.open(tmp_path)
    assert r"lists other photos than the file (index.jsonl, line 1)" in (
        next(store.damage())
    )
    with pytest.raises(StoreError, match="the index lists other photos than the file"):
        store.get("key5")
    assert "index.jsonl does not list them" in store.absence("key1")


def test_a_line_of_the_index_whose_keys_are_numbers_is_none(tmp_path):
    fill(tmp_path, range(2))
    index = tmp_path / "index.jsonl"
    index.write_text(index.read_text().replace('"key1"', "-1"))

    assert "index.jsonl does not list them" in Store.open(tmp_path).absence("key1")


def two(tmp_path):
    fill(tmp_path / "a", range(2))
    fill(tmp_path / "b", range(2, 4))
    return tmp_path / "a", tmp_path / "b"


def swap(one, other):
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


@pytest.mark.parametrize("name", ["store.json", "index.jsonl", "shards"])
def test_files_of_two_stores_that_changed_places_are_named(tmp_path, name):
    one, other = two(tmp_path)
    swap(one / name, other / name)

    for folder in (one, other):
        if name == "shards":
            store = Store.open(folder)
            assert len(store) == 0
            assert "missing, and with it 2 photos" in next(store.damage())
            assert "does not list them" in store.absence(
                "key0" if folder is other else "key2"
            )
        else:
            with pytest.raises(StoreError, match=r"line 1: .* belongs to another"):
                Store.open(folder)


def test_a_shard_of_another_store_is_not_taken_up(tmp_path):
    one, other = two(tmp_path)
    [theirs] = files(other)
    shutil.copy(theirs, one / "shards" / theirs.name)

    fill(one, [0])

    assert list(Store.open(one).entries) == ["key0", "key1"]
    line = (other / "index.jsonl").read_text()
    (one / "index.jsonl").write_text(
        line.replace(Store.open(other).token, Store.open(one).token)
    )
    with pytest.raises(StoreError, match="belongs to another store than its"):
        Store.open(one).get("key2")
    assert "belongs to another store" in next(Store.open(one).damage())


def test_two_shards_that_changed_places_are_made_again(tmp_path):
    fill(tmp_path, range(2), photos=1)
    swap(*files(tmp_path))

    store = Store.open(tmp_path)
    whys = [store.absence(key).partition(" is ")[2] for key in ("key0", "key1")]
    assert sorted(whys) == ["cut short", "longer than it was written"]
    with pytest.warns(InputWarning, match="2 photos are made or imported again"):
        fill(tmp_path, range(2))
    assert_same(Store.open(tmp_path).get("key0"), drawn(0))
    assert_same(Store.open(tmp_path).get("key1"), drawn(1))


def test_a_store_of_before_shards_knew_their_store_is_read(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:

        def tokenless(arrays, told):
            return save(arrays, {"photos": told["photos"]})

        patch.setattr("wsis.proposals.shards.save", tokenless)
        fill(tmp_path, range(2))
    assert [shard.token for shard in Store.open(tmp_path).shards.values()] == [None]

    fill(tmp_path, [2])

    store = Store.open(tmp_path)
    for i in range(3):
        assert_same(store.get(f"key{i}"), drawn(i))
    assert list(store.damage()) == []


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_several_begin_a_store_together(tmp_path):
    for attempt in range(4):
        folder = tmp_path / str(attempt)
        numbers = [range(3 * i, 3 * i + 3) for i in range(4)]
        children = [
            get_context("fork").Process(target=fill, args=(folder, own))
            for own in numbers
        ]
        for child in children:
            child.start()
        for child in children:
            child.join()
        assert [child.exitcode for child in children] == [0] * 4
        store = Store.open(folder)
        assert sorted(store.entries) == sorted(f"key{i}" for i in range(12))
        assert list(store.damage()) == []


def test_unfinished_files_go_after_a_day(tmp_path):
    fill(tmp_path, [0])
    old = [tmp_path / ".store.json.a.part", tmp_path / "shards" / ".b.part"]
    for path in old:
        path.write_bytes(b"half")
        os.utime(path, (0, 0))

    fill(tmp_path, [1])

    assert not any(path.exists() for path in old)


def test_other_proposals_and_other_folders_are_refused(tmp_path):
    fill(tmp_path / "store", range(2))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")

    other = About(source="drawn", settings={"count": 6}, ledger=LEDGER)
    with pytest.raises(StoreError, match="count: 5 there, 6 asked for"):
        Writer(tmp_path / "store", other)
    free = About(source="drawn", settings={"count": 5})
    with pytest.raises(StoreError, match=r"supervision: \['boundaries'\] there"):
        Writer(tmp_path / "store", free)
    with pytest.raises(StoreError, match="it holds other files"):
        Writer(tmp_path / "mine", ABOUT)
    with pytest.raises(StoreError, match=r"has no store\.json"):
        Store.open(tmp_path / "mine")
    with (
        pytest.raises(StoreError, match="consumed boundaries, as the store"),
        Writer(tmp_path / "store", ABOUT) as writer,
    ):
        writer.add("key3", "3.jpg", random_proposals(5))


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not describe"), ("[]", "not describe"), ("old", "expected the format")],
)
def test_a_description_nobody_wrote_is_refused(tmp_path, content, message):
    fill(tmp_path, range(1))
    stamp = tmp_path / "store.json"
    if content == "old":
        content = json.dumps(json.loads(stamp.read_text()) | {"format": "other"})
    stamp.write_text(content)

    with pytest.raises(StoreError, match=message):
        Store.open(tmp_path)


def test_a_store_can_be_sent_to_another_process(tmp_path):
    fill(tmp_path, range(2))

    store = pickle.loads(pickle.dumps(Store.open(tmp_path)))

    assert_same(store.get("key1"), drawn(1))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_kill_at_any_moment_loses_nothing_written(tmp_path):
    """Killed in turn, at moments further and further into its work."""
    seen = kills = 0
    for delay in (*(0.003 * i for i in range(12)), None):
        child = get_context("fork").Process(
            target=fill, args=(tmp_path, range(200)), kwargs={"photos": 2}
        )
        child.start()
        child.join(delay)
        if delay is not None:
            child.kill()
        child.join()
        kills += child.exitcode != 0
        if not (tmp_path / "store.json").exists():
            continue
        store = Store.open(tmp_path)
        assert len(store) >= seen
        seen = len(store)
        assert list(store.damage()) == []
        for i, key in enumerate(store.entries):
            assert key == f"key{i}"
            assert_same(store.get(key), drawn(i))

    assert kills >= 3
    assert seen == 200
