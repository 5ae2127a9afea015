"""Describes classes and functions from their source, without importing it.

What their signature is made of is built anew from the source: fields, defaults, class
variables and the arguments of constructors. Code that calls anything is refused, and no
body of a function is kept, so nothing runs that an import would not run.
"""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from itertools import pairwise
from pathlib import Path
from typing import Any

_Definition = ast.ClassDef | ast.FunctionDef

_LIGHT = ("collections.abc", "dataclasses", "pathlib", "typing")
"""Modules whose names may be used; they are imported anyway."""


class UnreadableError(Exception):
    """The source alone does not tell; the import does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A class or function as its users see it.

    Args:
        doc: its docstring.
        parameters: of the function or constructor, by name.
        constants: other public attributes of a class, by name.
    """

    doc: str
    parameters: dict[str, inspect.Parameter]
    constants: dict[str, Any]

    @classmethod
    def of(cls, part: Any) -> "Description":
        """Describe a class or function that is imported or built."""
        taken = dict(inspect.signature(part).parameters)
        public = [key for key in dir(part) if key[0] != "_" and key not in taken]
        constants = {key: getattr(part, key) for key in public}
        return cls(
            doc=inspect.getdoc(part) or "", parameters=taken, constants=constants
        )


@cache
def describe(module: str, name: str) -> Description:
    """Return the description of a class or function; imports no part of its package.

    Raises:
        UnreadableError: if it cannot be told from the source.
    """
    try:
        return Description.of(_Source.of(module).value(name, build=True))
    except Exception as error:  # whatever is odd about other people's source
        raise UnreadableError(f"{module}:{name}") from error


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """The top level of a source file: definitions, assignments and imports by name."""

    names: dict[str, ast.stmt]

    @staticmethod
    @cache
    def of(name: str) -> "_Source":
        text = Path(str(_spec(name).origin)).read_text(encoding="utf-8")
        return _Source(dict(_named(ast.parse(outline(text)).body)))

    def value(self, name: str, *, build: bool = False) -> Any:
        """Evaluate a name; a definition only where it is to be built.

        Anywhere else a definition that is built would not be the one that is imported.
        """
        match self.names[name]:
            case ast.ImportFrom(module=str(module), names=aliases, level=0):
                [original] = [x.name for x in aliases if name in (x.asname, x.name)]
                if module in _LIGHT:
                    return getattr(importlib.import_module(module), original)
                return _Source.of(module).value(original, build=build)
            case ast.Assign(value=code) | ast.AnnAssign(value=ast.expr() as code):
                return self._run(ast.Expression(code), "eval", {})
            case ast.ClassDef(bases=[ast.Name(id="Protocol")]):
                return object  # Parts check themselves what keeps to it.
            case ast.ClassDef() | ast.FunctionDef() as node if build:
                return self._built(node)
        raise UnreadableError(name)

    def _built(self, node: _Definition) -> Any:
        """Build a definition that has a docstring, and apply ``dataclass`` to it."""
        if ast.get_docstring(node) is None:
            raise UnreadableError(node.name)
        bare, space = _bare(node), {}
        if isinstance(bare, ast.ClassDef):
            space = {x: self.value(x, build=True) for x in map(ast.unparse, bare.bases)}
        self._run(ast.Module([bare], type_ignores=[]), "exec", space)
        built = space[node.name]
        for one in node.decorator_list:
            call = one if isinstance(one, ast.Call) else ast.Call(one, [], [])
            if self.value(ast.unparse(call.func)) is not dataclass:
                raise UnreadableError(node.name)
            given = {x.arg: ast.literal_eval(x.value) for x in call.keywords}
            # Without what nobody asks for, it is made in a third of the time.
            told = {x: given[x] for x in ("init", "kw_only") if x in given}
            built = dataclass(built, eq=False, repr=False, **told)
        return built

    def _run(self, code: Any, mode: str, space: dict[str, Any]) -> Any:
        """Run code that calls nothing, with the names that it uses."""
        for one in ast.walk(code):
            match one:
                case ast.Call() | ast.Await() | ast.NamedExpr() | ast.comprehension():
                    raise UnreadableError(ast.unparse(one))
                case ast.Name(id=name, ctx=ast.Load()) if name in self.names:
                    if name not in space:
                        space[name] = self.value(name)
        return eval(compile(code, "<source>", mode), space)


_SIGN = re.compile(
    r"""
    \"{3} [^"\\]*+ (?: (?s: \\. | "(?!"") ) [^"\\]*+ )*+ \"{3}
    | '{3} [^'\\]*+ (?: (?s: \\. | '(?!'') ) [^'\\]*+ )*+ '{3}
    | " [^"\\\n]*+ (?: (?s: \\. ) [^"\\\n]*+ )*+ "
    | ' [^'\\\n]*+ (?: (?s: \\. ) [^'\\\n]*+ )*+ '
    | \# [^\n]*+ | \\ \n
    | (?P<open> [(\[{] ) | (?P<close> [)\]}] )
    | \n (?P<indent> [ \t\f]*+ ) (?= [^\s\#] )
    """,
    re.VERBOSE,
)
"""Strings, comments and joined lines, whose signs do not count; brackets; new lines."""


def outline(text: str) -> str:
    """Return a source without what its functions do; docstrings stay.

    Parsing that took most of the time in which parts are listed.
    """
    depth, starts = 0, [(0, 0)]
    for found in _SIGN.finditer(text):
        match found.lastgroup:
            case "open":
                depth += 1
            case "close":
                depth -= 1
            case "indent" if not depth:
                starts.append((found.start("indent"), len(found["indent"])))
    if depth:
        return text  # Strings within strings, as Python 3.12 has them, are not seen.
    kept: list[str] = []
    function: int | None = None  # indent of the one whose body is left out
    for (start, indent), (end, _) in pairwise([*starts, (len(text), 0)]):
        line = text[start:end]
        if function is None or indent <= function:
            begins = line.startswith(("def ", "async def "), indent)
            function, first = indent if begins else None, True
            kept.append(line)
        elif first:
            first = False
            told = line[indent:].lstrip("rRuU")[0] in "\"'"
            kept.append(line if told else f"{line[:indent]}...\n")
    return "".join(kept)


@cache
def _spec(name: str) -> ModuleSpec:
    """Find a module's file; unlike importlib's own, imports none of its packages."""
    package = name.rpartition(".")[0]
    places = _spec(package).submodule_search_locations if package else None
    spec = PathFinder.find_spec(name, places) if places or not package else None
    if spec is None:
        raise UnreadableError(name)
    return spec


def _named(body: list[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    for node in body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                yield name, node
            case ast.Assign(targets=[ast.Name(id=name)]):
                yield name, node
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name, node
            case ast.ImportFrom():
                yield from ((one.asname or one.name, node) for one in node.names)
            case ast.If(test=test) if "TYPE_CHECKING" in ast.unparse(test):
                yield from _named(node.body)


def _bare(node: _Definition) -> _Definition:
    """Return what a definition's signature and docstring are made of."""
    if isinstance(node, ast.FunctionDef):
        empty: list[ast.stmt] = [ast.copy_location(ast.Pass(), node)]
        docstring = node.body[:1] if ast.get_docstring(node) else empty
        return _copy(node, body=docstring, decorator_list=[], returns=None)
    body, bases = node.body[:1], node.bases
    for line in node.body[1:]:
        match line:
            case ast.FunctionDef(name="__init__"):
                body.append(_bare(line))
                bases = []  # What they take does not matter then.
            case ast.FunctionDef(name="__new__"):
                raise UnreadableError(node.name)
            case ast.AnnAssign(target=at, annotation=said, value=ast.expr() as value):
                constant = ast.unparse(said).startswith("ClassVar")
                plain = ast.copy_location(ast.Assign([at], value), line)
                body.append(plain if constant else line)
            case ast.Assign(targets=[ast.Name(id=name)]) if name[0] != "_":
                body.append(line)
            case ast.AnnAssign() if node.decorator_list:
                body.append(line)
    return _copy(node, bases=bases, keywords=[], body=body, decorator_list=[])


def _copy(node: _Definition, **changed: Any) -> _Definition:
    """Return a copy with its place in the source, which compiling asks for."""
    found = copy(node)
    vars(found).update(changed)
    return found
