"""Install wsis in new environments and check what users will get.

    python benchmarks/supply.py lowest     # every dependency at its lower bound, tests
    python benchmarks/supply.py newest     # what pip resolves today, tests
    python benchmarks/supply.py wheel      # installed without the source tree
    python benchmarks/supply.py sdist      # likewise
    python benchmarks/supply.py audit      # known vulnerabilities, and licences

``--keep torch torchvision`` leaves the named packages at what pip resolves, where their
older builds are large; ``--tests`` names the tests to run; ``--reuse`` takes all
dependencies from the environment that runs the script, but for those at a lower bound,
where downloading them takes too long. ``wheel`` and ``sdist`` run the README's bench
from an empty folder. Each prints one JSON line last, and exits with 1 where something
fails.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BOUND = re.compile(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?>=([0-9.]+)")
LISTED = """
import json
from importlib.metadata import distributions
print(json.dumps({d.metadata["Name"]: d.version for d in distributions()}))
"""
LICENCES = """
import json
from importlib.metadata import distributions
def licence(about):
    expression = about.get("License-Expression")
    kinds = [one.split(" :: ")[-1] for one in about.get_all("Classifier", [])
             if one.startswith("License ::")]
    text = (about.get("License") or "").strip().splitlines()
    return expression or "; ".join(kinds) or (text[0] if text else "not stated")
print(json.dumps({d.metadata["Name"]: licence(d.metadata) for d in distributions()}))
"""


class Environment:
    """A new virtual environment."""

    def __init__(self, folder: Path, *, reuse: bool) -> None:
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        self.folder, self.bin = folder, folder / "venv/bin"
        if reuse:
            [packages] = folder.glob("venv/lib/*/site-packages")
            # Last on the path, so that what is installed anew comes first.
            (packages / "reused.pth").write_text(sysconfig.get_path("purelib"))

    def run(
        self, *words: object, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run one of its programs in the empty folder."""
        command = [str(self.bin / str(words[0])), *map(str, words[1:])]
        # Without the source tree, wherever the script itself finds it.
        known = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = subprocess.run(
            command,
            cwd=self.folder,
            text=True,
            capture_output=True,
            check=False,
            env=known,
        )
        if check and done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
        return done

    def ask(self, code: str) -> dict[str, str]:
        """Return what a line of Python prints as JSON."""
        return dict(json.loads(self.run("python", "-c", code).stdout))


def bounds(keep: list[str]) -> dict[str, str]:
    """Return the lower bound of every direct dependency, extras of tests included."""
    extras = PROJECT["optional-dependencies"]
    lines = PROJECT["dependencies"] + [
        line
        for name, extra in extras.items()
        if name not in ("docs", "dev", "viewer")
        for line in extra
    ]
    found = {}
    for line in lines:
        match = BOUND.match(line)
        if match and match[1] not in keep:
            found[match[1]] = match[2]
    return found


def tested(
    environment: Environment, keep: list[str], tests: list[str], *, lowest: bool
) -> dict[str, object]:
    """Install with tests' extras, run the tests, and return how they ended."""
    lines, extra, more = [], "test", []
    if lowest:
        # Without the viewer, whose framework asks for newer versions of the others.
        [extras] = re.findall(
            r"wsis\[(.*)\]", PROJECT["optional-dependencies"]["test"][-1]
        )
        extra = ",".join(one for one in extras.split(",") if one != "viewer")
        more = PROJECT["optional-dependencies"]["test"][:-1]
        lines = [f"{name}=={version}" for name, version in bounds(keep).items()]
    constraints = environment.folder / "constraints.txt"
    constraints.write_text("\n".join(lines))
    words = ("install", "-q", "-c", constraints, "-e", f"{ROOT}[{extra}]", *more)
    environment.run("pip", *words)
    words = ["-m", "pytest", "-q", "-n", "2", "--rootdir", ROOT]
    # What the lowest dependencies need is the newest, which deprecates what they call;
    # torch 2.9 warns once of settings that older ones have instead.
    ignored = "ignore::DeprecationWarning", "ignore:Please use the new API settings"
    words += [word for one in ignored for word in ("-W", one)] if lowest else []
    done = environment.run("python", *words, *[ROOT / x for x in tests], check=False)
    tail = done.stdout.strip().splitlines()
    names = {re.match(r"[A-Za-z0-9_.-]+", line)[0] for line in PROJECT["dependencies"]}
    versions = environment.ask(LISTED)
    return {
        "passed": done.returncode == 0,
        "pytest": tail[-1],
        "failed": [line for line in tail if line.startswith(("FAILED", "ERROR"))],
        "versions": {k: v for k, v in sorted(versions.items()) if k in names},
    }


def shipped(environment: Environment, kind: str) -> dict[str, object]:
    """Build a wheel or an sdist, install it, and run the README's bench from it."""
    environment.run("pip", "install", "-q", "build")
    environment.run("python", "-m", "build", f"--{kind}", "-o", "dist", ROOT)
    [built] = (environment.folder / "dist").iterdir()
    environment.run("pip", "install", "-q", f"{built}[pretrained]")
    done = environment.run(
        *("wsis", "bench", "--miners", "cim,mist", "--recipe", "scenes-small"),
        check=False,
    )
    return {
        "passed": done.returncode == 0,
        "file": built.name,
        "bytes": built.stat().st_size,
        "printed": done.stdout.strip().splitlines()[-2:] or done.stderr[-500:],
    }


def audited(environment: Environment) -> dict[str, object]:
    """Return known vulnerabilities and licences of all that an installation brings."""
    environment.run("pip", "install", "-q", ROOT)
    licences = environment.ask(LICENCES)
    frozen = environment.folder / "frozen.txt"
    versions = environment.ask(LISTED)
    frozen.write_text(
        "\n".join(f"{k}=={v}" for k, v in versions.items() if k != "wsis")
    )
    environment.run("pip", "install", "-q", "pip-audit")
    words = ("pip-audit", "-r", frozen, "--no-deps", "--disable-pip", "-f", "json")
    done = environment.run(*words, check=False)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        return {"passed": False, "error": done.stderr[-300:], "licences": licences}
    ids = {
        one["name"]: [vulnerability["id"] for vulnerability in one["vulns"]]
        for one in found
        if one.get("vulns")
    }
    # Without the service, pip-audit ends with 0 and has looked at nothing.
    unknown = [one["name"] for one in found if "skip_reason" in one]
    return {
        "passed": not ids and not unknown,
        "audited": len(found) - len(unknown),
        "not audited": unknown,
        "vulnerabilities": ids,
        "licences": licences,
    }


def main() -> int:
    """Do what is asked for in a new environment."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("lowest", "newest", "wheel", "sdist", "audit"))
    parser.add_argument("--keep", nargs="+", default=[], metavar="PACKAGE")
    parser.add_argument("--tests", nargs="+", default=["tests"], help="paths")
    parser.add_argument("--reuse", action="store_true", help="dependencies from here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environment = Environment(Path(folder), reuse=given.reuse)
        if given.what == "audit":
            found = audited(environment)
        elif given.what in ("wheel", "sdist"):
            found = shipped(environment, given.what)
        else:
            lowest = given.what == "lowest"
            found = tested(environment, given.keep, given.tests, lowest=lowest)
    print(json.dumps({"what": given.what, "kept": given.keep} | found))
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
