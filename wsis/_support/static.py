"""Describes classes and functions from their source, without importing it."""

import ast
import builtins
import importlib
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from inspect import Parameter
from pathlib import Path
from typing import Any

_TYPES = ("bool", "dict", "float", "frozenset", "int", "list", "set", "str", "tuple")
_LIGHT = ("collections.abc", "pathlib", "typing")
"""Modules whose names may be used in annotations; they are imported anyway."""

_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.BitOr: operator.or_,
    ast.USub: operator.neg,
}


class UnreadableError(Exception):
    """The source alone does not tell; the import does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A class or function as its users see it.

    Args:
        doc: its docstring.
        parameters: of the function or constructor, by name.
        constants: class variables, by name.
    """

    doc: str
    parameters: dict[str, Parameter]
    constants: dict[str, Any] = field(default_factory=dict)


def describe(module: str, name: str) -> Description:
    """Return the description of a class or function; imports no part of its package.

    Raises:
        UnreadableError: if it cannot be told from the source.
    """
    source, node = _Module.of(module).resolve(name)
    doc = ast.get_docstring(node) if isinstance(node, _DEFINITIONS) else None
    if doc is None:
        raise UnreadableError(name)
    if isinstance(node, ast.FunctionDef) and not node.decorator_list:
        found = {one.name: one for one in _arguments(source, node)}
        return Description(doc=doc, parameters=found)
    if isinstance(node, ast.ClassDef):
        parameters, constants = _class(source, node)
        # As dataclasses order them: keyword-only fields come last.
        ordered = sorted(parameters, key=lambda one: one.kind)
        named = {one.name: one for one in ordered}
        return Description(doc=doc, parameters=named, constants=constants)
    raise UnreadableError(name)


_DEFINITIONS = (ast.ClassDef, ast.FunctionDef)


@dataclass(frozen=True, slots=True, eq=False)
class _Module:
    """The top level of a source file: definitions, assignments and imports by name."""

    name: str
    names: dict[str, ast.stmt]

    @staticmethod
    @cache
    def of(name: str) -> "_Module":
        path = Path(str(_spec(name).origin))
        if path.suffix != ".py":
            raise UnreadableError(name)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        return _Module(name, dict(_named(tree.body)))

    def resolve(self, name: str) -> tuple["_Module", ast.stmt]:
        """Follow imports to where a name is defined."""
        node = self.names.get(name)
        if node is None:
            raise UnreadableError(f"{self.name}:{name}")
        if not isinstance(node, ast.ImportFrom):
            return self, node
        if node.level or node.module is None:
            raise UnreadableError(f"{self.name}:{name}")
        [original] = [one.name for one in node.names if name in (one.name, one.asname)]
        return _Module.of(node.module).resolve(original)

    def value(self, node: ast.expr | None) -> Any:
        """Evaluate literals, names of literals, and annotations made of plain types."""
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Tuple(elts=elements):
                return tuple(self.value(one) for one in elements)
            case ast.List(elts=elements):
                return [self.value(one) for one in elements]
            case ast.UnaryOp(op=op, operand=one) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](self.value(one))
            case ast.BinOp(left=one, op=op, right=other) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](self.value(one), self.value(other))
            case ast.Subscript(value=one, slice=index):
                return self.value(one)[self.value(index)]
            case ast.Name(id=name) if name in _TYPES and name not in self.names:
                return getattr(builtins, name)
            case ast.Name(id=name):
                origin = self.names.get(name)
                if isinstance(origin, ast.ImportFrom) and origin.module in _LIGHT:
                    return getattr(importlib.import_module(origin.module), name)
                where, found = self.resolve(name)
                if isinstance(found, ast.Assign | ast.AnnAssign):
                    return where.value(found.value)
        raise UnreadableError(ast.unparse(node) if node else "no value")


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
            case ast.ClassDef() | ast.FunctionDef():
                yield node.name, node
            case ast.Assign(targets=[ast.Name(id=name)]):
                yield name, node
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name, node
            case ast.ImportFrom():
                yield from ((one.asname or one.name, node) for one in node.names)
            case ast.If(test=test) if "TYPE_CHECKING" in ast.unparse(test):
                yield from _named(node.body)


def _class(
    source: _Module, node: ast.ClassDef
) -> tuple[list[Parameter], dict[str, Any]]:
    """Read constructor and class variables of a class, those of its bases first."""
    keywords_only = [_dataclass(source, one) for one in node.decorator_list]
    parameters: dict[str, Parameter] = {}
    constants: dict[str, Any] = {}
    constructs = any(getattr(line, "name", "") == "__init__" for line in node.body)
    # With a constructor of its own, what its bases take does not matter.
    for base in [] if constructs else reversed(node.bases):
        inherited, variables = _class(*_base(source, base))
        parameters |= {one.name: one for one in inherited}
        constants |= variables
    kind = Parameter.KEYWORD_ONLY if any(keywords_only) else _PLAIN
    for line in node.body:
        match line:
            case ast.FunctionDef(name="__init__"):
                _, *own = _arguments(source, line)
                parameters = {one.name: one for one in own}
            case ast.FunctionDef(name="__new__"):
                raise UnreadableError(node.name)
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name[0] != "_":
                constants[name] = source.value(value)
            case ast.AnnAssign(target=ast.Name(id=name), annotation=said, value=value):
                if ast.unparse(said).startswith("ClassVar"):
                    constants[name] = source.value(value)
                elif keywords_only:
                    parameters[name] = _parameter(source, name, said, value, kind)
    return list(parameters.values()), constants


_PLAIN = Parameter.POSITIONAL_OR_KEYWORD


def _base(source: _Module, base: ast.expr) -> tuple[_Module, ast.ClassDef]:
    """Find a base that is a dataclass, or has no constructor."""
    where, found = source.resolve(ast.unparse(base))
    if isinstance(found, ast.ClassDef) and "__init__" not in ast.unparse(found):
        return where, found
    raise UnreadableError(ast.unparse(base))


def _dataclass(source: _Module, decorator: ast.expr) -> bool:
    """Tell whether a dataclass takes keywords only; refuse any other decorator."""
    call = decorator if isinstance(decorator, ast.Call) else None
    name = ast.unparse(call.func if call else decorator)
    origin = source.names.get(name)
    if not isinstance(origin, ast.ImportFrom) or origin.module != "dataclasses":
        raise UnreadableError(name)
    given = {one.arg: source.value(one.value) for one in call.keywords} if call else {}
    return bool(given.get("kw_only"))


def _arguments(source: _Module, node: ast.FunctionDef) -> list[Parameter]:
    given = node.args
    if given.posonlyargs or given.vararg or given.kwarg:
        raise UnreadableError(node.name)
    required = [None] * (len(given.args) - len(given.defaults))
    both = (
        (_PLAIN, given.args, [*required, *given.defaults]),
        (Parameter.KEYWORD_ONLY, given.kwonlyargs, given.kw_defaults),
    )
    return [
        _parameter(source, one.arg, one.annotation, default, kind)
        for kind, arguments, defaults in both
        for one, default in zip(arguments, defaults, strict=True)
    ]


def _parameter(
    source: _Module,
    name: str,
    said: ast.expr | None,
    default: ast.expr | None,
    kind: Any,
) -> Parameter:
    empty = Parameter.empty
    return Parameter(
        name,
        kind,
        default=empty if default is None else source.value(default),
        annotation=empty if said is None else source.value(said),
    )
