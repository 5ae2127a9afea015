"""``wsis predict``: finds instances on photos."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
import typer
from PIL import Image as Pillow

from wsis._support.files import write_json
from wsis.cli.building import torch_device
from wsis.cli.display import Bars
from wsis.cli.errors import message
from wsis.cli.folders import new_folder, refuse_home, unique
from wsis.cli.options import Setup
from wsis.contracts import Predictions, TaggedImage
from wsis.data.images import images_in, read_image
from wsis.evaluation import coco_data_set, to_coco
from wsis.geometry.drawing import captions_of, legible, overlay
from wsis.runs.refine import REFINED, Refined, load_refined
from wsis.runs.run import Run, load_run


def predict(
    photos: list[Path],
    run: Path,
    out: Path,
    setup: Setup,
    *,
    min_score: float,
    overwrite: bool,
) -> None:
    """Writes overlays, ``predictions.json`` and ``results.json`` into ``out``."""
    paths = images_in(photos)
    refuse_home(out, paths)
    trained = _load(run, setup)
    with new_folder(out, overwrite=overwrite) as folder:
        found = _predict(trained, paths, min_score, folder)
        if not found:
            raise ValueError(f"none of {len(paths)} photos could be read")
        results = to_coco(list(found.values()), trained.card.category_ids)
        write_json(folder / "results.json", results)
        card = trained.card
        coco = coco_data_set(
            _names(list(found)),
            list(found.values()),
            card.classes,
            card.category_ids,
            {"supervision": list(card.supervision), "versions": card.versions},
        )
        write_json(folder / "predictions.json", coco)
    skipped = len(paths) - len(found)
    note = f" ({skipped} skipped)" if skipped else ""
    typer.echo(f"{len(results)} instances on {len(found)} photos{note}: {out}")


def _names(paths: list[Path]) -> list[str]:
    """The photos' names, or their paths as given where two have the same name."""
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _load(folder: Path, setup: Setup) -> Run | Refined:
    device = torch_device(setup.device)
    if (folder / REFINED).is_file():
        return load_refined(folder, device)
    return load_run(folder, device=device, cache=setup.cache)


def _predict(
    run: Run | Refined, paths: list[Path], min_score: float, folder: Path
) -> dict[Path, Predictions]:
    """The predictions of every readable photo; draws them into ``folder``."""
    found: dict[Path, Predictions] = {}
    names = unique([path.stem for path in paths])
    with Bars() as bars:
        step = bars.start("predict", len(paths))
        for number, (path, name) in enumerate(zip(paths, names, strict=True), 1):
            try:
                pixels = read_image(path)
            except (ValueError, OSError) as error:
                bars.say(f"skipped: {message(error)}")
                step(path.name)
                continue
            image = TaggedImage(
                id=number,
                name=path.name,
                tags=torch.zeros(len(run.card.classes), dtype=torch.bool),
                load=partial(read_image, path),
            )
            predictions = _above(run.find(image), min_score)
            count = legible(predictions)
            captions = captions_of(predictions, run.card.classes)[:count]
            drawn = overlay(pixels, predictions.masks[:count], captions)
            Pillow.fromarray(drawn).save(folder / f"{name}.png")
            found[path] = predictions
            step(path.name)
    return found


def _above(predictions: Predictions, min_score: float) -> Predictions:
    count = int((predictions.score >= min_score).sum())
    return replace(
        predictions,
        index=predictions.index[:count],
        label=predictions.label[:count],
        score=predictions.score[:count],
        boxes=predictions.boxes[:count],
        masks=predictions.masks[:count],
    )
