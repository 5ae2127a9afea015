"""``wsis evaluate``: measures a run or a file of predictions."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wsis.cli.display import Bars, print_rows
from wsis.cli.errors import UsageError
from wsis.cli.options import (
    CacheOption,
    ClassesOption,
    DataOption,
    DeviceOption,
    ImagesOption,
    TrainOption,
    ValImagesOption,
    ValOption,
    category_ids,
    data_source,
    default_cache,
    torch_device,
)

if TYPE_CHECKING:
    from wsis.contracts import Annotated as AnnotatedData
    from wsis.contracts import DataSource
    from wsis.evaluation import Evaluation
    from wsis.runs import Run

Evaluations = dict[str, "Evaluation"]


def evaluate(
    run: Annotated[
        Path | None, typer.Option("--run", help="Folder of a trained run.")
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(help="COCO's list of results, as predict writes it."),
    ] = None,
    data: DataOption = "scenes",
    images: ImagesOption = None,
    train: TrainOption = None,
    val: ValOption = None,
    val_images: ValImagesOption = None,
    classes: ClassesOption = None,
    figures: Annotated[
        Path | None, typer.Option("--json", help="Write all figures to this file.")
    ] = None,
    device: DeviceOption = "auto",
    cache: CacheOption = None,
) -> None:
    """Measure a run, a file of predictions, or both, against ground truth.

    With a run, two further rows tell what its proposals allow at best (oracle) and give
    by chance (random).
    """
    if run is None and predictions is None:
        raise UsageError("expected --run, --predictions or both, got neither")
    from wsis.bench import METRICS, Row
    from wsis.files import write_json
    from wsis.runs import load_run

    found: Evaluations = {}
    source = data_source(
        data,
        "val",
        images=images,
        train_json=train,
        val_json=val,
        val_images=val_images,
        classes=classes,
    )
    truth = source.val()
    if predictions is not None:
        found[predictions.name] = _of_file(predictions, source, truth)
    if run is not None:
        trained = load_run(run, cache or default_cache(), torch_device(device))
        found |= _of_run(trained, truth)
    if figures is not None:
        write_json(
            figures,
            {
                name: {"metrics": one.metrics, "per_class": one.per_class}
                for name, one in found.items()
            },
        )
    print_rows(
        [
            Row(name=name, seeds=1, mean=one.metrics, deviation={})
            for name, one in found.items()
        ],
        [*METRICS, "ABO"],
    )


def _of_file(path: Path, source: "DataSource", truth: "AnnotatedData") -> "Evaluation":
    from wsis.evaluation import evaluate as measure
    from wsis.evaluation import from_coco

    try:
        results: Any = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    names = truth.tagged.classes
    numbers = category_ids(source) or tuple(range(1, len(names) + 1))
    try:
        found = from_coco(results, truth.truths, numbers)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return measure(found, truth.truths, names)


def _of_run(run: "Run", truth: "AnnotatedData") -> Evaluations:
    from wsis.evaluation import evaluate as measure
    from wsis.evaluation import oracle, random_scores
    from wsis.randomness import generator

    names = truth.tagged.classes
    if run.card.classes != names:
        raise UsageError(
            f"expected data of the run's classes, {', '.join(run.card.classes)}; got "
            f"{', '.join(names)}"
        )
    found = []
    with Bars() as bars:
        step = bars.start("predict", len(truth.tagged.images))
        for image in truth.tagged.images:
            found.append(run.predict(image))
            step(image.name)
    bags = run.pipeline.bags(truth.tagged.images)
    return {
        run.card.miner.label: measure(found, truth.truths, names),
        "oracle": oracle((bag.proposals for bag in bags), truth.truths, names),
        "random": random_scores(
            (bag.proposals for bag in bags),
            truth.truths,
            names,
            run.pipeline.settings.selection,
            generator(0, "random scores"),
        ),
    }
