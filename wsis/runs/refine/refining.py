"""Refines a run in one call: pseudo labels, training, the folder."""

from collections.abc import Callable
from pathlib import Path

from wsis._support.progress import Monitor, Silent
from wsis.contracts import Tagged
from wsis.runs.refine.detector import mask_rcnn
from wsis.runs.refine.labels import Coverage
from wsis.runs.refine.refined import Refined, RefinedCard, load_refined, pseudo_labels
from wsis.runs.refine.settings import RefineSettings
from wsis.runs.refine.training import fit_detector
from wsis.runs.run import CHECKPOINT, Run
from wsis.training.loop import Progress


def refine(
    run: Run,
    tagged: Tagged,
    settings: RefineSettings,
    *,
    folder: Path,
    seed: int = 0,
    resume: bool = False,
    monitor: Monitor | None = None,
    covered: Callable[[Coverage], None] = lambda coverage: None,
) -> Refined:
    """Teach a Mask R-CNN what a run finds on its training photos; no mask is read.

    Args:
        run: finds the pseudo labels.
        tagged: the training photos.
        settings: of the detector and of the trust in labels.
        folder: keeps pseudo labels, checkpoints and the detector.
        seed: of everything drawn.
        resume: continues the refinement in ``folder``.
        monitor: is told of progress.
        covered: is told how much the pseudo labels cover, before training.

    Raises:
        RunError: if ``folder`` exists and ``resume`` is False, or it holds another
            refinement, or the photos have other classes than the run.
        ValueError: if there are no pseudo labels, or weights are missing.
    """
    monitor, device = monitor or Silent(), run.pipeline.device
    card = RefinedCard.of(run, settings, seed, tagged)
    model = mask_rcnn(settings, len(card.classes), seed).to(device)
    card.begin(folder, resume=resume)
    step = monitor.start("pseudo labels", len(tagged.images))
    labels, coverage = pseudo_labels(folder, run, tagged, card, step)
    covered(coverage)
    total = settings.paced.images(sum(len(one) > 0 for one in labels))
    step, seen = monitor.start(f"{card.name}, seed {seed}: train", total), 0

    def tell(progress: Progress) -> None:
        nonlocal seen
        for _ in range(progress.step - seen):
            step("")
        seen = progress.step

    progress = fit_detector(
        model,
        tagged.images,
        labels,
        settings,
        seed=seed,
        checkpoint=folder / CHECKPOINT,
        tick=tell,
    )
    card.trained(progress, labels=coverage).save(folder, model)
    return load_refined(folder, device)
