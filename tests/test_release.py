"""``make release-check`` refuses a tree whose version or changelog is not ready."""

import re
import shutil
import subprocess
from importlib.metadata import version

import pytest
import yaml

from tests.test_docs import ROOT, script
from wsis import __version__

check = script(".ci/release_check.py")


@pytest.fixture
def tree(tmp_path):
    """A repository with what is checked before anything is built."""
    (tmp_path / "pyproject.toml").write_text(
        '[tool.hatch.version]\nfallback-version = "1.2.0"\n'
    )
    (tmp_path / "CITATION.cff").write_text("version: 1.2.0\n")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n\n- New.\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "All"]):
        git(tmp_path, *words)
    return tmp_path


def git(folder, *words):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", folder, *who, *words], check=True)


def test_before_the_tag_unreleased_entries_are_enough(tree):
    assert check.version(tree) == "1.2.0"
    assert "to be named [1.2.0]" in check.changelog(tree, "1.2.0")


def test_a_tagged_commit_needs_its_version_and_a_dated_section(tree):
    git(tree, "tag", "v1.2.0")

    assert check.version(tree) == "1.2.0"
    with pytest.raises(check.ReleaseError, match=r"no entries for 1.2.0; expected"):
        check.changelog(tree, "1.2.0")
    text = "# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2026-11-27\n\n- New.\n"
    (tree / "CHANGELOG.md").write_text(text)
    assert check.changelog(tree, "1.2.0") == "[1.2.0] - 2026-11-27"


def test_another_tag_and_another_citation_are_refused(tree):
    git(tree, "tag", "v1.3.0")
    with pytest.raises(check.ReleaseError, match=r"tagged v1.3.0, the version is 1.2"):
        check.version(tree)
    (tree / "CITATION.cff").write_text("version: 1.1.0\n")
    with pytest.raises(check.ReleaseError, match=r"CITATION.cff has version 1.1.0"):
        check.version(tree)


def test_a_released_version_with_new_entries_is_to_be_raised(tree):
    with (tree / "CHANGELOG.md").open("a") as file:
        file.write("\n## [1.2.0] - 2026-11-27\n\n- Old.\n")

    with pytest.raises(check.ReleaseError, match="raise the versions"):
        check.changelog(tree, "1.2.0")


def test_an_empty_changelog_is_refused(tree):
    (tree / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n")

    with pytest.raises(check.ReleaseError, match=r"no entries for 1.2.0"):
        check.changelog(tree, "1.2.0")


def test_this_tree_has_a_wheel_with_all_its_files():
    pytest.importorskip("hatch_vcs", reason="the extra 'test' is not installed")

    assert "files, wsis-" in check.distributions(ROOT, check.version(ROOT))


PYPROJECT = """
[build-system]
requires = ["hatchling", "hatch-vcs"]
build-backend = "hatchling.build"
[project]
name = "wsis"
dynamic = ["version"]
"""


@pytest.fixture
def package(tree):
    """The repository with a package whose version is told as this one's is."""
    pytest.importorskip("hatch_vcs", reason="the extra 'test' is not installed")
    own = (ROOT / "pyproject.toml").read_text()
    told = re.search(r"\[tool\.hatch\.version\](?s:.+?)(?=\[tool\.hatch\.build)", own)[
        0
    ]
    told = re.sub(r'(?<=fallback-version = )".+"', '"1.2.0"', told)
    (tree / "pyproject.toml").write_text(PYPROJECT + told)
    (tree / "wsis").mkdir()
    (tree / "wsis/__init__.py").touch()
    git(tree, "add", ".")
    git(tree, "commit", "-q", "-m", "A package")
    return tree


def test_the_last_tag_is_the_version_and_without_one_there_is_another(
    package, tmp_path
):
    def built(name):
        return check.wheel_of(package, tmp_path / name)[1]

    assert built("untagged") == "1.2.0"
    git(package, "tag", "data-7.0")
    git(package, "tag", "v1.3.0")
    assert built("tagged") == "1.3.0"
    (package / "wsis/__init__.py").write_text("# Changed.")
    git(package, "commit", "-q", "-a", "-m", "More")
    assert built("later") == "1.3.0"
    shutil.rmtree(package / ".git")
    assert built("zip") == "1.2.0"


def test_the_citation_names_this_version_and_the_paper():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())

    assert {"cff-version", "message", "title", "authors"} <= cited.keys()
    assert cited["version"] == check.version(ROOT)
    assert __version__ == version("wsis")
    assert cited["license"] == "Apache-2.0"
    [paper] = cited["references"]
    assert paper["title"].startswith("Complete Instances Mining")
    assert [one["family-names"] for one in paper["authors"]] == [
        "Li",
        "Zeng",
        "Liang",
        "Yu",
    ]
