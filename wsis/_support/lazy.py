"""Rooms that import a name's file when the name is first asked for."""

import ast
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def exports(room: str) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a room whose imports stand under TYPE_CHECKING.

    ``dir`` of the room then has all of its public names, loaded or not.

    A room's ``__init__`` says once where its public names come from, to type checkers
    and to this function alike, so that a part alone does not bring all others along.

    Args:
        room: ``__name__`` of the room.
    """

    def find(name: str) -> Any:
        module = sys.modules[room]
        if name not in module.__all__:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_homes(room)[name]), name)
        setattr(module, name, value)
        return value

    def listed() -> list[str]:
        module = sys.modules[room]
        return sorted({*vars(module), *module.__all__})

    vars(sys.modules[room])["__dir__"] = listed
    return find


def _homes(room: str) -> dict[str, str]:
    """The module that each name is imported from."""
    source = Path(str(sys.modules[room].__file__)).read_text(encoding="utf-8")
    return {
        alias.name: node.module
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
