"""The folder of a tuning: finished trials as they come, and the choice, read back.

It has ``design.json``, what every trial's figures depend on, ``trials.jsonl``, and once
all are finished ``tune.json``. The numbers of settings and seeds are not part of the
design: more may be added.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wsis._support.files import differences, parse_json
from wsis._support.journal import Journal, JournalError
from wsis.experiments._lines import check_version, records
from wsis.experiments.tuning.trial import Trial
from wsis.experiments.variants import Variant, written
from wsis.runs.settings import Part, Settings

DESIGN, TRIALS, RESULTS = "design.json", "trials.jsonl", "tune.json"


def journal(root: Path, design: Mapping[str, Any], *, fresh: bool = False) -> Journal:
    """Return the journal of a tuning's trials.

    Args:
        root: the folder.
        design: what the figures depend on; JSON-like.
        fresh: forgets the trials that are there, once there is one of this.
    """
    return Journal(
        root=root,
        what="tuning",
        stamp=DESIGN,
        lines=TRIALS,
        made=(RESULTS, "tune.csv", "tune.html"),
        design=design,
        fresh=fresh,
    )


def resumed(
    journal: Journal, wanted: Container[tuple[str, int]]
) -> dict[tuple[str, int], Trial]:
    """Return the finished trials among those wanted, by label and seed, and lock.

    Raises:
        JournalError: if the folder holds another tuning, one of the trials is of
            another version, or another process is working there.
    """
    found = {}
    for one in read_trials(journal.root) if journal.resumes() else ():
        if (one.label, one.seed) in wanted:
            name = f"{one.label}, seed {one.seed}"
            check_version(journal.root / TRIALS, name, one.versions)
            found[one.label, one.seed] = one
    journal.lock()
    return found


def read_trials(root: Path) -> list[Trial]:
    """Return the trials in ``trials.jsonl``, in order; warn of lines that are none."""
    return records(root / TRIALS, Trial)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The setting that a finished tuning chose.

    Args:
        variant: for a bench, called ``cim tuned`` after its miner.
        design: what the tuning's figures depended on; JSON-like.
    """

    variant: Variant
    design: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "Choice":
        """Return the choice of the tuning in a folder.

        Raises:
            JournalError: if the folder holds no finished tuning.
        """
        path = folder / RESULTS
        try:
            content = parse_json(path.read_bytes())
            best, design = content["settings"][0], dict(content["design"])
            miner = Part.parse(best["miner"])
            overrides = tuple(map(str, best["overrides"]))
        except (FileNotFoundError, NotADirectoryError):
            raise JournalError(
                f"expected the folder of a finished wsis tune, got {folder} without "
                f"{RESULTS}"
            ) from None
        except (ValueError, LookupError, TypeError) as error:
            raise JournalError(
                f"expected what wsis tune writes in {path}, its design and settings "
                f"with their miner and overrides; got something else "
                f"({type(error).__name__}: {error})"
            ) from error
        label = f"{miner.name} tuned"
        variant = Variant(label=label, miner=miner, overrides=overrides)
        return cls(variant=variant, design=design)

    def elsewhere(self, settings: Settings) -> dict[str, tuple[Any, ...]]:
        """Return in which other settings the tuning differed from these."""
        wanted = written(self.variant.settings(settings))
        del wanted["sampler"]  # It may be the miner's own.
        own = {name.partition("=")[0] for name in self.variant.overrides}
        found = differences({key: self.design.get(key) for key in wanted}, wanted)
        return {
            key: value
            for key, value in found.items()
            if key.replace(".settings.", ".") not in own
        }


def chosen(folders: Sequence[Path]) -> list[Choice]:
    """Return the choices of several tunings; those of one miner are told apart.

    Raises:
        JournalError: if a folder holds no finished tuning.
    """
    choices = [Choice.read(folder) for folder in folders]
    labels = [one.variant.label for one in choices]
    return [
        one
        if labels.count(label) == 1
        else replace(
            one,
            variant=replace(one.variant, label=f"{label} ({folder.resolve().name})"),
        )
        for one, label, folder in zip(choices, labels, folders, strict=True)
    ]
