"""What a finished tuning chose, read back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsis._support.files import differences
from wsis.experiments import Variant
from wsis.experiments.tuning.folder import TuneError
from wsis.runs.settings import Part, Settings

RESULTS = "tune.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The setting that a tuning chose.

    Args:
        variant: for a bench, called ``cim tuned`` after its miner.
        design: what the tuning's figures depended on; JSON-like.
    """

    variant: Variant
    design: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "Choice":
        """That of the tuning in a folder.

        Raises:
            TuneError: if the folder holds no finished tuning.
        """
        path = folder / RESULTS
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            best, design = content["settings"][0], dict(content["design"])
            miner = Part.parse(best["miner"])
            overrides = tuple(map(str, best["overrides"]))
        except (FileNotFoundError, NotADirectoryError):
            raise TuneError(
                f"expected the folder of a finished wsis tune, got {folder} without "
                f"{RESULTS}"
            ) from None
        except (ValueError, LookupError, TypeError) as error:
            raise TuneError(
                f"expected what wsis tune writes in {path}, its design and settings "
                f"with their miner and overrides; got something else "
                f"({type(error).__name__}: {error})"
            ) from error
        label = f"{miner.name} tuned"
        return cls(
            variant=Variant(label=label, miner=miner, overrides=overrides),
            design=design,
        )

    def elsewhere(self, settings: Settings) -> dict[str, tuple[Any, ...]]:
        """In which settings the tuning differed from these, besides what it chose."""
        wanted = self.variant.settings(settings).resolved()
        del wanted["sampler"]  # It may be the miner's own.
        own = {name.partition("=")[0] for name in self.variant.overrides}
        found = differences({key: self.design.get(key) for key in wanted}, wanted)
        return {
            key: value
            for key, value in found.items()
            if key.replace(".settings.", ".") not in own
        }
