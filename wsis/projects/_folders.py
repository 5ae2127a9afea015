"""The folders of a project's steps, by the inputs that their results are made of."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wsis._support.files import STEPS, differences, in_words, parse_json, write_json
from wsis._support.folders import locked
from wsis.runs.settings import SettingsError


class StepFolders:
    """Tells which folder of a project has the result of which inputs.

    Results of other inputs stay in their folders, and are found again when the inputs
    are the same again.

    Args:
        out: folder of all results; it need not exist.

    Raises:
        SettingsError: if it is not a project's, or its list of steps is damaged.
    """

    FILE = STEPS

    def __init__(self, out: Path) -> None:
        self.out, self._file = out, out / self.FILE
        self._read()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from working in the folder, which is made if need be.

        Raises:
            ValueError: if another process is working there.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        try:
            handle = locked(self.out)
        except BlockingIOError:
            raise ValueError(
                f"another wsis run is working in {self.out}; wait until it has "
                "finished, or name another folder as out"
            ) from None
        try:
            # Others may have noted steps in the meantime.
            self._read()
            yield
        finally:
            if handle is not None:
                os.close(handle)

    def _read(self) -> None:
        out = self.out
        self._steps: dict[str, dict[str, Any]] = {}
        if self._file.is_file():
            try:
                self._steps = {
                    k: dict(v) for k, v in parse_json(self._file.read_bytes()).items()
                }
            except (ValueError, TypeError, AttributeError):
                raise SettingsError(
                    f"{self._file} is damaged; delete it, and all steps are made anew "
                    "in other folders"
                ) from None
        elif out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise SettingsError(
                f"expected out to be a new folder, {out} holds something else; name "
                "another one"
            )

    def place(
        self, step: str, inputs: Mapping[str, Any], name: str
    ) -> tuple[Path, str]:
        """Return the folder of a step's result, and what differs from the last one.

        Args:
            step: name of the step.
            inputs: all that the result depends on; JSON-like.
            name: of the folder, which gets a number if it is another's.
        """
        kept, wanted = self._steps.get(step, {}), dict(inputs)
        for folder, there in kept.items():
            if there == wanted:
                return self.out / folder, ""
        taken = {one for some in self._steps.values() for one in some}
        number, free = 1, name
        while free in taken or (self.out / free).exists():
            number += 1
            free = f"{name}-{number}"
        changes = differences(kept[list(kept)[-1]], wanted) if kept else {}
        return self.out / free, in_words(changes)

    def begin(self, step: str, inputs: Mapping[str, Any], folder: Path) -> None:
        """Note that a step's result, made of ``inputs``, will be in a folder."""
        self._steps.setdefault(step, {})[folder.name] = dict(inputs)
        write_json(self._file, self._steps)
