"""What a finished tuning chose, read back."""

import json
from pathlib import Path

from wsis.bench import Variant
from wsis.config import Part
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
    except FileNotFoundError:
        raise TuneError(
            f"expected the folder of a finished wsis tune, got {folder} without "
            f"{RESULTS}"
        ) from None
    except (ValueError, LookupError, TypeError) as error:
        raise TuneError(
            f"expected what wsis tune writes in {path}: {error!r}"
        ) from error
    return Variant(label=f"{miner.name} tuned", miner=miner, overrides=overrides)
