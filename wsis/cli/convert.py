"""``wsis convert``: makes a run of a checkpoint that CIM's authors released."""

from pathlib import Path
from typing import Annotated

import typer

from wsis.cli import _options as options
from wsis.cli._files import refuse_existing

app = options.command_group()


@app.command(
    epilog=options.examples(
        "wsis convert model_step89999.pth --recipe voc12-cim-r50 --out run"
    )
)
@options.grouped
def convert(
    *,
    checkpoint: Annotated[
        Path,
        typer.Argument(help="Of CIM's authors: .pth (tensors only) or .safetensors."),
    ],
    recipe: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="The recipe of this model. See: wsis recipe list."
        ),
    ],
    out: Annotated[Path, typer.Option(help="New folder of the run.")],
    setup: Annotated[options.Setup, options.Without("recipe", "device")],
) -> None:
    """Make a run of a checkpoint that the authors of CIM released.

    Every tensor of the model must be in the file, of the right shape, and every tensor
    of the file must be used. predict and evaluate take the folder.
    """
    refuse_existing(out)
    from wsis.runs.convert import convert

    tensors = convert(checkpoint, out, recipe, setup.settings or (), setup.cache)
    typer.echo(f"run: {out} ({tensors} tensors of {checkpoint.name})")
