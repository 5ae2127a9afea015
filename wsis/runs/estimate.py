"""Estimate the time and disk that a run takes, by a short trial on two photos."""

import io
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image as Pillow

from wsis._support.progress import Silent
from wsis._support.provenance import device_in_words
from wsis.contracts import Tagged, TaggedImage
from wsis.runs.pipeline import Pipeline
from wsis.runs.refine import DETECTORS, RefineSettings, refine
from wsis.runs.run import Card, Run
from wsis.runs.settings import Part
from wsis.training.checkpoints import Progress

STEPS = 8
"""Images trained in a trial; the first half warms up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The time and disk that a run takes.

    Args:
        prepare: seconds a photo for proposals and features.
        step: seconds for training on one photo once.
        predict: seconds a photo, drawing included, once it is prepared.
        refine: seconds for one pass of a refined detector over a photo; 0 if not asked.
        kept: bytes a photo that the cache keeps.
        drawn: bytes of the drawing of a photo.
        device: in words.
    """

    prepare: float
    step: float
    predict: float
    refine: float
    kept: float
    drawn: float
    device: str


def estimate(
    pipeline: Pipeline, miner: Part, tagged: Tagged, *, refined: bool = False
) -> Estimate:
    """Run every part on two photos of middle size, and measure.

    Args:
        pipeline: of the run; its cache is not touched.
        miner: of the run.
        tagged: the photos.
        refined: whether a detector is refined, too.

    Raises:
        ValueError: if no photo has tags.
    """
    two = replace(tagged, images=_typical(tagged.images))
    with tempfile.TemporaryDirectory() as folder:
        trial = replace(pipeline, cache=Path(folder))
        bags, ends = trial.bags(two.images), [time.perf_counter()]
        trial.prepare(bags, lambda bag: ends.append(time.perf_counter()))
        files = [one for one in Path(folder).rglob("*") if one.is_file()]
        kept = sum(one.stat().st_size for one in files) / len(bags)
        steps: list[float] = []

        def tick(progress: Progress) -> None:
            del progress
            steps.append(time.perf_counter())

        model, _ = trial.train(two, miner, 0, bags=bags, steps=STEPS, tick=tick)
        card = Card.of(trial, miner, 0, two)
        run = Run(card=card, model=model.eval(), pipeline=trial)
        began, picture = time.perf_counter(), io.BytesIO()
        Pillow.fromarray(run.predict(two.images[-1]).draw()).save(picture, "PNG")
        predict = time.perf_counter() - began
        refining = _refining(run, two, Path(folder) / "refined") if refined else 0.0
    half = len(steps) // 2
    return Estimate(
        prepare=ends[-1] - ends[-2],
        step=(steps[-1] - steps[half]) / max(1, len(steps) - 1 - half),
        predict=predict,
        refine=refining,
        kept=kept,
        drawn=float(len(picture.getvalue())),
        device=device_in_words(pipeline.device),
    )


class _Clock(Silent):
    """Notes when the steps of training end."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def start(self, title: str, total: int) -> Callable[[str], None]:
        """Begin a stage."""
        if not title.endswith("train"):
            return super().start(title, total)
        return lambda note: self.ends.append(time.perf_counter())


def _refining(run: Run, two: Tagged, folder: Path) -> float:
    """Return the seconds that the small detector takes for one photo."""
    settings = RefineSettings.read(DETECTORS["small"], ["schedule.iterations=3"])
    clock = _Clock()
    refine(run, two, settings, folder=folder, monitor=clock)
    first = settings.batch - 1  # the first step warms up
    return (clock.ends[-1] - clock.ends[first]) / (len(clock.ends) - 1 - first)


def _typical(images: Sequence[TaggedImage]) -> list[TaggedImage]:
    """Return two photos with tags, and points if there are any, of middle file size."""
    tagged = [one for one in images if one.tags.any()]
    pointed = [one for one in tagged if one.points is not None]
    chosen = sorted(pointed or tagged, key=_size)
    if not chosen:
        raise ValueError(f"expected photos with tags, none of {len(images)} has any")
    return [chosen[len(chosen) // 3], chosen[2 * len(chosen) // 3]]


def _size(image: TaggedImage) -> int:
    path = getattr(image.load, "path", None)
    return 0 if path is None else Path(path).stat().st_size


__all__ = ["Estimate", "estimate"]
