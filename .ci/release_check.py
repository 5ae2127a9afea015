"""Checks that this tree can be released: ``make release-check``.

Version and changelog, wheel and sdist, the public surface, and the docs. Each check
prints a line; the exit code is 1 if one fails.
"""

import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import yaml
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parent.parent
DATE = r"\d{4}-\d{2}-\d{2}"


class ReleaseError(Exception):
    """The tree cannot be released; the message says what to mend."""


def version(root: Path) -> str:
    """Return the version that is or will be tagged.

    It is the commit's tag, if any. CITATION.cff and what pyproject.toml falls back on,
    where neither git nor a tag tells the version, must agree with it.

    Raises:
        ReleaseError: if they do not.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    found = project["tool"]["hatch"]["version"]["fallback-version"]
    cited = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    if str(cited["version"]) != found:
        raise ReleaseError(
            f"CITATION.cff has version {cited['version']}, fallback-version in "
            f"pyproject.toml is {found}; set both to the same"
        )
    tags = tags_of(root)
    if tags and f"v{found}" not in tags:
        raise ReleaseError(
            f"the commit is tagged {', '.join(tags)}, the version is {found}; tag it "
            f"v{found}, or set the version"
        )
    return str(found)


def tags_of(root: Path) -> list[str]:
    """Return the tags of versions at the commit; none outside of git."""
    command = ["git", "-C", str(root), "tag", "--points-at", "HEAD", "v*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.split()


def changelog(root: Path, found: str) -> str:
    """Return what the changelog says of a version.

    A tagged commit needs a dated section; before, [Unreleased] is to become it.

    Raises:
        ReleaseError: if it says nothing.
    """
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = {
        head: body.strip()
        for head, body in re.findall(r"^## (.+)\n((?:(?!## ).*\n?)*)", text, re.M)
    }
    for head, body in sections.items():
        if re.fullmatch(rf"\[{re.escape(found)}\] - {DATE}", head) and body:
            if tags_of(root) or not sections.get("[Unreleased]"):
                return head
            raise ReleaseError(
                f"{found} is in CHANGELOG.md, and [Unreleased] has entries; raise the "
                "versions in CITATION.cff and pyproject.toml"
            )
    if tags_of(root) or not sections.get("[Unreleased]"):
        raise ReleaseError(
            f"CHANGELOG.md has no entries for {found}; expected a section "
            f"'## [{found}] - YYYY-MM-DD'"
        )
    return f"[Unreleased], to be named [{found}] - YYYY-MM-DD before the tag"


def distributions(root: Path, found: str) -> str:
    """Build the wheel and the sdist, and a wheel of the sdist: the same files.

    Raises:
        ReleaseError: if a file is missing, or a version differs.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        wheel, built = wheel_of(root, folder / "wheel")
        [archive] = SdistBuilder(str(root)).build(directory=str(folder))
        with tarfile.open(archive) as content:
            content.extractall(folder / "unpacked", filter="data")
        [unpacked] = (folder / "unpacked").iterdir()
        again, other = wheel_of(unpacked, folder / "again")
    if built != other:
        raise ReleaseError(f"the wheel is of version {built}, the sdist's of {other}")
    if tags_of(root) and built != found:
        raise ReleaseError(
            f"the wheel is of version {built}, the tag of {found}; is it the last tag?"
        )
    here = {
        path.relative_to(root).as_posix()
        for path in (root / "wsis").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    } | {"wsis/cli/troubleshooting.md"}
    for name, files in (("wheel", wheel), ("sdist's wheel", again)):
        if missing := sorted(here - files):
            raise ReleaseError(f"the {name} lacks {', '.join(missing[:3])}")
    if "wsis/py.typed" not in wheel:
        raise ReleaseError("the wheel lacks wsis/py.typed, so that types are not seen")
    return f"{len(wheel)} files, {Path(archive).name}"


def wheel_of(root: Path, folder: Path) -> tuple[set[str], str]:
    """Return the files of the wheel of a tree, and its version."""
    [archive] = WheelBuilder(str(root)).build(directory=str(folder))
    with zipfile.ZipFile(archive) as content:
        names = set(content.namelist())
        [metadata] = [name for name in names if name.endswith("dist-info/METADATA")]
        text = content.read(metadata).decode()
    return names, re.findall(r"^Version: (.+)$", text, re.M)[0]


def command(*words: str) -> str:
    """Run a module of Python; return the last line that it prints.

    Raises:
        ReleaseError: if it fails.
    """
    run = [sys.executable, "-m", *words]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"{' '.join(words)} failed\n{done.stdout}{done.stderr}")
    return (done.stdout.strip().splitlines() or ["ok"])[-1]


def main() -> int:
    """Run all checks; return the exit code."""
    tests = ("tests/test_surface.py", "tests/test_architecture.py")
    found = ""

    def known() -> str:
        nonlocal found
        found = version(ROOT)
        return found

    def docs() -> str:
        with tempfile.TemporaryDirectory() as folder:
            command("mkdocs", "build", "--strict", "--quiet", "--site-dir", folder)
        return "strict"

    checks: dict[str, Callable[[], str]] = {
        "version": known,
        "changelog": lambda: changelog(ROOT, found),
        "wheel and sdist": lambda: distributions(ROOT, found),
        "surface": lambda: command("pytest", "-q", *tests),
        "types": lambda: command("mypy"),
        "docs": docs,
    }
    failed = 0
    for name, check in checks.items():
        try:
            print(f"{name}: {check()}", flush=True)
        except ReleaseError as error:
            print(f"{name}: FAILED: {error}", flush=True)
            failed += 1
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
