"""``wsis evaluate``: measures a run or a file of predictions."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from wsis.cli import _options as options
from wsis.cli._errors import UsageError, printable
from wsis.cli._files import refuse_inputs

if TYPE_CHECKING:
    from wsis.contracts import Annotated as Measured
    from wsis.contracts import DataSource
    from wsis.evaluation import Evaluation

app = options.command_group()


@options.command(app.command)
def evaluate(
    *,
    run: Path | None = None,
    predictions: Path | None = None,
    figures: options.Figures = None,
    data: options.Data,
    place: options.Place,
) -> None:
    """Measure a run, a file of predictions, or both, against ground truth.

    With a run, two more rows show the best that its proposals allow (oracle) and what
    they give by chance (random).

    Args:
        run: Folder of a trained run.
        predictions: predictions.json or results.json of wsis predict, read by names of
            photos and classes; or another of COCO's lists of results, by numbers.

    Examples:
        wsis evaluate --run run
        wsis evaluate --predictions results.json --data coco --images photos
            --val val.json --json figures.json
    """
    if run is None and predictions is None:
        raise UsageError("expected --run, --predictions or both, got neither")
    if figures is not None:
        refuse_inputs(
            figures, (run, predictions, data.train, data.val), option="--json"
        )
    from wsis.cli._show import print_evaluations
    from wsis.data.halves import summary
    from wsis.report import METRICS

    if predictions is not None and predictions.is_dir():
        raise UsageError(
            f"expected a file of predictions, {predictions} is a folder; name the "
            "predictions.json in it"
        )
    source = data.source()
    val = options.masks_of(source)
    typer.echo(printable(summary(val.tagged)))
    found: dict[str, Evaluation] = {}
    if predictions is not None:
        found[predictions.name] = _of_file(predictions, source, val)
    if run is not None:
        found |= _of_run(run, place, val)
    print_evaluations(found, [*METRICS, "ABO"], figures)


def _of_file(path: Path, source: "DataSource", val: "Measured") -> "Evaluation":
    from wsis._support.files import parse_json
    from wsis.contracts import Numbered
    from wsis.evaluation import evaluate, matched

    numbers = tuple(range(1, len(val.tagged.classes) + 1))
    if isinstance(source, Numbered):
        numbers = source.category_ids()
    try:
        content = parse_json(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"expected predictions, {path} is not JSON: {error}") from None
    try:
        found, val = matched(content, val, numbers)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return evaluate(found, val.truths, val.tagged.classes)


def _of_run(
    folder: Path, place: options.Place, val: "Measured"
) -> "dict[str, Evaluation]":
    """Return the figures of a run and those of its proposals."""
    from wsis.cli._show import Bars
    from wsis.data.halves import for_classes
    from wsis.experiments import bounds
    from wsis.runs import Run, load

    run = load(folder, device=place.device, cache=place.cache)
    val = for_classes(val, run.classes, "the run")
    with Bars() as bars:
        found = {run.name: run.evaluate(val, bars)}
    if isinstance(run, Run):
        found["oracle"], found["random"] = bounds(run.pipeline, val)
    return found
