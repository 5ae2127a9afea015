"""``wsis predict``: finds instances on photos."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from wsis.cli.display import Bars
from wsis.cli.errors import message
from wsis.cli.folders import new_folder, unique
from wsis.cli.options import (
    CacheOption,
    DeviceOption,
    OverwriteOption,
    PhotosArgument,
    RunOption,
    default_cache,
    torch_device,
)

if TYPE_CHECKING:
    from wsis.contracts import Predictions
    from wsis.runs import Card, Run


def predict(
    photos: PhotosArgument,
    run: RunOption,
    out: Annotated[
        Path,
        typer.Option(
            help="New folder for overlays, predictions.json and results.json."
        ),
    ],
    min_score: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out instances below.")
    ] = 0.0,
    device: DeviceOption = "auto",
    cache: CacheOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Find instances on photos with a trained run.

    For every photo a PNG with its instances drawn. predictions.json is a COCO data set
    of images, annotations with scores, and categories; results.json is COCO's list of
    results. A photo that cannot be read is reported and left out.
    """
    with new_folder(out, overwrite=overwrite) as folder:
        from wsis.data.images import images_in
        from wsis.runs import load_run

        paths = images_in(photos)
        trained = load_run(run, cache or default_cache(), torch_device(device))
        found = _predict(trained, paths, min_score, folder)
        if not found:
            typer.echo(f"wsis: none of {len(paths)} photos could be read", err=True)
            raise typer.Exit(1)
        _write(folder, found, trained.card)
    count = sum(len(predictions) for predictions in found.values())
    skipped = len(paths) - len(found)
    note = f", {skipped} photos skipped" if skipped else ""
    typer.echo(f"{count} instances on {len(found)} photos{note}: {out}")


def _predict(
    run: "Run", paths: list[Path], min_score: float, folder: Path
) -> dict[Path, "Predictions"]:
    """The predictions of every readable photo; draws them into ``folder``."""
    import torch
    from PIL import Image as Pillow

    from wsis.contracts import TaggedImage
    from wsis.data.images import read_image
    from wsis.drawing import captions_of, overlay

    found = {}
    names = unique([path.stem for path in paths])
    with Bars() as bars:
        step = bars.start("predict", len(paths))
        for number, (path, name) in enumerate(zip(paths, names, strict=True), 1):
            image = TaggedImage(
                id=number,
                name=path.name,
                tags=torch.zeros(len(run.card.classes), dtype=torch.bool),
                load=partial(read_image, path),
            )
            try:
                pixels = image.load()
            except (ValueError, OSError) as error:
                bars.say(f"skipped: {message(error)}")
            else:
                found[path] = _above(run.predict(image), min_score)
                captions = captions_of(found[path], run.card.classes)
                drawn = overlay(pixels, found[path].masks, captions)
                Pillow.fromarray(drawn).save(folder / f"{name}.png")
            step(path.name)
    return found


def _above(predictions: "Predictions", min_score: float) -> "Predictions":
    from dataclasses import replace

    count = int((predictions.score >= min_score).sum())
    return replace(
        predictions,
        masks=predictions.masks[:count],
        **{
            name: getattr(predictions, name)[:count]
            for name in ("index", "label", "score", "boxes")
        },
    )


def _write(folder: Path, found: dict[Path, "Predictions"], card: "Card") -> None:
    """Writes COCO's data set of all instances, and its list of results."""
    from wsis.evaluation import to_coco
    from wsis.files import write_json

    results = to_coco(list(found.values()), card.category_ids)
    write_json(folder / "results.json", results)
    boxes = np.concatenate([p.boxes.numpy() for p in found.values()])
    write_json(
        folder / "predictions.json",
        {
            "images": [_image(path, p) for path, p in found.items()],
            "annotations": [
                {"id": i, **result, **_extent(box, result), "iscrowd": 0}
                for i, (result, box) in enumerate(zip(results, boxes, strict=True), 1)
            ],
            "categories": [
                {"id": number, "name": name}
                for number, name in zip(card.category_ids, card.classes, strict=True)
            ],
            "info": {"supervision": list(card.supervision), "versions": card.versions},
        },
    )


def _image(path: Path, predictions: "Predictions") -> dict[str, Any]:
    height, width = predictions.size
    return {
        "id": predictions.image_id,
        "file_name": path.name,
        "width": width,
        "height": height,
    }


def _extent(box: Any, result: dict[str, Any]) -> dict[str, Any]:
    """COCO's box (x, y, width, height) and area of a result."""
    from pycocotools import mask as rle

    x0, y0, x1, y1 = box.tolist()
    return {
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": int(rle.area(result["segmentation"])),
    }
