import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import wsis
from wsis._support import files
from wsis._support.checks import InputWarning
from wsis._support.files import (
    Cache,
    CacheMismatchError,
    append_json,
    atomic_write,
    content,
    digest,
    numbered_json_lines,
    parse_json,
    read_packed,
    sha256,
    write_json,
    write_new,
    write_packed,
)


def test_an_interrupted_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def interrupted():
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_that_is_not_json_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})

    with pytest.raises(ValueError, match="Out of range"):
        write_json(path, {"a": float("nan")})

    assert json.loads(path.read_text()) == {"a": 1}


def test_digest_tells_content_shape_and_type_apart():
    zeros = np.zeros((2, 3), np.uint8)
    different = [
        digest(zeros),
        digest(zeros.T),
        digest(zeros.astype(np.int8)),
        digest(zeros + 1),
        digest({"a": 1}),
        digest({"a": 2}),
    ]

    assert len(set(different)) == len(different)
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest(zeros[:, ::-1]) == digest(zeros)


def test_a_cache_makes_once(tmp_path):
    made = []

    def make():
        made.append(1)
        return {"x": torch.arange(3)}

    for _ in range(2):
        cache = Cache(folder=tmp_path / "c", settings={"a": (1, 2)})
        assert cache.get("k", make)["x"].tolist() == [0, 1, 2]
    assert len(made) == 1


def kinds():
    """Tensors of the kinds that are kept, an empty one too."""
    return {
        "half": torch.arange(6).half().view(2, 3),
        "labels": torch.ones(3, dtype=torch.int16),
        "none": torch.zeros(0, 4),
        "one": torch.tensor(7),
    }


def unmade():
    raise AssertionError("it was there")


def test_whatever_byte_changes_is_noticed_and_made_again(tmp_path):
    cache = Cache(folder=tmp_path / "c", settings={"a": 1})
    cache.get("k", kinds)
    file = tmp_path / "c" / "k.safetensors"
    whole = file.read_bytes()

    for place in range(0, len(whole), 3):
        broken = bytearray(whole)
        broken[place] ^= 1
        file.write_bytes(broken)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            found = cache.get("k", kinds)
        assert all(found[name].equal(one) for name, one in kinds().items())
        # A change that changes nothing of what is read does no harm.
        assert len(told) == (file.read_bytes() != bytes(broken))
        if place >= len(whole) - 8:
            assert "were damaged; they are made again" in str(told[0].message)
    assert cache.get("k", unmade).keys() == kinds().keys()


@pytest.mark.parametrize("keep", [0, 7, 100, -5])
def test_a_file_that_was_cut_short_is_made_again(tmp_path, keep):
    cache = Cache(folder=tmp_path / "c", settings={})
    cache.get("k", kinds)
    file = tmp_path / "c" / "k.safetensors"
    file.write_bytes(file.read_bytes()[:keep])

    with pytest.warns(InputWarning, match="c were damaged; they are made again"):
        assert cache.get("k", kinds)["one"] == 7
    assert cache.get("k", unmade)["one"] == 7


def test_a_file_in_anothers_place_is_noticed(tmp_path):
    one, two = (Cache(folder=tmp_path / n, settings={"n": n}) for n in "ab")
    for cache in (one, two):
        for key in "kl":
            cache.get(key, lambda cache=cache, key=key: {key: torch.zeros(2)})
    shutil.copy(tmp_path / "a" / "k.safetensors", tmp_path / "a" / "l.safetensors")
    shutil.copy(tmp_path / "a" / "k.safetensors", tmp_path / "b" / "k.safetensors")

    for cache, key in ((one, "l"), (two, "k")):
        with pytest.warns(InputWarning, match="damaged"):
            assert cache.get(key, kinds).keys() == kinds().keys()


def test_files_of_before_there_were_checksums_are_read(tmp_path):
    cache = Cache(folder=tmp_path / "c", settings={})
    save_file({"x": torch.arange(4)}, tmp_path / "c" / "k.safetensors")

    assert cache.get("k", unmade)["x"].tolist() == [0, 1, 2, 3]


def test_a_damaged_stamp_is_written_again_where_the_folder_tells(tmp_path):
    cache = Cache.keyed(tmp_path, {"a": (1, 2)}, {"version": 1})
    cache.get("k", kinds)
    (cache.folder / "settings.json").write_text("[1]")

    with pytest.warns(InputWarning, match=r"settings\.json was damaged"):
        again = Cache.keyed(tmp_path, {"a": (1, 2)}, {"version": 1})
    assert again.get("k", unmade)["one"] == 7
    Cache.keyed(tmp_path, {"a": (1, 2)}, {"version": 1})


def test_what_made_it_is_part_of_a_key_and_older_caches_are_named(tmp_path, caplog):
    old = tmp_path / digest({"a": 1, "wsis": wsis.__version__})
    save = Cache(folder=old, settings={"a": 1, "wsis": wsis.__version__})
    save.get("k", kinds)

    one = Cache.keyed(tmp_path, {"a": 1}, {"version": 1})
    # Said once: from now on there is a new one.
    assert Cache.keyed(tmp_path, {"a": 1}, {"version": 1}).folder == one.folder
    [told] = caplog.messages
    assert f"{old.name} was written by an older wsis" in told
    assert one.folder != old
    other = tmp_path / "other"
    two = [Cache.keyed(other, {"a": 1}, {"version": n}).folder for n in (1, 2)]
    assert two[0] != two[1]


def test_unfinished_files_of_others_block_nothing_and_go_after_a_day(tmp_path):
    fresh, old = (tmp_path / f".settings.json.{n}.part" for n in ("new", "old"))
    for path in (fresh, old):
        path.write_text("{")
    os.utime(old, (time.time() - 90_000,) * 2)
    (tmp_path / ".settings.json.abcd1234").write_text("")

    Cache(folder=tmp_path, settings={"a": 1})

    assert fresh.exists()
    assert not old.exists()
    Cache(folder=tmp_path, settings={"a": 1})


def test_of_many_writers_one_wins(tmp_path, monkeypatch):
    path = tmp_path / "f" / "a.txt"
    write_new(path, "first")
    write_new(path, "second")
    assert path.read_text() == "first"

    def none(*_):
        raise OSError("this file system has no links")

    monkeypatch.setattr(os, "link", none)
    write_new(path, "third")
    write_new(tmp_path / "b.txt", "fourth")
    assert path.read_text() == "first"
    assert (tmp_path / "b.txt").read_text() == "fourth"
    assert [one.name for one in path.parent.iterdir()] == ["a.txt"]


def build(folder, start, settings):
    """One process of several that begin on a fresh folder at the same moment."""
    while time.time() < start:
        pass
    cache = Cache(folder=folder, settings=settings)
    for key in range(8):
        found = cache.get(str(key), lambda key=key: {"x": torch.full((50,), key)})
        assert found["x"].eq(key).all()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_processes_share_a_fresh_folder(tmp_path):
    for attempt in range(4):
        folder, start = tmp_path / str(attempt), time.time() + 0.2
        given = (folder, start, {"attempt": attempt})
        children = [
            get_context("fork").Process(target=build, args=given) for _ in range(8)
        ]
        for child in children:
            child.start()
        for child in children:
            child.join()
        assert [child.exitcode for child in children] == [0] * 8
        assert len(list(folder.iterdir())) == 9


def test_content_follows_the_file(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    first = content(path)
    path.write_bytes(b"two")

    assert first != content(path) == sha256(path)


def test_a_cache_of_other_settings_is_refused_and_kept(tmp_path):
    cache = Cache(folder=tmp_path / "c", settings={"nodes": 600})
    cache.get("k", lambda: {"x": torch.zeros(1)})

    with pytest.raises(CacheMismatchError, match="nodes: 600 there, 300 asked for"):
        Cache(folder=tmp_path / "c", settings={"nodes": 300})

    assert (tmp_path / "c" / "k.safetensors").exists()


def test_a_read_only_folder_is_named(tmp_path, monkeypatch):
    cache = Cache(folder=tmp_path / "cache", settings={})

    def refuse(*given, **more):
        raise OSError(errno.EROFS, "Read-only file system", "x.part")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    where = r"write to \S+a: it is read-only; choose another folder"
    with pytest.raises(PermissionError, match=where):
        files.write_text(tmp_path / "a" / "b.txt", "")
    for use in (
        lambda: cache.get("key", dict),
        lambda: Cache(folder=tmp_path / "new", settings={}),
    ):
        with pytest.raises(
            PermissionError, match=r"to the cache: .* \(--cache, WSIS_C"
        ):
            use()


def test_a_folder_of_other_files_is_not_taken_for_a_cache(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"")

    with pytest.raises(CacheMismatchError, match="holds other files"):
        Cache(folder=tmp_path, settings={})


def test_sha256_is_of_the_content(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")  # the example of FIPS 180-2

    assert sha256(path).startswith("ba7816bf8f01cfea414140de5dae2223")


def test_broken_lines_are_numbered_and_passed_over(tmp_path):
    path = tmp_path / "lines.jsonl"
    append_json(path, {"a": 1})
    with path.open("ab") as file:
        file.write(b'{"a": ')
    append_json(path, {"a": 3})

    assert list(numbered_json_lines(path)) == [(1, {"a": 1}), (2, None), (3, {"a": 3})]
    assert list(numbered_json_lines(tmp_path / "none")) == []


@pytest.mark.parametrize(
    "broken", [lambda x: x[:-9], lambda x: x[:15] + b"xx" + x[17:]]
)
def test_packed_json_comes_back_and_damage_is_told(tmp_path, broken):
    path, value = tmp_path / "some.json.gz", {"a": [1, 2.5, "ä" * 99]}
    write_packed(path, value)
    assert read_packed(path) == value

    path.write_bytes(broken(path.read_bytes()))

    with pytest.raises(ValueError, match=r"\w"):
        read_packed(path)


def test_files_and_digests_of_settings_need_no_torch():
    code = (
        "import sys; from wsis._support.files import digest; digest({'a': 1}); "
        "sys.exit('torch' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_safetensors_cannot_write_is_an_error_of_the_file(tmp_path):
    """As on a full disk, where its error is none of Python's."""
    with (
        pytest.raises(OSError, match=r"model.safetensors cannot be written"),
        atomic_write(tmp_path / "model.safetensors"),
    ):
        save_file({"a": torch.zeros(1)}, tmp_path / "missing" / "a.safetensors")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"\x89PNG\r\n", b"\xff\xfe\x00", b"[" * 100_000])
def test_what_is_no_json_is_a_value_error_that_says_so(content):
    with pytest.raises(ValueError, match=r"not text|nest too deep"):
        parse_json(content)


def test_json_of_any_unicode_encoding_is_read():
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert parse_json('{"a": "ä"}'.encode(encoding)) == {"a": "ä"}
