import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import wsis

PACKAGE = Path(wsis.__file__).parent

GOLDEN = Path(__file__).parent / "surface.txt"
"""Every public name by room; whoever changes one changes the changelog."""


def test_the_public_names_are_those_agreed_on():
    page = PACKAGE.parent / "docs" / "reference.md"
    rooms = re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.M)
    found = "".join(
        f"{room}\n" + "".join(f"    {name}\n" for name in names(room)) for room in rooms
    )

    assert found == GOLDEN.read_text(encoding="utf-8"), (
        "public names changed: mend this file, and tell users in CHANGELOG.md"
    )


def names(room):
    return importlib.import_module(room).__all__


def test_a_notebook_needs_few_names():
    assert 25 <= len(wsis.__all__) <= 30
    assert all(hasattr(wsis, name) for name in wsis.__all__)


ROOMS = sorted(path.parent.name for path in PACKAGE.glob("[a-z]*/__init__.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_lists_its_public_names(room):
    """Each is there, sorted, and imported when it is first asked for."""
    module = importlib.import_module(f"wsis.{room}")

    assert module.__all__ == sorted(module.__all__, key=as_ruff)
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = module.nothing


def as_ruff(name):
    """Constants come first, then classes, then the others."""
    return not name.isupper(), not name[0].isupper(), name


def test_no_public_name_is_that_of_a_file_in_its_room():
    """Importing the file would put the module in the name's place."""
    clashes = [
        f"{room.parent.relative_to(PACKAGE)}: {name}"
        for room in PACKAGE.rglob("__init__.py")
        if room.parent != PACKAGE
        for name in exported(room)
        if (room.parent / f"{name}.py").exists() or (room.parent / name).is_dir()
    ]

    assert clashes == []


def exported(room):
    """The names in ``__all__`` of a room's file."""
    for node in ast.parse(room.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            yield from ast.literal_eval(node.value)


def test_private_files_stay_in_their_room():
    """A file with an underscore is imported by its own room alone."""
    outside = [
        f"{path.relative_to(PACKAGE)} imports {module}"
        for path in PACKAGE.rglob("*.py")
        for module in imported(path)
        if (parts := module.split("."))[1:2] != ["_support"]
        and any(part.startswith("_") for part in parts)
        and path.relative_to(PACKAGE).parts[0] != parts[1]
    ]

    assert outside == []


def test_files_of_one_room_alone_are_private():
    """A file without an underscore is exported, registered, or used by other rooms."""
    registered = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    users = {}
    for path in PACKAGE.rglob("*.py"):
        user = path.relative_to(PACKAGE).parts[0]
        for module in imported(path):
            outside = "__init__" if path.name == "__init__.py" else user
            users.setdefault(module, set()).add(outside)
    inner = [
        module
        for path in PACKAGE.rglob("[a-z]*.py")
        if len(parts := path.relative_to(PACKAGE).with_suffix("").parts) > 1
        and parts[0] not in ("cli", "_support")
        and (module := ".".join(("wsis", *parts))) not in registered
        and users.get(module, set()) <= {parts[0]}
    ]

    assert inner == []


def imported(path):
    """The modules of the package that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("wsis."):
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_there_are_at_most_18_folders_and_modules():
    rooms = [one for one in pkgutil.iter_modules(wsis.__path__) if one.name[0] != "_"]

    # And the one that is for all of them, _support.
    assert len(rooms) + 1 <= 18


def test_the_command_line_is_used_by_its_door():
    """Tests and benchmarks need the library or the commands, not what is between."""
    root = PACKAGE.parent
    inside = [
        f"{path.relative_to(root)} imports {module}"
        for folder in ("benchmarks", "docs", "examples", "tests")
        for path in (root / folder).rglob("*.py")
        for module in imported(path)
        if module.startswith("wsis.cli.") and module != "wsis.cli.app"
    ]

    assert inside == []


def test_work_on_proposals_waits_for_no_torchvision():
    code = (
        "import sys, wsis.proposals.making, wsis.proposals.hed, "
        "wsis.proposals.grouping; sys.exit('torchvision' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_docstrings_begin_with_what_a_thing_does_or_is():
    """Not with a question: "Return the proposals", not "Which proposals"."""
    asking = [
        f"{path.relative_to(PACKAGE)}: {summary}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and (summary := (ast.get_docstring(node) or "").partition("\n")[0])
        and summary.split()[0] in {"What", "Which", "Where", "Whether", "How"}
    ]

    assert asking == []


@pytest.mark.parametrize("room", [*ROOMS, ""])
def test_public_functions_take_paths_as_text_too(room):
    module = importlib.import_module(f"wsis.{room}".rstrip("."))
    functions = [
        one
        for name in module.__all__
        if inspect.isfunction(one := getattr(module, name))
    ]
    takers = {
        f"{one.__module__}.{one.__name__}({name})"
        for one in functions
        for name, of in inspect.signature(one).parameters.items()
        if "Path" in str(of.annotation) and "str" not in str(of.annotation)
    }
    assert takers == set()


@pytest.mark.parametrize("room", ["wsis", "wsis.mining", "wsis.experiments"])
def test_dir_has_the_public_names_before_they_are_loaded(room):
    module = importlib.import_module(room)

    assert {*module.__all__} <= {*dir(module)}
