"""A folder of finished work, one JSON line each, that a later run resumes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsis._support.files import (
    append_json,
    differences,
    in_words,
    parse_json,
    read_json_lines,
    write_json,
)


class JournalError(ValueError):
    """A folder holds other work than the one asked for, or a damaged one."""


@dataclass(slots=True, kw_only=True)
class Journal:
    """Lines of finished work beside the design that all of them depend on.

    Nothing is written before the first line is. Work that has a whole line is whole;
    half a line, after a crash, is work that is not there.

    Args:
        root: the folder.
        what: the kind of work, for messages: ``bench``, ``tuning``.
        stamp: name of the file that holds the design.
        lines: name of the file that holds the lines.
        design: what the work depends on; JSON-like.
        partial: whether the design is one entry for each of several variants, which a
            later run may add to; else all of it must be the same.
        fresh: forgets the lines of other work once there is one of this.
    """

    root: Path
    what: str
    stamp: str
    lines: str
    design: Mapping[str, Any]
    partial: bool = False
    fresh: bool = False
    _begun: bool = field(default=False, init=False)

    def read(self) -> list[Any]:
        """Return the lines that are there already, in order; broken ones are left out.

        Raises:
            JournalError: if the folder holds other work; the message says what differs.
        """
        if self.fresh or not (self.root / self.stamp).is_file():
            return []
        found, asked = self._stamped(), self._asked()
        shared = found.keys() & asked.keys() if self.partial else found | asked
        changes = differences(
            {key: found[key] for key in shared if key in found},
            {key: asked[key] for key in shared if key in asked},
        )
        if changes:
            raise JournalError(
                f"{self.root} holds another {self.what} ({in_words(changes)}); choose "
                "another folder (--out), or overwrite it (--overwrite, fresh=True)"
            )
        return list(read_json_lines(self.root / self.lines))

    def begin(self) -> None:
        """Write the design, once; forget the lines of other work where ``fresh``."""
        if self._begun:
            return
        self.root.mkdir(parents=True, exist_ok=True)
        known: dict[str, Any] = {}
        if self.fresh:
            (self.root / self.lines).unlink(missing_ok=True)
        elif self.partial and (self.root / self.stamp).is_file():
            known = self._stamped()
        write_json(self.root / self.stamp, known | self._asked())
        self._begun = True

    def append(self, value: Any) -> None:
        """Add one line of finished work and wait until it is on disk."""
        self.begin()
        append_json(self.root / self.lines, value)

    def _stamped(self) -> dict[str, Any]:
        path = self.root / self.stamp
        try:
            return dict(parse_json(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise JournalError(
                f"{path} does not describe a {self.what}: {error}; choose another "
                "folder (--out), or overwrite it (--overwrite, fresh=True)"
            ) from None

    def _asked(self) -> dict[str, Any]:
        return dict(json.loads(json.dumps(self.design, default=str)))
