"""``wsis new``: writes a package with a part of one's own."""

import keyword
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from wsis import plugins
from wsis.cli import _options as options
from wsis.cli._errors import UsageError, printable
from wsis.cli._files import refuse_existing

app = options.command_group()

Kind = Literal["miner", "sampler", "assigner", "source", "cues", "head"]
KINDS: dict[Kind, tuple[plugins.Kind, str]] = {
    "miner": ("miners", "cim,{}"),
    "sampler": ("samplers", "cim --vary sampler=anti_noise,{}"),
    "assigner": ("assigners", "cim --vary assigner=cascade,{}"),
    "source": ("sources", "cim --vary proposals=lab,{}"),
    "cues": ("cues", "cim --vary cues=cam,{}"),
    "head": ("heads", "cim --vary head=mask_pool,{}"),
}
"""Of each kind the group of its parts, and the miners of the bench that tries one."""


@options.command(app.command)
def new(
    *,
    kind: Annotated[Kind, typer.Argument()],
    name: Annotated[str, typer.Argument(metavar="NAME")],
    out: Path | None = None,
) -> None:
    """Write a package for a new part: code, test, entry point, README.

    You can install it at once, and its test passes; then change its code.

    Args:
        kind: Kind of the part.
        name: Name of the part and its package.
        out: New folder of the package; ./NAME if not given.

    Examples:
        wsis new miner largest
        wsis new head texture --out lab
    """
    _check(kind, name)
    folder = Path(name) if out is None else out
    refuse_existing(folder, instead="remove it")
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from wsis._support.folders import new_folder

    # Names of Python are put in, so nothing is escaped.
    templates = Environment(
        loader=PackageLoader("wsis.cli"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    words = name.removesuffix(f"_{kind}").split("_")
    given = {
        "kind": kind,
        "name": name,
        "part": "".join(map(str.title, [*words, kind])),
        "group": KINDS[kind][0],
        "command": f"wsis bench --miners {KINDS[kind][1].format(name)}",
    }
    code = PackageLoader("wsis.cli").get_source(templates, f"{kind}.py")[0]
    code = code.replace("NewPart", given["part"]).replace("new_part", name)
    files = {f"{name}.py": code}
    for file in ("pyproject.toml", "README.md", "test_part.py"):
        text = templates.get_template(f"{file}.jinja").render(given)
        files[file.replace("part", name)] = text
    with new_folder(folder) as temporary:
        for file, text in files.items():
            (temporary / file).write_text(text, encoding="utf-8")
    typer.echo(printable(f"written: {folder} ({', '.join(sorted(files))})"))
    place = shlex.quote(str(folder if folder.is_absolute() else f"./{folder}"))
    typer.echo(printable(f"next: pip install -e {place} && pytest {place}"))
    typer.echo(printable(f"then: {given['command']}"))


def _check(kind: Kind, name: str) -> None:
    """Refuse names that Python or pip cannot take, or that hide something installed.

    Raises:
        UsageError: if the name is one of these; the message names another.
    """
    if not re.fullmatch(r"[a-z]([a-z0-9_]*[a-z0-9])?", name):
        better = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")
        hint = f", such as {better}" if better and name.isascii() else ""
        raise UsageError(
            "expected a name that Python can import: lower-case letters, digits and _, "
            f"the first a letter, the last no _{hint}; got {name!r}"
        )
    if keyword.iskeyword(name) or name == "none":
        raise UsageError(f"{name!r} is a reserved word; try {name}_{kind}")
    group = KINDS[kind][0]
    if name in plugins.names(group):
        raise UsageError(
            f"a {kind} {name!r} is installed; choose another name, such as my_{name}, "
            f"or uninstall its package (wsis parts {group} lists all)"
        )
    if name in ("oracle", "random", "ceiling"):
        raise UsageError(f"{name!r} is a row of every bench's table; try {name}_{kind}")
    if _is_taken(name):
        raise UsageError(
            f"a package {name!r} is installed, which this one would hide; choose "
            f"another name, such as {name}_{kind}"
        )


def _is_taken(name: str) -> bool:
    """Tell whether Python imports, or pip knows, something by that name."""
    from importlib.metadata import PackageNotFoundError, distribution
    from importlib.util import find_spec

    if name in sys.stdlib_module_names:
        return True
    try:
        distribution(name)
    except PackageNotFoundError:
        spec = find_spec(name)
        # A folder of that name in the current one is no package.
        return spec is not None and spec.origin is not None
    return True
