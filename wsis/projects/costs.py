"""Estimates the time and disk that a project takes."""

from dataclasses import dataclass
from pathlib import Path

from wsis.contracts import Tagged
from wsis.data.images import images_in
from wsis.projects.project import Project
from wsis.runs.estimate import estimate
from wsis.runs.pipeline import Pipeline
from wsis.runs.predicting import jobs_for
from wsis.training.class_map import map_steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The time and disk that a project takes.

    Args:
        seconds: of the longer steps, by name.
        size: bytes of all results and of what the cache keeps.
        device: in words.
    """

    seconds: dict[str, float]
    size: float
    device: str


def cost(
    project: Project,
    tagged: Tagged,
    *,
    device: str = "auto",
    cache: str | Path | None = None,
    jobs: int | None = None,
) -> Cost:
    """Estimate the time and disk of all steps, by a trial on two photos.

    Args:
        project: says what is made.
        tagged: its photos.
        device: where models run.
        cache: folder that keeps proposals and features; the trial leaves it alone.
        jobs: processes that predict, as ``run`` takes them.

    Raises:
        ValueError: if no photo has tags.
    """
    miner, settings = project.chosen
    pipeline = Pipeline.of(settings=settings, device=device, cache=cache)
    trained = sum(bool(image.tags.any()) for image in tagged.images)
    one = estimate(pipeline, miner, tagged, refined=bool(project.refine))
    refined = project.refinement.paced.images(trained)
    photos = images_in([project.photos])
    others = max(0, len(photos) - len(tagged.images))
    copied = sum(path.stat().st_size for path in photos) * len(project.export)
    steps = settings.schedule.images(tagged.epoch)
    mapped = min(steps, map_steps(tagged.epoch))
    if tagged.background:
        # A photo of background goes with each.
        steps *= 2
        mapped += min(mapped, mapped * tagged.background // tagged.epoch)
    seconds = {
        "train": one.prepare * len(tagged.images)
        + settings.rounds * (one.step * steps + one.class_map * mapped)
        + (settings.rounds - 1) * one.predict * trained,
        "refine": one.refine * refined,
        "predict": (
            (one.predict + one.prepare_test) * len(photos)
            + (0 if one.prepare_test else one.prepare * others)
        )
        / (jobs or jobs_for(pipeline.device, len(photos))),
    }
    size = (one.kept + one.drawn) * len(photos) + copied
    return Cost(seconds=seconds, size=size, device=one.device)
