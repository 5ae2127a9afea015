"""Prints results of ``wsis bench`` as the Markdown of benchmarks/README.md.

python benchmarks/table.py wsis-bench
"""

import argparse
import json
from pathlib import Path
from statistics import fmean

from wsis.experiments import METRICS, Row, table


def cell(row: Row, metric: str) -> str:
    """Mean, and deviation over seeds where there are several; in percent."""
    if metric not in row.mean:
        return ""
    deviation = row.deviation.get(metric)
    spread = "" if deviation is None else f" ± {deviation:.1f}"
    return f"{row.mean[metric]:.1f}{spread}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="what wsis bench wrote")
    results = json.loads((parser.parse_args().folder / "results.json").read_text())
    data, runs = results["data"], results["runs"]
    columns = [*METRICS, "ABO"]
    print(
        f"| {data['name']} | seeds | {' | '.join(columns)} | train s | predict s | MB |"
    )
    print("|---|" + "---|" * (len(columns) + 4))
    for row in table(results):
        mine = [run for run in runs if run["miner"] == row.name]
        costs = [
            f"{fmean(run[key] for run in mine):.0f}" if mine else ""
            for key in ("train_seconds", "predict_seconds", "peak_memory_mb")
        ]
        figures = [cell(row, metric) for metric in columns]
        seeds = str(row.seeds) if mine else ""
        print(f"| {' | '.join([row.name, seeds, *figures, *costs])} |")
    versions = (f"{name} {value}" for name, value in results["versions"].items())
    print(
        f"\n{data['train_images']} training and {data['val_images']} validation "
        f"images, {len(data['classes'])} classes; proposals and features took "
        f"{results['prepare_seconds']:.0f} s; settings "
        f"{results['settings_hash']}; {', '.join(versions)}"
    )


if __name__ == "__main__":
    main()
