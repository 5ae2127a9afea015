"""Which files of the package hold something."""

import ast
from collections.abc import Callable
from pathlib import Path

import wsis

PACKAGE = Path(wsis.__file__).parent


def files_with(asked: Callable[[ast.AST], bool]) -> set[str]:
    """Paths below the package, of files with a node for which ``asked`` is true."""
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if asked(node)
    }
