"""``wsis bench``: compares mining strategies."""

from pathlib import Path
from typing import Annotated

import typer

from wsis.cli.display import Bars, print_rows
from wsis.cli.folders import new_folder
from wsis.cli.options import (
    CacheOption,
    ClassesOption,
    DataOption,
    DeviceOption,
    ImagesOption,
    OverwriteOption,
    SetOption,
    TrainOption,
    ValImagesOption,
    ValOption,
    data_source,
    miner_list,
    pipeline,
)


def bench(
    miners: Annotated[
        str,
        typer.Option(
            help="Miners with commas between, each with settings of its own if you "
            "like: cim,mist:reading=box. See: wsis parts miners."
        ),
    ],
    seeds: Annotated[
        int, typer.Option(min=1, help="Every miner runs with seeds 0 to N-1.")
    ] = 1,
    out: Annotated[
        Path, typer.Option(help="New folder for results.json and report.html.")
    ] = Path("wsis-bench"),
    data: DataOption = "scenes",
    images: ImagesOption = None,
    train: TrainOption = None,
    val: ValOption = None,
    val_images: ValImagesOption = None,
    classes: ClassesOption = None,
    settings: SetOption = None,
    device: DeviceOption = "auto",
    cache: CacheOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Compare mining strategies under identical settings, and write a report.

    Proposals and frozen features are made once and kept in the cache; every miner then
    trains from the same weights on the same images in the same order. Two further rows
    tell what the proposals allow at best (oracle) and give by chance (random).
    """
    with new_folder(out, overwrite=overwrite) as folder:
        chosen = miner_list(miners)
        from wsis.bench import METRICS, compare, table
        from wsis.files import write_json
        from wsis.report import write_report

        parts = pipeline(settings, cache, device)
        source = data_source(
            data,
            "train",
            "val",
            images=images,
            train_json=train,
            val_json=val,
            val_images=val_images,
            classes=classes,
        )
        with Bars() as bars:
            comparison = compare(
                source, chosen, parts, seeds=range(seeds), monitor=bars
            )
        results = comparison.results()
        write_json(folder / "results.json", results)
        write_report(comparison, source.val(), parts, folder / "report.html")
    print_rows(table(results), [*METRICS, "ABO"])
    typer.echo(f"report: {out / 'report.html'}")
