"""A folder of finished work, one JSON line each, that a later run resumes."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsis._support.files import (
    append_json,
    differences,
    in_plain,
    in_words,
    only_moved,
    parse_json,
    write_json,
)
from wsis._support.folders import locked

_ELSEWHERE = "choose another folder (--out), or overwrite it (--overwrite, fresh=True)"


UNREAD = "not read yet"
"""Stands in a design for what only reading the photos tells; it agrees with all."""


class JournalError(ValueError):
    """A folder holds other work than the one asked for, or a damaged one."""


@dataclass(slots=True, kw_only=True)
class Journal:
    """Lines of finished work beside the design that all of them depend on.

    Nothing is written before the first line is. Work that has a whole line is whole;
    half a line, after a crash, is work that is not there. One process works at a time.
    Lines that many processes add at once, and that depend on no design, need no
    journal: a store's index and decisions about predictions are ``append_json`` and
    ``numbered_json_lines`` alone.

    Args:
        root: the folder.
        what: the kind of work, for messages: ``bench``, ``tuning``.
        stamp: name of the file that holds the design.
        lines: name of the file that holds the lines.
        design: what the work depends on; JSON-like.
        partial: whether the design is one entry for each of several variants, which a
            later run may add to; else all of it must be the same.
        fresh: forgets the lines of other work once there is one of this.
        made: names of the files made of all lines, which are forgotten with them.
    """

    root: Path
    what: str
    stamp: str
    lines: str
    design: Mapping[str, Any]
    partial: bool = False
    fresh: bool = False
    made: Sequence[str] = ()
    _begun: bool = field(default=False, init=False)
    _lock: int | None = field(default=None, init=False)

    def resumes(self) -> bool:
        """Tell whether there are lines already, of the same work.

        Raises:
            JournalError: if the folder holds other work; the message says what differs.
        """
        if self.fresh:
            return False
        there = (self.root / self.lines).is_file()
        if not (self.root / self.stamp).is_file():
            if there:
                raise JournalError(
                    f"expected {self.stamp} beside {self.root / self.lines}, to say "
                    f"what these lines were made from; {_ELSEWHERE}"
                )
            return False
        found, asked = self._stamped(), in_plain(self.design)
        shared = found.keys() & asked.keys() if self.partial else found | asked
        changes = differences(
            {key: found[key] for key in shared if key in found},
            {key: asked[key] for key in shared if key in asked},
        )
        changes = {name: pair for name, pair in changes.items() if pair[1] != UNREAD}
        if not only_moved(changes):
            raise JournalError(
                f"{self.root} holds another {self.what} ({in_words(changes)}); "
                f"{_ELSEWHERE}"
            )
        return there

    def lock(self) -> None:
        """Keep other processes from working in the folder, until ``close``.

        Raises:
            JournalError: if another process is working there.
        """
        if self._lock is not None or not self.root.is_dir():
            return
        try:
            self._lock = locked(self.root)
        except BlockingIOError:
            raise JournalError(
                f"another process is working on the {self.what} in {self.root}; wait "
                "until it has finished, or choose another folder (--out)"
            ) from None

    def close(self) -> None:
        """Let other processes work in the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def begin(self) -> None:
        """Write the design, once; forget what other work left where ``fresh``."""
        if self._begun:
            return
        self.root.mkdir(parents=True, exist_ok=True)
        self.lock()
        # Another process may have begun other work there in the meantime.
        self.resumes()
        known: dict[str, Any] = {}
        if self.fresh:
            for name in (self.lines, *self.made):
                (self.root / name).unlink(missing_ok=True)
        elif self.partial and (self.root / self.stamp).is_file():
            known = self._stamped()
        lines = self.root / self.lines
        if lines.is_file():
            # A crash may have left half of the last one.
            os.truncate(lines, lines.read_bytes().rfind(b"\n") + 1)
        write_json(self.root / self.stamp, known | in_plain(self.design))
        self._begun = True

    def append(self, value: Any) -> None:
        """Add one line of finished work and wait until it is on disk."""
        self.begin()
        append_json(self.root / self.lines, value)

    def _stamped(self) -> dict[str, Any]:
        path = self.root / self.stamp
        try:
            return dict(parse_json(path.read_bytes()))
        except (ValueError, TypeError) as error:
            raise JournalError(
                f"{path} does not describe a {self.what}: {error}; {_ELSEWHERE}"
            ) from None
