import random
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from scipy.sparse import csc_array

from wsis._support import matlab
from wsis._support.matlab import read_mat

RNG = np.random.default_rng(0)


def cell(*values):
    cells = np.empty((len(values), 1), dtype=object)
    for i, value in enumerate(values):
        cells[i, 0] = value
    return cells


def element(kind, content, order="<"):
    return struct.pack(f"{order}II", kind, len(content)) + content.ljust(
        -len(content) // 8 * -8, b"\0"
    )


def array(kind, content, dims=(1, 3), flags=6, order="<"):
    """A matrix ``a`` whose numbers are of a type of data elements."""
    return element(
        14,
        element(6, struct.pack(f"{order}II", flags, 0), order)
        + element(5, struct.pack(f"{order}{len(dims)}i", *dims), order)
        + element(1, b"a", order)
        + element(kind, content, order),
        order,
    )


def file(*variables, order="<"):
    mark = b"\0\1IM" if order == "<" else b"\1\0MI"
    return b"MATLAB 5.0".ljust(124) + mark + b"".join(variables)


def packed(variable):
    content = zlib.compress(variable)
    return struct.pack("<II", 15, len(content)) + content


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", ["b1", *"iuf"])
def test_numbers_are_those_that_scipy_reads(tmp_path, kind, compressed):
    values = {}
    for size in {"b1": [""], "f": [4, 8]}.get(kind, [1, 2, 4, 8]):
        for shape in ((1, 1), (3, 5), (0, 4), (2, 3, 4), (200, 300)):
            drawn = RNG.integers(0, 2 if kind == "b1" else 99, shape)
            name = f"{kind}{size}_{len(values)}"
            values[name] = drawn.astype(f"{kind}{size}")
    savemat(tmp_path / "a.mat", values, do_compression=compressed)

    found = read_mat(tmp_path / "a.mat")

    assert list(found) == list(values)
    for name, expected in loadmat(tmp_path / "a.mat").items():
        if not name.startswith("__"):
            assert found[name].dtype == expected.dtype
            assert np.array_equal(found[name], expected)


def test_cells_structures_and_all_others(tmp_path):
    grid = np.empty((2, 2), dtype=object)
    grid[:] = [[1.0, 2.0], [3.0, 4.0]]
    rows = np.array([(1, "x"), (2, "y")], dtype=[("n", object), ("t", object)])
    content = {
        "cells": cell(np.array([1, 2]), cell(np.eye(2)), "text"),
        "grid": grid,
        "one": {"a": np.array([5]), "rest": csc_array(np.eye(3))},
        "many": rows,
        "complex": np.array([1 + 2j]),
        "none": cell(),
    }
    savemat(tmp_path / "a.mat", content)

    found = read_mat(tmp_path / "a.mat")

    assert found["cells"][0].tolist() == [[1, 2]]
    assert found["cells"][1][0].tolist() == [[1, 0], [0, 1]]
    assert found["cells"][2] == "text"
    assert [one.item() for one in found["grid"]] == [1, 3, 2, 4]
    assert found["one"] == {"a": np.array([[5]]), "rest": "sparse matrix"}
    assert [one["n"].item() for one in found["many"]] == [1, 2]
    assert (found["complex"], found["none"]) == ("complex numbers", [])


def test_both_byte_orders_and_an_empty_matrix(tmp_path):
    for order in "<>":
        content = struct.pack(f"{order}3h", 1, 258, -3)
        variable = array(3, content, order=order)
        (tmp_path / "a.mat").write_bytes(file(variable, order=order))

        assert read_mat(tmp_path / "a.mat")["a"].tolist() == [[1, 258, -3]]
    inside = element(14, array(2, b"", (1, 1), flags=1)[8:-8] + element(14, b""))
    (tmp_path / "a.mat").write_bytes(file(inside))
    assert read_mat(tmp_path / "a.mat")["a"][0].shape == (0, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no header of version 5; save"),
        (bytes(200), "no header of version 5"),
        (file(array(2, b"123"), bytes(9)), "got type 0"),
        (file(array(2, b"123")[:-9]), "cut off"),
        (file(array(2, b"1234")), "array of 1 x 3 has 4 bytes of type 2"),
        (file(array(77, b"123")), "array of 1 x 3 has 3 bytes of type 77"),
        (file(array(2, b"123", dims=(-1, -3))), "size, got"),
        (file(array(2, b"123", flags=99)), "class of arrays, got 99"),
        (file(array(2, b"123", dims=(1, 3) * 20)), "at most 128 bytes, got 160"),
        (file(array(2, b"123", flags=1)), "expected an array, got type 2"),
        (
            file(
                element(14, array(5, bytes(4), (1, 1), flags=2)[8:] + element(1, b"x"))
            ),
            "a width of 0",
        ),
        (file(b"\x0e\0\0\0\x30\0\0\0" + array(2, b"123")[8:]), "a is larger"),
        (file(packed(array(2, b"123"))[:-3]), "cut off"),
        (file(packed(array(2, b"123") + b"more")), "a holds more than it says"),
        (file(element(15, b"nonsense")), "incorrect header check"),
        (
            file(
                element(
                    14,
                    array(5, bytes(4), (2**30, 2**30), flags=2)[8:] + element(1, b""),
                )
            ),
            "unfolds to more than 256 MiB",
        ),
        (file(b"\x0e\0\0"), "unpack requires"),
    ],
)
def test_damage_is_told_with_path_and_reason(tmp_path, content, message):
    (tmp_path / "b.mat").write_bytes(content)

    with pytest.raises(
        ValueError, match=rf"b\.mat: not a Matlab file, or damaged: .*{message}"
    ):
        read_mat(tmp_path / "b.mat")


def test_a_wrong_checksum_and_endless_cells_are_damage(tmp_path):
    whole = packed(array(2, b"123"))
    (tmp_path / "a.mat").write_bytes(file(whole[:-1] + bytes([whole[-1] ^ 1])))
    with pytest.raises(ValueError, match="incorrect data check"):
        read_mat(tmp_path / "a.mat")
    inside = b""
    for _ in range(5000):
        inside = array(2, b"", (1, 1), flags=1)[8:-8] + inside
        inside = struct.pack("<II", 14, len(inside)) + inside
    (tmp_path / "a.mat").write_bytes(file(inside))
    with pytest.raises(ValueError, match="recursion"):
        read_mat(tmp_path / "a.mat")


@pytest.mark.parametrize("dims", [(64, 64, 9), (1, 64 * 64 * 9)])
def test_only_arrays_of_the_photos_size_may_be_large(tmp_path, monkeypatch, dims):
    monkeypatch.setattr(matlab, "BUDGET", 2**14)
    savemat(tmp_path / "a.mat", {"a": np.zeros(dims)}, do_compression=True)

    if dims[0] == 64:
        assert read_mat(tmp_path / "a.mat", (64, 64))["a"].shape == dims
    for size in (None, (64, 63)):
        with pytest.raises(ValueError, match="unfolds to more than 0 MiB"):
            read_mat(tmp_path / "a.mat", size)


def test_no_damage_ends_the_process(tmp_path):
    """SciPy 1.17's own reader ends the process over 23 of these thousand."""
    values = {"superpixels": np.ones((4, 4)), "labels": cell(np.ones(3), np.ones(1))}
    savemat(tmp_path / "a.mat", values)
    whole, draw = (tmp_path / "a.mat").read_bytes(), random.Random(0)
    read = []
    for _ in range(1000):
        content = bytearray(whole)
        for _ in range(draw.choice([1, 2, 8])):
            content[draw.randrange(128, len(content))] = draw.randrange(256)
        (tmp_path / "a.mat").write_bytes(content)
        with suppress(ValueError):
            read.append(read_mat(tmp_path / "a.mat"))
    assert 0 < len(read) < 1000
