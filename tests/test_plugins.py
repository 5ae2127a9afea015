import ast
import inspect
import os
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wsis import plugins
from wsis._support import static
from wsis._support.static import UnreadableError
from wsis.cli import app
from wsis.plugins import SettingError, UnknownPartError

TESTS = Path(__file__).parent


def test_an_unknown_name_lists_the_right_ones():
    with pytest.raises(
        UnknownPartError, match=r"mean 'cim'.*apart, cim, mist, oicr, pcl"
    ):
        plugins.find("miners", "cmi")


def test_settings_given_as_text_are_read_as_their_type():
    assert plugins.create("miners", "cim", {"p_seed": "0.25"}).p_seed == 0.25


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"p_sed": 0.1}, "no setting 'p_sed'.*did you mean 'p_seed'"),
        ({"p_seed": "many"}, "p_seed.*number"),
        ({"p_seed": 2.0}, "p_seed"),
    ],
)
def test_wrong_settings_name_themselves(values, message):
    with pytest.raises(SettingError, match=message):
        plugins.create("miners", "cim", values)


def test_a_setting_of_another_part_is_said_to_be_its_own():
    for key, others in (("nodes", "region_tree"), ("near", None)):
        with pytest.raises(SettingError) as caught:
            plugins.create("sources", "lab", {key: 3})
        which = f"no setting '{key}'" + (f", which {others} has" if others else "")
        assert f"{which}; its settings are: contours" in str(caught.value)


def test_a_setting_without_default_is_asked_for():
    with pytest.raises(SettingError, match="needs the setting 'channels'"):
        plugins.create("heads", "mask_pool")


def test_two_parts_of_one_name_are_refused(monkeypatch):
    points = [EntryPoint("cim", f"{p}:Miner", "wsis.miners") for p in ("a", "b")]
    monkeypatch.setattr(plugins, "_installed", lambda: EntryPoints(points))
    plugins._registered.cache_clear()

    with pytest.raises(LookupError, match="two miners are called 'cim': a:Miner"):
        plugins.names("miners")
    plugins._registered.cache_clear()


def test_where_wsis_is_not_installed_the_message_says_so(monkeypatch):
    plugins._registered.cache_clear()
    monkeypatch.setattr(plugins, "_installed", lambda: EntryPoints([]))

    with pytest.raises(LookupError, match=r"no miners are installed; .*pip install"):
        plugins.find("miners", "cim")
    told = CliRunner().invoke(app, ["doctor"])
    plugins._registered.cache_clear()

    assert "parts: BROKEN: none is installed; parts are found where wsis" in told.output
    assert told.exit_code == 1


def test_a_third_partys_miner_shows_up_and_conforms(tmp_path):
    """A package that ``wsis new`` wrote installs and passes its own test as it is."""
    package, installed = tmp_path / "largest", tmp_path / "installed"
    environment = {**os.environ, "PYTHONPATH": f"{installed}:{TESTS.parent}"}

    def output(*command, folder=tmp_path):
        run = [sys.executable, "-m", *map(str, command)]
        done = subprocess.run(
            run, env=environment, capture_output=True, text=True, cwd=folder
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    output("wsis", "new", "miner", "largest")
    pip = ["pip", "install", "--quiet", "--no-deps", "--no-index"]
    pip += ["--no-build-isolation", "--disable-pip-version-check"]
    output(*pip, "--target", installed, package)

    parts = output("wsis", "parts", "miners")
    conformance = "tests/test_conformance.py::test_miners[largest]"
    tests = output("pytest", "-q", conformance, package, folder=TESTS.parent)

    assert "largest: Takes one proposal a class" in parts
    assert "gamma = 0.5" in parts
    assert "5 passed" in tests


PARTS = [(kind, name) for kind in plugins.KINDS for name in plugins.names(kind)]


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_what_the_source_tells_is_what_the_import_tells(kind, name):
    point = plugins._registered(kind)[name]
    try:
        read = static.describe(point.module, point.attr)
    except UnreadableError:
        assert not point.value.startswith("wsis."), "a part of wsis loads torch to list"
        pytest.skip("its source does not tell; plugins imports it")
    part = point.load()

    assert read.doc == inspect.getdoc(part)
    # A protocol is anything at all, as its source tells no instance of it.
    imported = {
        name: str(one).replace("wsis.contracts.Contours", "object")
        for name, one in inspect.signature(part).parameters.items()
    }
    assert {name: str(one) for name, one in read.parameters.items()} == imported
    # Also in the same order, which equal dicts need not have.
    assert list(read.parameters) == list(inspect.signature(part).parameters)
    assert read.constants == {key: getattr(part, key) for key in read.constants}


PACKAGE = {
    "base": """
from dataclasses import dataclass
from typing import ClassVar, Literal

SIDE = 4
Way = Literal["up", "down"]

@dataclass(frozen=True)
class Base:
    '''Has a field.'''
    sampler: ClassVar[str] = "none"
    way: Way = "up"
    size: tuple[int, ...] = (SIDE, -2 * SIDE)
""",
    "room": """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from acme_static.part import Part
raise ImportError("imported")
""",
    "part": """
from dataclasses import dataclass, field
from pathlib import Path
from acme_static.base import SIDE, Base
raise ImportError("imported")

@dataclass(frozen=True, kw_only=True)
class Part(Base):
    '''Has more.

    In detail.
    '''
    sampler = "mine"
    folder: Path | None = None
    size: tuple[int, ...] = (SIDE,)

@dataclass
class Made:
    '''Is made by calls.'''
    values: list = field(default_factory=list)

def build(name: str, *, count: int = SIDE // 2 if SIDE else 1): ...

class Plain(dict):
    '''Takes what a dict takes.'''
""",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "acme_static"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise ImportError('imported')")
    for name, text in PACKAGE.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_a_source_is_read_through_bases_aliases_and_rooms(package):
    found = static.describe("acme_static.room", "Part")

    assert found.doc == "Has more.\n\nIn detail."
    assert found.constants == {"sampler": "mine"}
    told = [
        (one.name, one.default, str(one.annotation))
        for one in found.parameters.values()
    ]
    assert told == [
        ("way", "up", "typing.Literal['up', 'down']"),
        ("size", (4,), "tuple[int, ...]"),
        ("folder", None, "pathlib.Path | None"),
    ]


ODD = """
TEMPLATE = '''
class Part:
    def run(self):
    "no class of this module"
'''
class Part:
\t'Has "odd" signs: (.'  # so has this: @@@ [
\tside: int = (
4
)
\tdef run(self,
  word=")",
): return word
\tasync def wait(self):
\t\t# No docstring.
\t\tfor one in "ab": print(
    one)
\tdef tell(self):
\t\tr@@@Tells \\\\@@@
\t\twhile True:
\t\t\tdef inner(): @@@
def outer(): pass
@@@
\ttail = "last" \\
 "words"
other = 3
""".replace("@@@", '"""')


def test_an_outline_lacks_what_functions_do_and_nothing_else():
    expected = ast.parse(ODD)
    [_, part, _] = expected.body
    _, wait, tell = (x for x in part.body if isinstance(x, FUNCTIONS))
    wait.body, tell.body = [ast.Expr(ast.Constant(...))], tell.body[:1]

    assert ast.unparse(ast.parse(static.outline(ODD))) == ast.unparse(expected)


FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


@pytest.mark.parametrize("file", sorted(TESTS.parent.glob("wsis/*/*.py"))[::5])
def test_an_outline_of_any_source_is_its_definitions(file):
    text = file.read_text(encoding="utf-8")
    found, expected = ast.parse(static.outline(text)), ast.parse(text)
    for node in [*ast.walk(found), *ast.walk(expected)]:
        if isinstance(node, FUNCTIONS):
            node.body = node.body[:1] if ast.get_docstring(node) else [ast.Pass()]

    assert ast.dump(found) == ast.dump(expected)


def test_a_source_whose_strings_are_not_understood_is_kept_whole():
    text = "def f():\n    return 1\nx = f'{len(\"')\"'\n"

    assert static.outline(text) == text


@pytest.mark.parametrize("name", ["Made", "build", "Plain", "Nothing"])
def test_what_the_source_does_not_tell_is_left_to_the_import(package, name):
    with pytest.raises(UnreadableError):
        static.describe("acme_static.part", name)


def test_values_are_written_as_options_take_them():
    assert plugins.text((576, 384)) == "576,384"
    assert plugins.text(None) == "none"
