"""``wsis convert``: makes a run of a checkpoint that CIM's authors released."""

from pathlib import Path
from typing import Annotated

import typer

from wsis.cli import _options as options
from wsis.cli._files import refuse_existing

app = options.command_group()


@options.command(app.command)
def convert(
    *,
    checkpoint: Annotated[Path, typer.Argument()],
    recipe: Annotated[str, typer.Option(metavar="NAME")],
    out: Path,
    setup: Annotated[options.Setup, options.without("recipe", "device")],
) -> None:
    """Turn a checkpoint that CIM's authors released into a run.

    Every tensor of the model must be in the file, of the right shape, and every tensor
    of the file must be used. predict and evaluate take the folder.

    Args:
        checkpoint: Of CIM's authors: .pth (tensors only) or .safetensors.
        recipe: The recipe of this model. See: wsis recipe list.
        out: New folder of the run.

    Examples:
        wsis convert model_step89999.pth --recipe voc12-cim-r50 --out run
    """
    refuse_existing(out)
    from wsis.runs.convert import convert

    tensors = convert(checkpoint, out, recipe, setup.settings or (), setup.cache)
    typer.echo(f"run: {out} ({tensors} tensors of {checkpoint.name})")
