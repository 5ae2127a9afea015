"""What a finished tuning chose, read back."""

import json
from pathlib import Path
from typing import Any

from wsis.bench import Variant
from wsis.bench.design import differences
from wsis.config import Part, Settings
from wsis.tune.folder import TuneError

RESULTS = "tune.json"


def chosen(folder: Path) -> Variant:
    """The setting that the tuning in a folder chose, as a variant for a bench.

    Returns:
        The variant, called ``cim tuned`` after its miner.

    Raises:
        TuneError: if the folder holds no finished tuning.
    """
    path = folder / RESULTS
    try:
        best = json.loads(path.read_text(encoding="utf-8"))["settings"][0]
        miner, overrides = Part.parse(best["miner"]), tuple(map(str, best["overrides"]))
    except (FileNotFoundError, NotADirectoryError):
        raise TuneError(
            f"expected the folder of a finished wsis tune, got {folder} without "
            f"{RESULTS}"
        ) from None
    except (ValueError, LookupError, TypeError) as error:
        raise TuneError(
            f"expected what wsis tune writes in {path}, settings with their miner and "
            f"overrides; got something else ({type(error).__name__}: {error})"
        ) from error
    return Variant(label=f"{miner.name} tuned", miner=miner, overrides=overrides)


def elsewhere(folder: Path, settings: Settings) -> dict[str, tuple[Any, ...]]:
    """In which settings a tuning differs from others, besides what it chose.

    Raises:
        TuneError: if the folder holds no finished tuning.
    """
    variant = chosen(folder)
    design = json.loads((folder / RESULTS).read_text(encoding="utf-8"))["design"]
    wanted = variant.settings(settings).resolved()
    del wanted["sampler"]  # It may be the miner's own.
    own = {name.partition("=")[0] for name in variant.overrides}
    found = differences({key: design.get(key) for key in wanted}, wanted)
    return {
        key: value
        for key, value in found.items()
        if key.replace(".settings.", ".") not in own
    }
