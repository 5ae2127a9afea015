"""A comparison as one HTML page that needs no other file."""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image as Pillow

from wsis import masks
from wsis.bench import METRICS, Comparison, Row, table
from wsis.contracts import Annotated, GroundTruth, Image, Predictions, Proposals
from wsis.drawing import captions_of, overlay
from wsis.files import atomic_write
from wsis.overlaps import cross_iou
from wsis.pipeline import Pipeline

PICTURES = 8
"""Most validation images shown."""

SHOWN = 5
"""Most predictions drawn on one image."""

SHARE = 0.3
"""Of the image's highest score: predictions below it are not drawn."""

SIDE = 320
"""Longer side of a picture in pixels."""

BUDGET = 3_500_000
"""Characters of all pictures together; no further image is shown beyond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture: what it shows, and itself as a data URI."""

    title: str
    uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """The pictures of one validation image."""

    name: str
    panels: list[Panel]


def write_report(
    comparison: Comparison, val: Annotated, pipeline: Pipeline, path: Path
) -> None:
    """Writes a comparison as a self-contained HTML page, atomically.

    The pictures are of images spread evenly over the validation set. Beside the photo
    stand the best proposal of every object, the predictions of every miner (first seed;
    the ``SHOWN`` best, if their score is at least ``SHARE`` of the image's highest) and
    the ground truth.

    Args:
        comparison: what ``bench.compare`` returned.
        val: the validation set it was made with.
        pipeline: the one it was made with; gives the proposals.
        path: of the page.
    """
    page = render(comparison, strips(comparison, val, pipeline))
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def render(comparison: Comparison, pictures: Sequence[Strip]) -> str:
    """The page itself; everything in it is escaped."""
    results = comparison.results()
    environment = Environment(
        loader=PackageLoader("wsis"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    rows = table(results)
    miners = [row.name for row in rows if row.name not in ("oracle", "random")]
    return environment.get_template("report.html").render(
        results=results,
        columns=[*METRICS, "ABO"],
        rows=[_cells(row, rows) for row in rows],
        miners=miners,
        classes=_per_class(comparison, miners),
        settings=list(_flat(results["settings"])),
        miner_settings={run.miner: run.miner_settings for run in comparison.runs},
        pictures=pictures,
        shown=SHOWN,
        share=SHARE,
    )


def strips(comparison: Comparison, val: Annotated, pipeline: Pipeline) -> list[Strip]:
    """Pictures of up to ``PICTURES`` validation images, as far as ``BUDGET`` allows."""
    images = val.tagged.images
    count = min(PICTURES, len(images))
    found: list[Strip] = []
    size = 0
    for i in (np.arange(count) * len(images) // max(count, 1)).tolist():
        [bag] = pipeline.bags([images[i]])
        panels = _panels(
            bag.pixels,
            bag.proposals,
            val.truths[i],
            {name: made[i] for name, made in comparison.pictures.items()},
            val.tagged.classes,
        )
        size += sum(len(panel.uri) for panel in panels)
        if size > BUDGET:
            break
        found.append(Strip(name=images[i].name, panels=panels))
    return found


def _panels(
    image: Image,
    proposals: Proposals,
    truth: GroundTruth,
    predictions: Mapping[str, Predictions],
    classes: Sequence[str],
) -> list[Panel]:
    names = [classes[label - 1] for label in truth.label.tolist()]
    panels = [
        Panel(title="image", uri=_uri(overlay(image, [], side=SIDE))),
        Panel(title="oracle", uri=_oracle(image, proposals, truth, names)),
    ]
    for miner, found in predictions.items():
        count = sum(s >= SHARE * found.score[0] for s in found.score[:SHOWN].tolist())
        kept = list(found.masks[:count])
        captions = captions_of(found, classes)[:count]
        panels.append(
            Panel(title=miner, uri=_uri(overlay(image, kept, captions, side=SIDE)))
        )
    captions = [
        f"{name} (ignored)" if ignored else name
        for name, ignored in zip(names, truth.ignore.tolist(), strict=True)
    ]
    objects = overlay(image, list(truth.masks), captions, side=SIDE)
    return [*panels, Panel(title="ground truth", uri=_uri(objects))]


def _oracle(
    image: Image, proposals: Proposals, truth: GroundTruth, names: Sequence[str]
) -> str:
    if not len(proposals) or not names:
        return _uri(overlay(image, [], side=SIDE))
    best = cross_iou(proposals, truth.masks).cpu().max(0)
    captions = [
        f"{name} IoU {iou:.2f}"
        for name, iou in zip(names, best.values.tolist(), strict=True)
    ]
    index = best.indices.to(proposals.members.device, torch.long)
    return _uri(overlay(image, masks.rles(proposals, index), captions, side=SIDE))


def _uri(image: UInt8[np.ndarray, "h w 3"]) -> str:
    file = io.BytesIO()
    Pillow.fromarray(image).save(file, "JPEG", quality=82, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _cells(row: Row, rows: Sequence[Row]) -> dict[str, Any]:
    """A row's figures as text, and which of them are the best of several miners."""
    miners = [other for other in rows if other.name not in ("oracle", "random")]
    best = {name: _best([other.mean[name] for other in miners]) for name in METRICS}
    return {
        "name": row.name,
        "seeds": row.seeds,
        "bound": row not in miners,
        "cells": [
            (
                figure(row, name),
                row in miners and name in best and row.mean[name] == best[name],
            )
            for name in (*METRICS, "ABO")
        ],
    }


def figure(row: Row, name: str) -> str:
    """``31.4 ± 0.5``, ``31.4`` for one seed, a dash where there is none."""
    if name not in row.mean:
        return "–"
    deviation = row.deviation.get(name)
    mean = f"{row.mean[name]:.1f}"
    return mean if deviation is None else f"{mean} ± {deviation:.1f}"


def _per_class(comparison: Comparison, miners: Sequence[str]) -> list[dict[str, Any]]:
    """mAP50 of every class: each miner's mean over seeds, the oracle's, chance's."""
    lines = []
    for name in comparison.data["classes"]:
        columns = [
            [run.per_class[name]["mAP50"] for run in comparison.runs if run.miner == m]
            for m in miners
        ]
        columns += [
            [bound.per_class[name]["mAP50"]]
            for bound in (comparison.oracle, comparison.random)
        ]
        means = [_mean(values) for values in columns]
        best = _best([v for v in means[: len(miners)] if v is not None])
        lines.append(
            {
                "name": name,
                "cells": [
                    (
                        "–" if value is None else f"{value:.1f}",
                        i < len(miners) and value is not None and value == best,
                    )
                    for i, value in enumerate(means)
                ],
            }
        )
    return lines


def _best(values: Sequence[float]) -> float | None:
    """The highest of several values; None where they do not differ."""
    return max(values) if len(set(values)) > 1 else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            # A part's own settings read as on the command line: source.nodes.
            inner = prefix if key == "settings" else f"{prefix}{key}."
            yield from _flat(value, inner)
        elif key == "name" and prefix:
            yield prefix[:-1], str(value)
        elif not isinstance(value, Mapping):
            yield f"{prefix}{key}", str(value)
