import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from wsis._support.files import (
    Cache,
    CacheMismatchError,
    append_json,
    atomic_write,
    digest,
    numbered_json_lines,
    read_json_lines,
    sha256,
    write_json,
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


def test_a_cache_makes_once_and_remakes_what_is_damaged(tmp_path):
    made = []

    def make():
        made.append(1)
        return {"x": torch.arange(3)}

    cache = Cache(folder=tmp_path / "c", settings={"a": (1, 2)})
    for _ in range(2):
        assert cache.get("k", make)["x"].tolist() == [0, 1, 2]
    assert len(made) == 1

    file = tmp_path / "c" / "k.safetensors"
    file.write_bytes(file.read_bytes()[:-5])
    again = Cache(folder=tmp_path / "c", settings={"a": (1, 2)})
    assert again.get("k", make)["x"].tolist() == [0, 1, 2]
    assert len(made) == 2


def test_a_cache_of_other_settings_is_refused_and_kept(tmp_path):
    cache = Cache(folder=tmp_path / "c", settings={"nodes": 600})
    cache.get("k", lambda: {"x": torch.zeros(1)})

    with pytest.raises(CacheMismatchError, match="nodes: 600 there, 300 asked for"):
        Cache(folder=tmp_path / "c", settings={"nodes": 300})

    assert (tmp_path / "c" / "k.safetensors").exists()


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

    assert list(read_json_lines(path)) == [{"a": 1}, {"a": 3}]
    assert list(numbered_json_lines(path)) == [(1, {"a": 1}), (2, None), (3, {"a": 3})]
    assert list(numbered_json_lines(tmp_path / "none")) == []


def test_files_and_digests_of_settings_need_no_torch():
    code = (
        "import sys; from wsis._support.files import digest; digest({'a': 1}); "
        "sys.exit('torch' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
