"""The folder of a tuning: finished trials as they come, so that it can be gone on with.

It has ``design.json``, what every trial's figures depend on, and ``trials.jsonl``. How
many settings and seeds there are is not part of the design: more may be added.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from wsis._support.files import (
    append_json,
    differences,
    in_words,
    read_json_lines,
    write_json,
)
from wsis.experiments.tuning.trial import Trial

DESIGN, TRIALS = "design.json", "trials.jsonl"


class TuneError(ValueError):
    """A folder holds another tuning than the one asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """Trials of one tuning on disk; nothing is written before the first is finished.

    Args:
        root: the folder.
        design: what the figures depend on; JSON-like.
        fresh: forgets the trials that are there, once there is one of this.
    """

    root: Path
    design: Mapping[str, Any]
    fresh: bool = False

    def finished(self) -> dict[tuple[str, int], Trial]:
        """The trials that are there already, by label and seed.

        Raises:
            TuneError: if the folder holds a tuning that differs; says in what.
        """
        if self.fresh or not (self.root / DESIGN).is_file():
            return {}
        found = json.loads((self.root / DESIGN).read_text())
        changes = differences(found, self._asked())
        if changes:
            raise TuneError(
                f"{self.root} holds another tuning ({in_words(changes)}); choose "
                "another --out, or --overwrite it"
            )
        return {(one.label, one.seed): one for one in read_trials(self.root)}

    def begin(self) -> None:
        """Writes the design; forgets other trials where ``fresh``."""
        self.root.mkdir(parents=True, exist_ok=True)
        if self.fresh:
            (self.root / TRIALS).unlink(missing_ok=True)
        write_json(self.root / DESIGN, self._asked())

    def keep(self, trial: Trial) -> None:
        """Appends a finished trial; what has a whole line is a whole trial."""
        append_json(self.root / TRIALS, asdict(trial))

    def _asked(self) -> Any:
        return json.loads(json.dumps(self.design, default=str))


def read_trials(root: Path) -> list[Trial]:
    """The trials in ``trials.jsonl``, as they were finished; a broken line is none."""
    names = {field.name for field in fields(Trial)}
    return [
        Trial(**value)
        for value in read_json_lines(root / TRIALS)
        if isinstance(value, dict) and value.keys() == names
    ]
