"""Shape letters mean one thing everywhere: the table at the top of contracts.py."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import wsis
from wsis import contracts

PACKAGE = Path(wsis.__file__).parent
TABLE = dict(re.findall(r"^    (\w)   (.+)$", contracts.__doc__ or "", re.M))
KNOW_PSEUDO_INSTANCES = {"contracts.py", "mining", "training", "evaluation"}


def shapes(path: Path) -> Iterator[tuple[int, str]]:
    """Line and shape of every annotation such as ``Float[Tensor, "N C"]``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = {
        name.asname or name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "jaxtyping"
        for name in node.names
    }
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(
                value=ast.Name(id=kind),
                slice=ast.Tuple(elts=[_, ast.Constant(value=str(shape))]),
            ) if kind in kinds:
                yield node.lineno, shape


def letters(shape: str) -> Iterator[str]:
    """Axes that the table must explain; numbers, words, ``_`` and ``...`` are not."""
    for axis in shape.split():
        if not re.fullmatch(r"\d+|_|\.\.\.|\*?[a-z]{3,}", axis):
            yield axis.removesuffix("1")


def test_the_table_has_the_letters_of_the_contracts() -> None:
    assert {"N", "R", "C", "S", "M", "G", "D", "H", "W"} <= TABLE.keys()


def test_every_shape_letter_is_in_the_table() -> None:
    unknown = [
        f"{path.relative_to(PACKAGE)}:{line}: {letter} in {shape!r}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, shape in shapes(path)
        for letter in letters(shape)
        if letter not in TABLE
    ]

    assert unknown == []


def test_s_is_pseudo_instances_everywhere() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line}: {shape!r}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, shape in shapes(path)
        if "S" in letters(shape)
        and path.relative_to(PACKAGE).parts[0] not in KNOW_PSEUDO_INSTANCES
    ]

    assert wrong == []
