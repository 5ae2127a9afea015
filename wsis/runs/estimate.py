"""Estimate the time and disk that a run takes, by a short trial on two photos."""

import io
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image as Pillow

from wsis._support.processes import one_thread
from wsis._support.progress import Silent
from wsis._support.provenance import device_in_words
from wsis.contracts import FromFile, Tagged, TaggedImage
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
        class_map: seconds for its class map to learn from one; 0 without one.
        prepare_test: seconds a photo for those that prediction sees, on one thread; 0
            if they are the same.
        predict: seconds a photo, drawing included, once it is prepared; likewise.
        refine: seconds for one pass of a refined detector over a photo; 0 if not asked.
        kept: bytes a photo that the cache keeps.
        drawn: bytes of the drawing of a photo.
        device: in words.
    """

    prepare: float
    step: float
    class_map: float
    prepare_test: float
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
        shown = [time.perf_counter()]
        if trial.settings.test_source is not None:
            others = trial.test_bags(two.images)
            with one_thread():
                trial.prepare(others, lambda bag: shown.append(time.perf_counter()))
        files = [one for one in Path(folder).rglob("*") if one.is_file()]
        kept = sum(one.stat().st_size for one in files) / len(bags)
        steps: list[float] = []

        def tick(progress: Progress) -> None:
            del progress
            steps.append(time.perf_counter())

        clock = _Clock("class map")
        model, _ = trial.train(
            two, miner, 0, bags=bags, steps=STEPS, tick=tick, monitor=clock
        )
        card = Card.of(trial, miner, 0, two)
        run = Run(card=card, model=model.eval(), pipeline=trial)
        began, picture = time.perf_counter(), io.BytesIO()
        with one_thread():
            drawn = run.predict(two.images[-1]).draw()
        Pillow.fromarray(drawn).save(picture, "PNG")
        predict = time.perf_counter() - began
        refining = _refining(run, two, Path(folder) / "refined") if refined else 0.0
    half = len(steps) // 2
    return Estimate(
        prepare=ends[-1] - ends[-2],
        step=(steps[-1] - steps[half]) / max(1, len(steps) - 1 - half),
        class_map=clock.mean(1),
        prepare_test=shown[-1] - shown[-2] if len(shown) > 1 else 0.0,
        predict=predict,
        refine=refining,
        kept=kept,
        drawn=float(len(picture.getvalue())),
        device=device_in_words(pipeline.device),
    )


class _Clock(Silent):
    """Notes when the steps of a stage end, by the last words of its title."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.ends: list[float] = []

    def mean(self, first: int) -> float:
        """Return the mean seconds of steps after the ``first``; 0 without a stage."""
        if not self.ends:
            return 0.0
        return (self.ends[-1] - self.ends[first]) / (len(self.ends) - 1 - first)

    def start(self, title: str, total: int) -> Callable[[str], None]:
        """Begin a stage."""
        if not title.endswith(self.title):
            return super().start(title, total)
        return lambda note: self.ends.append(time.perf_counter())


def _refining(run: Run, two: Tagged, folder: Path) -> float:
    """Return the seconds that the small detector takes for one photo."""
    settings = RefineSettings.read(DETECTORS["small"], ["schedule.iterations=3"])
    clock = _Clock("train")
    refine(run, two, settings, folder=folder, monitor=clock)
    return clock.mean(settings.batch - 1)  # the first step warms up


def _typical(images: Sequence[TaggedImage]) -> list[TaggedImage]:
    """Return two photos with tags, and points if there are any, of middle file size."""
    tagged = [one for one in images if one.tags.any()]
    pointed = [one for one in tagged if one.points is not None]
    chosen = sorted(pointed or tagged, key=_size)
    if not chosen:
        raise ValueError(f"expected photos with tags, none of {len(images)} has any")
    return [chosen[len(chosen) // 3], chosen[2 * len(chosen) // 3]]


def _size(image: TaggedImage) -> int:
    load = image.load
    return load.path.stat().st_size if isinstance(load, FromFile) else 0


__all__ = ["Estimate", "estimate"]
