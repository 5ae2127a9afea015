"""Reads Matlab files of version 5, which may be damaged, hostile or huge.

SciPy's reader ends the process over some of them. This one takes no number of a file on
trust: a wrong one is a ``ValueError``.
"""

import io
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

_NUMBERS = {
    **{1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4"},
    **{7: "f4", 9: "f8", 12: "i8", 13: "u8"},
}
"""How numbers are stored, by the type of a data element."""

_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _OPAQUE = 1, 2, 17
_NUMERIC = range(6, 16)
_OTHERS = {3: "object", 4: "text", 5: "sparse matrix", 16: "function", 17: "object"}

_COMPLEX = 0x800
"""Marks an array of numbers that has an imaginary part."""

BUDGET = 2**28
"""Bytes that a variable may unfold to, but for arrays of the photo's own size."""

_EACH = 128
"""Bytes that an array takes besides its numbers."""


def read_mat(path: Path, size: tuple[int, int] | None = None) -> dict[str, Any]:
    """Return the variables of a file by name.

    Arrays of numbers are arrays, as they are stored; a cell array is a list, column by
    column; a structure is a dict, several are a list of them; all others are a text
    that says their kind.

    Args:
        path: of the file.
        size: of arrays (H, W, …) that may have any number of further axes.

    Raises:
        ValueError: if the file is damaged, of another version, or unfolds to more than
            ``BUDGET`` bytes.
    """
    try:
        with path.open("rb") as file:
            return dict(_variables(file, size))
    except (ValueError, struct.error, zlib.error, RecursionError) as error:
        raise ValueError(f"{path}: not a Matlab file, or damaged: {error}") from error


def _variables(
    file: BinaryIO, size: tuple[int, int] | None
) -> Iterator[tuple[str, Any]]:
    head = file.read(128)
    order = {b"\0\1IM": "<", b"\1\0MI": ">"}.get(head[124:])
    if order is None:
        raise ValueError("it has no header of version 5; save(..., '-v7') writes one")
    while tag := file.read(8):
        kind, length = struct.unpack(f"{order}II", tag)
        start = file.tell()
        read, inside, packed = file.read, length, kind == _COMPRESSED
        if packed:
            read = io.BufferedReader(_Inflated(file, length), 2**16).read
            kind, inside = struct.unpack(f"{order}II", read(8))
        if kind != _MATRIX:
            raise ValueError(f"expected a variable, got type {kind}")
        name, value = _Reader(read, order, size).matrix(inside)
        if packed and read(1):
            raise ValueError(f"{name} holds more than it says")
        file.seek(start + length)
        # Functions keep their variables in one without a name.
        if name:
            yield name, value


class _Inflated(io.RawIOBase):
    """Unfolds the next bytes of a file piece by piece; the checksum comes last."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file, self._left, self._zlib = file, length, zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        found = b""
        while not (found or self._zlib.eof):
            piece = self._zlib.unconsumed_tail
            if not piece:
                piece = self._file.read(min(2**14, self._left))
                self._left -= len(piece)
                if not piece:
                    raise ValueError("it is cut off")
            found = self._zlib.decompress(piece, len(into))
        into[: len(found)] = found
        return len(found)


class _Reader:
    """Reads one variable."""

    def __init__(
        self,
        read: Callable[[int], bytes],
        order: str,
        size: tuple[int, int] | None,
    ) -> None:
        self._read, self._size, self._at, self._left = read, size, 0, BUDGET
        self._pair = struct.Struct(f"{order}II").unpack
        self._types = {k: np.dtype(order + kind) for k, kind in _NUMBERS.items()}
        self._order = order

    def matrix(self, length: int) -> tuple[str, Any]:
        """Return the name and the value of a matrix of so many bytes."""
        self._pay(_EACH)
        if not length:
            return "", np.zeros((0, 0))
        end = self._at + length
        flags = self._pair(self._element(8))[0]
        code = flags & 255
        sides = b"" if code == _OPAQUE else self._element(128)
        dims = struct.unpack(f"{self._order}{len(sides) // 4}i", sides)
        if dims and min(dims) < 0:
            raise ValueError(f"expected an array's size, got {dims}")
        name = self._element(2**10).decode("latin-1")
        value = "complex numbers" if flags & _COMPLEX else self._value(code, dims)
        if self._at > end:
            raise ValueError(f"{name or 'an array'} is larger than it says")
        self._pay(end - self._at)
        self._take(end - self._at)
        return name, value

    def _value(self, code: int, dims: tuple[int, ...]) -> Any:
        count = math.prod(dims)
        if code in _NUMERIC:
            return self._numbers(dims)
        if code == _CELL:
            return [self._inner() for _ in range(count)]
        if code == _STRUCT:
            [width] = struct.unpack(f"{self._order}i", self._element(4))
            text = self._element(2**16)
            if text and not 0 < width <= len(text):
                raise ValueError(f"expected names of fields, got a width of {width}")
            names = [
                text[i : i + width].split(b"\0")[0].decode("latin-1")
                for i in range(0, len(text), width or 1)
            ]
            self._pay(_EACH * count)
            found = [{name: self._inner() for name in names} for _ in range(count)]
            return found[0] if count == 1 else found
        if code in _OTHERS:
            return _OTHERS[code]
        raise ValueError(f"expected a class of arrays, got {code}")

    def _inner(self) -> Any:
        kind, length, _ = self._tag()
        if kind != _MATRIX:
            raise ValueError(f"expected an array, got type {kind}")
        return self.matrix(length)[1]

    def _numbers(self, dims: tuple[int, ...]) -> np.ndarray:
        kind, length, inside = self._tag()
        stored = self._types.get(kind)
        if stored is None or length != math.prod(dims) * stored.itemsize:
            raise ValueError(
                f"an array of {' x '.join(map(str, dims))} has {length} bytes of type "
                f"{kind}"
            )
        if dims[:2] != self._size:
            self._pay(length)
        data = self._data(length) if inside is None else inside
        found = np.frombuffer(data, stored).astype(stored.newbyteorder("="))
        return found.reshape(dims, order="F")

    def _element(self, most: int) -> bytes:
        """Return the bytes of a small data element."""
        _, length, inside = self._tag()
        if length > most:
            raise ValueError(f"expected at most {most} bytes, got {length}")
        return self._data(length) if inside is None else inside

    def _tag(self) -> tuple[int, int, bytes | None]:
        """Return type and length of a data element, and up to 4 bytes of its own."""
        tag = self._take(8)
        kind, length = self._pair(tag)
        if kind < 2**16:
            return kind, length, None
        kind, length = kind & 0xFFFF, kind >> 16
        if length > 4:
            raise ValueError(f"expected at most 4 bytes in a tag, got {length}")
        return kind, length, tag[4 : 4 + length]

    def _data(self, length: int) -> bytes:
        found = self._take(length)
        # The last variable of a file may lack what fills it up.
        self._at += len(self._read(-length % 8))
        return found

    def _take(self, length: int) -> bytes:
        found = self._read(length)
        if len(found) != length:
            raise ValueError("it is cut off")
        self._at += length
        return found

    def _pay(self, length: int) -> None:
        self._left -= length
        if self._left < 0:
            raise ValueError(
                f"a variable unfolds to more than {BUDGET >> 20} MiB, and is no array "
                "of the photo's size"
            )
