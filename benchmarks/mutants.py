"""Changes the code one small step at a time and counts the changes that tests notice.

    python benchmarks/mutants.py                      # all files, some minutes each
    python benchmarks/mutants.py --file wsis/mining/cim.py --survivors

A mutant is a file with one change: another comparison, operator, number, condition or
name of a function (``min`` for ``max``), an argument, a call or a statement left out,
a return of None. Annotations, docstrings and the text of messages stay as they are, and
so do devices, as one machine has only one.

Tests are collected once a file of code. Each mutant lives in a fork, in which the
functions and classes of the file are replaced; it runs the tests that call the changed
function, first the quick ones that killed many mutants before it, until one fails. One
that takes far more processor time than these tests is killed too. Results are kept as
JSON lines; a mutant among them is not run again, a survivor with ``--survivors``.
"""

import argparse
import ast
import copy
import enum
import hashlib
import inspect
import json
import os
import resource
import sys
import tempfile
import time
import types
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "logs" / "mutants.jsonl"

GROUPS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (
        tuple(
            f"wsis/mining/{name}.py"
            for name in (
                *(
                    "_steps",
                    "apart",
                    "assignment",
                    "cim",
                    "mist",
                    "oicr",
                    "pcl",
                    "sampling",
                ),
            )
        ),
        ("tests/mining", "tests/properties/test_parts.py"),
    ),
    (
        ("wsis/training/losses.py", "wsis/training/supervision.py"),
        (
            "tests/training/test_losses.py",
            "tests/training/test_supervision.py",
            "tests/properties/test_losses.py",
        ),
    ),
    (("wsis/training/class_map.py",), ("tests/training/test_class_map.py",)),
    (("wsis/training/_outlines.py",), ("tests/training/test_outlines.py",)),
    (
        ("wsis/geometry/overlap.py", "wsis/geometry/masks.py"),
        (
            "tests/geometry/test_masks.py",
            "tests/geometry/test_overlap.py",
            "tests/properties/test_overlaps.py",
        ),
    ),
    (
        ("wsis/evaluation/matches.py",),
        (
            "tests/evaluation/test_matches.py",
            "tests/evaluation/test_precision.py",
            "tests/properties/test_overlaps.py",
        ),
    ),
)
"""Files of code, with the tests that look at them."""

FILES = [file for files, _ in GROUPS for file in files]

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
OPERATED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_PAIRS = (
    ("min", "max"),
    ("minimum", "maximum"),
    ("amin", "amax"),
    ("argmin", "argmax"),
    ("any", "all"),
    ("ones", "zeros"),
    ("ones_like", "zeros_like"),
    ("new_ones", "new_zeros"),
    ("ceil", "floor"),
    ("sum", "mean"),
    ("greedy_nms", "strict_nms"),
    ("tril", "triu"),
)
RENAMED = {**dict(_PAIRS), **{b: a for a, b in _PAIRS}}
LEFT_OUT = {
    *("abs", "astype", "clamp", "clone", "contiguous", "detach", "double", "flatten"),
    *("flip", "float", "log", "long", "max", "round", "sort", "square", "squeeze"),
    *("transpose", "tril", "unique", "where"),
}
"""Methods whose object may stand for their result."""


def mutants(source: str) -> Iterator[tuple[int, str, str, str]]:
    """Yield each mutant: its line, function, change and source."""
    tree = ast.parse(source)
    parents = {
        kid: node for node in ast.walk(tree) for kid in ast.iter_child_nodes(node)
    }
    skipped = _left_alone(tree)
    for node in ast.walk(tree):
        if node in skipped:
            continue
        for change, other in _changes(node):
            line, where = getattr(node, "lineno", 0), _function(node, parents)
            yield line, where, change, _with(tree, node, other)


def _left_alone(tree: ast.Module) -> set[ast.AST]:
    """Return annotations, docstrings, messages, imports and aliases of types."""
    found: set[ast.AST] = set()

    def leave(node: ast.AST | None) -> None:
        if node is not None:
            found.update(ast.walk(node))

    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            leave(node.returns)
        if isinstance(node, ast.arg | ast.AnnAssign):
            leave(node.annotation)
        if isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr):
            leave(node)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            leave(node)
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            for decorator in node.decorator_list:
                leave(decorator)
        if isinstance(node, ast.Raise):
            for argument in node.exc.args if isinstance(node.exc, ast.Call) else []:
                leave(argument)
            found.update(ast.walk(node.exc) if node.exc else [])
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            leave(node)
        if isinstance(node, ast.keyword) and node.arg == "device":
            leave(node)
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal":
            leave(node)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "TypeVar":
            leave(node)
        if isinstance(node, ast.Assign) and "__" in ast.unparse(node.targets[0]):
            leave(node)
    return found


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST | None]]:
    """Yield what may stand in a node's place, with a description."""
    old = _short(node)

    def to(other: ast.AST) -> tuple[str, ast.AST]:
        return f"{old} -> {_short(other)}", other

    match node:
        case ast.Compare(ops=ops):
            for i, op in enumerate(ops):
                changed = [*ops[:i], COMPARED[type(op)](), *ops[i + 1 :]]
                yield to(_copy(node, ops=changed))
        case ast.BinOp(op=op) | ast.AugAssign(op=op):
            if type(op) in OPERATED:
                yield to(_copy(node, op=OPERATED[type(op)]()))
            if isinstance(node, ast.AugAssign):
                yield to(ast.Assign([node.target], node.value, lineno=node.lineno))
        case ast.BoolOp(op=op):
            yield to(_copy(node, op=ast.Or() if isinstance(op, ast.And) else ast.And()))
        case ast.UnaryOp(operand=operand):
            yield to(operand)
        case ast.Constant(value=value):
            if value is not None and value is not Ellipsis:
                yield to(ast.Constant(_other(value)))
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            if not isinstance(test, ast.Compare):
                change = f"condition {_short(test)} negated"
                yield change, _copy(node, test=ast.UnaryOp(ast.Not(), test))
        case ast.Name(id=name) if name in RENAMED:
            yield to(_copy(node, id=RENAMED[name]))
        case ast.Attribute(attr=name) if name in RENAMED:
            yield to(_copy(node, attr=RENAMED[name]))
        case ast.Call(func=func, keywords=keywords):
            for i, keyword in enumerate(keywords):
                if keyword.arg not in {None, "device"}:
                    rest = [*keywords[:i], *keywords[i + 1 :]]
                    yield f"{old} without {keyword.arg}", _copy(node, keywords=rest)
            if isinstance(func, ast.Attribute) and func.attr in LEFT_OUT:
                yield to(func.value)
        case ast.Return(value=value) if value is not None:
            yield to(ast.Return(ast.Constant(None)))
        case ast.Continue() | ast.Break():
            yield to(ast.Break() if isinstance(node, ast.Continue) else ast.Continue())
        case ast.Expr() | ast.Raise():
            yield f"{old} left out", ast.Pass()
        case ast.Assign(targets=[ast.Subscript()]):
            yield f"{old} left out", ast.Pass()
        case _:
            pass
    if isinstance(node, ast.AugAssign):
        yield f"{old} left out", ast.Pass()


def _other(value: bool | int | float | str | bytes) -> object:
    if isinstance(value, bool):
        return not value
    return f"X{value}" if isinstance(value, str | bytes) else value + 1


def _copy(node: ast.AST, **fields: Any) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _short(node: ast.AST) -> str:
    text = " ".join(ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).split())
    return text if len(text) <= 60 else text[:57] + "…"


def _function(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> str:
    """Return the qualified name of the function around a node; empty for none."""
    names: list[str] = []
    inside = False
    while node in parents:
        below, node = node, parents[node]
        if isinstance(node, ast.FunctionDef) and below in node.body:
            # A function in a function runs only where the outer one does.
            names, inside = [node.name], True
        elif isinstance(node, ast.ClassDef) and inside:
            names.insert(0, node.name)
    return ".".join(names)


def _with(tree: ast.Module, old: ast.AST, new: ast.AST | None) -> str:
    class Swap(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> Any:
            return new if node is old else self.generic_visit(node)

    # Nodes are shared, so that the copy is made of what the swap leaves behind.
    memo = {id(old): new}
    changed = copy.deepcopy(tree, memo)
    return ast.unparse(ast.fix_missing_locations(changed))


class Harness:
    """A pytest plugin that runs the collected tests for every mutant of some files."""

    def __init__(
        self, files: Sequence[str], known: dict[str, dict[str, Any]], share: float
    ) -> None:
        self.files, self.known, self.share = files, known, share
        self.again: set[str] = set()
        self.results: list[dict[str, Any]] = []
        self.kills = Counter[str]()

    def pytest_collection(self) -> None:
        """Make hypothesis repeatable, and keep it from shrinking what failed."""
        from hypothesis import Phase, settings

        settings.register_profile(
            "mutants",
            settings.default,
            derandomize=True,
            database=None,
            phases=(Phase.explicit, Phase.generate),
        )
        settings.load_profile("mutants")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """End the fork at the first failure."""
        if report.failed:
            self._tell({"by": report.nodeid})
            os._exit(1)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run all mutants in place of the tests."""
        paths = {str(ROOT / file) for file in self.files}
        base = self._fork(lambda: self._watch(session.items, paths), 900)
        if base["status"] != "survived":
            print(f"the tests fail as they are: {base}", file=sys.stderr)
            return True
        for file in self.files:
            source = (ROOT / file).read_text()
            same = ast.unparse(ast.parse(source))
            found = self._fork(partial(self._try, file, same, session.items), 900)
            if found["status"] != "survived":
                print(f"the tests fail with {file} replaced: {found}", file=sys.stderr)
                return True
            for one in mutants(source):
                self._judge(session.items, base, file, *one)
        return True

    def _judge(
        self,
        tests: Sequence[pytest.Item],
        base: dict[str, Any],
        file: str,
        line: int,
        where: str,
        change: str,
        mutated: str,
    ) -> None:
        key = hashlib.sha256(f"{file}\n{mutated}".encode()).hexdigest()[:16]
        if key in self.known:
            self.results.append(self.known[key])
            return
        if key not in self.again and int(key[:4], 16) >= self.share * 16**4:
            return
        calls, seconds, kills = base["calls"], base["seconds"], self.kills
        items = [
            item
            for item in tests
            if not where or [file, where] in calls.get(item.nodeid, ())
        ]
        items.sort(
            key=lambda item: (
                not kills[item.nodeid],
                seconds[item.nodeid] / max(1, kills[item.nodeid]),
            )
        )
        started = time.monotonic()
        result: dict[str, Any] = {"status": "survived"}
        if items:
            limit = 8 + sum(seconds[item.nodeid] for item in items) / 2
            limit = min(limit, 25)
            result = self._fork(lambda: self._try(file, mutated, items), limit)
        kills.update([result["by"]] if "by" in result else [])
        one = {"key": key, "file": file, "line": line, "function": where}
        one |= {"change": change, "by": None, **result}
        one["seconds"] = round(time.monotonic() - started, 2)
        self.results.append(one)
        RESULTS.parent.mkdir(exist_ok=True)
        with RESULTS.open("a") as out:
            out.write(json.dumps(one, ensure_ascii=False) + "\n")
        if one["status"] == "survived":
            print(f"{file}:{line} {change}", file=sys.stderr, flush=True)

    def _fork(self, work: Any, limit: float) -> dict[str, Any]:
        with tempfile.NamedTemporaryFile("r") as told:
            child = os.fork()
            if not child:
                try:
                    self._told = told.name
                    resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit)))
                    most = 12 * 2**30
                    resource.setrlimit(resource.RLIMIT_AS, (most, most))
                    silent = os.open(os.devnull, os.O_WRONLY)
                    os.dup2(silent, 1)
                    os.dup2(silent, 2)
                    work()
                except BaseException as error:
                    self._tell({"by": f"{type(error).__name__}: {error}"[:80]})
                    os._exit(1)
                os._exit(0)
            _, code = os.waitpid(child, 0)
            found = json.loads(told.read() or "{}")
        status = "timeout" if os.WIFSIGNALED(code) else "killed" if code else "survived"
        return {"status": status, **found}

    def _tell(self, what: dict[str, Any]) -> None:
        Path(self._told).write_text(json.dumps(what))

    def _watch(self, items: list[pytest.Item], paths: set[str]) -> None:
        """Run every test as it is; tell the functions of the files that each calls."""
        calls: dict[str, list[list[str]]] = {}
        seconds: dict[str, float] = {}
        for i, item in enumerate(items):
            seen: set[tuple[str, str]] = set()

            def trace(frame: types.FrameType, *_: object, seen: Any = seen) -> None:
                code = frame.f_code
                if code.co_filename in paths:
                    file = os.path.relpath(code.co_filename, ROOT)
                    seen.add((file, code.co_qualname.split(".<locals>")[0]))

            started = time.process_time()
            sys.settrace(trace)
            _run(item, items[i + 1] if i + 1 < len(items) else None)
            sys.settrace(None)
            calls[item.nodeid] = sorted(map(list, seen))
            seconds[item.nodeid] = time.process_time() - started
        self._tell({"calls": calls, "seconds": seconds})

    def _try(self, file: str, mutated: str, items: list[pytest.Item]) -> None:
        name = file.removesuffix(".py").replace("/", ".")
        _replace(sys.modules[name], mutated)
        for item in items:
            _run(item, None)


def _run(item: pytest.Item, following: pytest.Item | None) -> None:
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)


def _replace(module: types.ModuleType, source: str) -> None:
    """Run other source in a module; all who imported from it have the new then."""
    before = dict(vars(module))
    assert module.__spec__ is not None
    loader: Any = module.__spec__.loader
    exec(loader.source_to_code(source.encode(), module.__file__), vars(module))
    for name, old in before.items():
        new = vars(module)[name]
        if new is old or getattr(old, "__module__", module.__name__) != module.__name__:
            continue
        if isinstance(old, type) and not issubclass(old, enum.Enum):
            for key, value in vars(new).items():
                inner = inspect.unwrap(value) if callable(value) else value
                names = getattr(getattr(inner, "__code__", None), "co_freevars", ())
                if "__class__" in names:  # for super() in a method of the old one
                    inner.__closure__[names.index("__class__")].cell_contents = old
                unlike = isinstance(value, types.MemberDescriptorType)
                if not unlike and key not in {"__dict__", "__weakref__", "__slots__"}:
                    setattr(old, key, value)
            setattr(module, name, old)
            continue
        for other in list(sys.modules.values()):
            for key, value in list(getattr(other, "__dict__", {}).items()):
                if value is old and (callable(old) or key == name):
                    setattr(other, key, new)


_COUNTS = ("mutants", "killed", "survived")


def _table(lines: Sequence[dict[str, Any]]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for line in lines:
        row = table.setdefault(line["file"], dict.fromkeys(_COUNTS, 0))
        row["mutants"] += 1
        row["survived" if line["status"] == "survived" else "killed"] += 1
    return table


def _read() -> list[dict[str, Any]]:
    text = RESULTS.read_text() if RESULTS.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


def main() -> int:
    """Run the mutants of some files and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", action="append", choices=FILES, help="repeatable")
    parser.add_argument("--survivors", action="store_true", help="try them once more")
    parser.add_argument("--share", type=float, default=1.0, help="of the mutants")
    options = parser.parse_args()
    os.chdir(ROOT)
    for group, tests in GROUPS:
        files = [file for file in group if file in (options.file or FILES)]
        if not files:
            continue
        every = known = {line["key"]: line for line in _read()}
        if options.survivors:
            known = {k: v for k, v in known.items() if v["status"] != "survived"}
        harness = Harness(files, known, options.share)
        harness.again = every.keys() - known.keys()
        flags = ["-p", "no:cacheprovider", "-p", "no:terminal"]
        status = pytest.main([*flags, *tests], plugins=[harness])
        if not harness.results:
            sys.exit(f"the tests of {', '.join(files)} do not run: status {status}")
        others = [line for line in _read() if line["file"] not in files]
        _write(others + harness.results)
        for file, row in _table(harness.results).items():
            print(json.dumps({"file": file, **row}), flush=True)
    rows = _table(_read()).values()
    total = {name: sum(row[name] for row in rows) for name in _COUNTS}
    _record({**_table(_read()), "all": total})
    print(json.dumps({"file": "all", **total}))
    return 0


def _record(table: dict[str, dict[str, int]]) -> None:
    """Write the rows of the table in docs/reliability.md."""
    lines = []
    for file, row in table.items():
        killed = 100 * row["killed"] / max(1, row["mutants"])
        cells = {"file": file, **row, "killed (%)": f"{killed:.1f}"}
        lines.append(json.dumps({"table": "mutants", "cells": cells}) + "\n")
    (RESULTS.parents[1] / "mutants.jsonl").write_text("".join(lines))


def _write(lines: Sequence[dict[str, Any]]) -> None:
    lines = sorted(lines, key=lambda line: FILES.index(line["file"]))
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    with tempfile.NamedTemporaryFile("w", dir=RESULTS.parent, delete=False) as out:
        out.write(text)
    os.replace(out.name, RESULTS)


if __name__ == "__main__":
    raise SystemExit(main())
