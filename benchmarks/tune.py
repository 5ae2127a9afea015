"""Prints the tables of benchmarks/tune.md: python benchmarks/tune.py DIR/tune.json."""

import json
import sys
from pathlib import Path
from typing import Any


def number(value: float | None, digits: int = 2, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.{digits}f}"


def tables(results: dict[str, Any]) -> str:
    verdict, by = results["verdict"], results["by"]
    lines = [
        f"{verdict['settings']} settings: best {verdict['best']:.1f} mAP50, default "
        f"{verdict['default']:.1f}, mean {verdict['mean']:.1f}; regret of the default "
        f"{verdict['default_regret']:.1f}, of a random choice "
        f"{verdict['random_regret']:.1f}.",
        "",
        "| criterion | Spearman (95 %) | Kendall | mAP50 of its choice | regret | over "
        "the default | regret among ten (chance) |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in verdict["criteria"].items():
        ends, few = one["interval"], one["among_few"]
        said = "" if ends is None else f" ({ends[0]:.2f} to {ends[1]:.2f})"
        ten = "–" if few is None else f"{few['chosen']:.1f} ({few['random']:.1f})"
        lines.append(
            f"| {name} | {number(one['spearman'])}{said} | {number(one['kendall'])} | "
            f"{number(one['chosen'], 1)} | {number(one['regret'], 1)} | "
            f"{number(one['gain'], 1, '+')} | {ten} |"
        )
    lines += ["", f"| swept | Spearman with mAP50 | with {by} |", "|---|---|---|"]
    for name, one in results["sensitivity"].items():
        lines.append(f"| {name} | {number(one['mAP50'])} | {number(one[by])} |")
    seconds = results["seconds"]
    lines += [
        "",
        f"Seconds a setting: {seconds['train']:.0f} to train, {seconds['look']:.0f} "
        f"for the criteria, {seconds['judge']:.0f} for the masks.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    for path in sys.argv[1:]:
        print(tables(json.loads(Path(path).read_text())))
