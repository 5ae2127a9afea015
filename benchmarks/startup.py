"""Times the commands that need no network, against importing typer and pydantic.

    python benchmarks/startup.py

Prints a JSON line for each command: median seconds over ``--repeats`` runs, and last
their ratios to ``python -c "import typer, pydantic"``. Commands take turns, so that a
busy machine slows all of them alike. Modules are compiled once, as for users, whatever
PYTHONDONTWRITEBYTECODE says here.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from statistics import median

BASE = ("-c", "import typer, pydantic")
COMMANDS = (
    ("--version",),
    ("--help",),
    ("bench", "--help"),
    ("recipe", "list"),
    ("recipe", "show", "voc12-cim-r50"),
    ("parts",),
    ("parts", "miners"),
)
LIMIT = 3.0
"""The highest ratio that a command should have."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    names = {" ".join(("wsis", *one)): ("-m", "wsis", *one) for one in COMMANDS}
    calls = {"import typer, pydantic": BASE, **names}
    taken: dict[str, list[float]] = {name: [] for name in calls}
    with tempfile.TemporaryDirectory() as compiled:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for call in calls.values():
            seconds(call, environment)  # Writes .pyc files and fills the disk's cache.
        for _ in range(repeats):
            for name, call in calls.items():
                taken[name].append(seconds(call, environment))
    middle = {name: median(values) for name, values in taken.items()}
    for name, value in middle.items():
        print(json.dumps({"command": name, "seconds": round(value, 3)}))
    base = middle.pop("import typer, pydantic")
    ratios = {name: round(value / base, 2) for name, value in middle.items()}
    print(json.dumps({"ratios": ratios, "highest": max(ratios.values())}))
    if max(ratios.values()) > LIMIT:
        sys.exit(f"expected at most {LIMIT:g} times the import, got {ratios}")


def seconds(call: tuple[str, ...], environment: dict[str, str]) -> float:
    """Run Python and return how long it took."""
    command = [sys.executable, *call]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
