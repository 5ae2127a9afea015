"""Label Studio's tasks, with the instances as predictions to correct."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from wsis import __version__
from wsis._support.files import write_json, write_text
from wsis.geometry.polygons import joined, polygons
from wsis.report.formats._photos import Photo, Style

PLACE = "/data/local-files/?d="
"""Label Studio's way to a file in its document root."""


def labelstudio(
    photos: Sequence[Photo], classes: Sequence[str], style: Style, folder: Path
) -> None:
    """Write ``images/``, ``tasks.json`` and ``config.xml``, the labelling interface.

    A region is one instance; its pieces are tied by cuts of no width. Photos are named
    from Label Studio's document root, which is to be the folder itself.
    """
    tasks = []
    for number, photo in enumerate(photos, 1):
        name = photo.copy(folder / "images")
        found, (height, width) = photo.found, photo.found.size
        regions = []
        for i, (label, score, mask) in enumerate(
            zip(found.label.tolist(), found.score.tolist(), found.masks, strict=True)
        ):
            outline = joined(polygons(mask, tolerance=style.tolerance))
            points = (100 * outline / (width, height)).round(4).tolist()
            regions.append(
                {
                    "id": f"{number}-{i + 1}",
                    "type": "polygonlabels",
                    "from_name": "label",
                    "to_name": "image",
                    "original_width": width,
                    "original_height": height,
                    "image_rotation": 0,
                    "score": score,
                    "value": {
                        "points": points,
                        "closed": True,
                        "polygonlabels": [classes[label - 1]],
                    },
                }
            )
        prediction = {
            "model_version": f"wsis {__version__}",
            "score": max(found.score.tolist(), default=0.0),
            "result": regions,
        }
        data = {"image": PLACE + quote(f"images/{name}")}
        tasks.append({"data": data, "predictions": [prediction]})
    write_json(folder / "tasks.json", tasks)
    labels = "".join(f"    <Label value={quoteattr(name)}/>\n" for name in classes)
    write_text(
        folder / "config.xml",
        '<View>\n  <Image name="image" value="$image"/>\n'
        f'  <PolygonLabels name="label" toName="image">\n{labels}'
        "  </PolygonLabels>\n</View>\n",
    )
