"""``wsis predict``: finds instances on photos."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import typer
from PIL import Image as Pillow
from pycocotools import mask as rle

from wsis.cli.building import torch_device
from wsis.cli.display import Bars
from wsis.cli.errors import message
from wsis.cli.folders import new_folder, unique
from wsis.cli.options import Setup
from wsis.contracts import Predictions, TaggedImage
from wsis.data.images import images_in, read_image
from wsis.drawing import captions_of, overlay
from wsis.evaluation import to_coco
from wsis.files import write_json
from wsis.runs import Card, Run, load_run


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
    trained = load_run(run, setup.cache, torch_device(setup.device))
    with new_folder(out, overwrite=overwrite) as folder:
        found = _predict(trained, paths, min_score, folder)
        if not found:
            raise ValueError(f"none of {len(paths)} photos could be read")
        results = to_coco(list(found.values()), trained.card.category_ids)
        write_json(folder / "results.json", results)
        coco = _data_set(found, results, trained.card)
        write_json(folder / "predictions.json", coco)
    skipped = len(paths) - len(found)
    note = f" ({skipped} skipped)" if skipped else ""
    typer.echo(f"{len(results)} instances on {len(found)} photos{note}: {out}")


def _predict(
    run: Run, paths: list[Path], min_score: float, folder: Path
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
            predictions = _above(run.predict(image), min_score)
            captions = captions_of(predictions, run.card.classes)
            drawn = overlay(pixels, predictions.masks, captions)
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


def _data_set(
    found: Mapping[Path, Predictions], results: list[dict[str, Any]], card: Card
) -> dict[str, Any]:
    """A COCO data set whose annotations are the results."""
    return {
        "info": {"supervision": list(card.supervision), "versions": card.versions},
        "images": [
            {
                "id": predictions.image_id,
                "file_name": path.name,
                "width": predictions.size[1],
                "height": predictions.size[0],
            }
            for path, predictions in found.items()
        ],
        "annotations": [
            {
                "id": number,
                **result,
                "bbox": rle.toBbox(result["segmentation"]).tolist(),
                "area": int(rle.area(result["segmentation"])),
                "iscrowd": 0,
            }
            for number, result in enumerate(results, 1)
        ],
        "categories": [
            {"id": number, "name": name}
            for number, name in zip(card.category_ids, card.classes, strict=True)
        ],
    }
