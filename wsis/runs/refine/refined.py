"""Teaches a detector what a run finds, and keeps it as a folder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from wsis._support.checks import warn
from wsis._support.files import write_json
from wsis._support.progress import Monitor, Silent
from wsis._support.provenance import commit, device_in_words, versions
from wsis.contracts import Supervision, Tagged, TaggedImage
from wsis.data.halves import summary, tagged_for, tell_shared
from wsis.evaluation import coco_data_set
from wsis.geometry.predictions import Predictions
from wsis.proposals.bags import keys_of
from wsis.runs._card import CHECKPOINT, BaseCard, check_room
from wsis.runs._trained import Tick, Trained, counting
from wsis.runs.refine.detector import mask_rcnn
from wsis.runs.refine.labels import (
    Coverage,
    agrees,
    counted,
    read_pseudo_labels,
)
from wsis.runs.refine.settings import RefineSettings
from wsis.runs.refine.training import detect, fit_detector
from wsis.runs.run import Card, Run
from wsis.runs.settings import checked_seeds
from wsis.training.trackers import Trackers, following, trackers

REFINED = "refined.json"
PSEUDO_LABELS = "pseudo_labels.json"


class RefinedCard(BaseCard):
    """The content of ``refined.json``: all of a refined detector but its weights.

    Args:
        settings: of the refinement.
        run: whose predictions it learned from.
        labels: how much the pseudo labels cover; None before they are made.
        agreed: training photos whose tags have the detector's best instance; None
            before the end, and where an earlier version trained.
    """

    FILE: ClassVar[str] = REFINED
    WHAT: ClassVar[str] = "refined detector"
    AGAIN: ClassVar[str] = "refine again"
    IDENTITY: ClassVar[set[str]] = {"settings", "run", "seed", "data"}

    settings: RefineSettings
    run: Card
    labels: Coverage | None = None
    agreed: int | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of labels 1…C."""
        return self.run.classes

    @property
    def category_ids(self) -> tuple[int, ...]:
        """The training set's own numbers of these classes."""
        return self.run.category_ids

    @property
    def name(self) -> str:
        """The run's miner with a plus, as the paper calls CIM's refinement."""
        return f"{self.run.miner.label}+"

    @property
    def agreement(self) -> str:
        """Count how often detector and run agree with the tags, in words."""
        labels = self.labels
        if labels is None or labels.agreed is None or self.agreed is None:
            return "agreement with the tags: not counted by the version that began this"
        text = (
            f"best instance of one of the photo's tags: {self.agreed} of "
            f"{labels.photos} training photos, {labels.agreed} with the run"
        )
        if self.agreed >= labels.agreed:
            return text
        return (
            f"{text}\nwarning: the detector agrees with the tags less often than the "
            "run that taught it; train it longer (--epochs, into another folder), or "
            "predict with the run"
        )

    @classmethod
    def of(
        cls, run: Run, settings: RefineSettings, seed: int, tagged: Tagged
    ) -> "RefinedCard":
        """Return the card of a refinement that is about to begin."""
        ledger = {*run.card.supervision, *settings.ledger, Supervision.TAGS}
        return cls(
            settings=settings,
            run=run.card,
            seed=seed,
            data=tagged.name,
            supervision=tuple(sorted(ledger)),
            versions=versions(),
            commit=commit(),
            devices=(device_in_words(run.pipeline.device),),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Refined(Trained):
    """A detector trained on pseudo labels, ready to predict.

    Args:
        card: what it is.
        model: its weights, in evaluation mode.
        photos: keys of the photos that it and its run were trained on.
    """

    card: RefinedCard

    @property
    def parts(self) -> int:
        """The one look at the photo."""
        return 1

    def find(
        self,
        image: TaggedImage,
        allowed: Bool[Tensor, " C"] | None = None,
        tick: Tick = lambda done: None,
    ) -> Predictions:
        """Return the instances on one image, of the classes allowed."""
        found = detect(self.model, image, self.card.ledger)
        tick("masks")
        return found if allowed is None else found.chosen(allowed[found.label - 1])


def refine(
    run: Run,
    tagged: Tagged,
    settings: RefineSettings,
    *,
    folder: Path,
    val: Tagged | None = None,
    seed: int = 0,
    resume: bool = False,
    monitor: Monitor | None = None,
    covered: Callable[[Coverage], None] = lambda coverage: None,
    tracker: Trackers = (),
) -> Refined:
    """Teach a Mask R-CNN what a run finds on its training photos; no mask is read.

    In the end both are asked for the best instance on every training photo, and how
    often it is of one of the photo's tags stands in the card.

    Args:
        run: finds the pseudo labels.
        tagged: the training photos.
        settings: of the detector and of the trust in labels.
        folder: keeps pseudo labels, checkpoints and the detector.
        val: photos to measure on; a warning tells which of them are trained on.
        seed: of everything drawn.
        resume: continues the refinement in ``folder``.
        monitor: is told of progress.
        covered: is told how much the pseudo labels cover, before training.
        tracker: draws curves, as in ``wsis.train``.

    Raises:
        RunError: if ``folder`` exists and ``resume`` is False, or it holds another
            refinement.
        ValueError: if the photos have none of the run's classes, there are no pseudo
            labels, or weights are missing.
    """
    monitor, several = monitor or Silent(), trackers(tracker)
    [seed] = checked_seeds([seed])
    device = run.pipeline.device
    tagged = tagged_for(tagged, run.classes, "the run")
    monitor.say(summary(tagged))
    card = RefinedCard.of(run, settings, seed, tagged)
    model = mask_rcnn(settings, len(card.classes), seed).to(device)
    held = [] if val is None else keys_of(run.pipeline.bags(val.images), monitor)
    card = card.begin(folder, resume=resume)
    told = settings.model_dump(mode="json")
    training = card.training(card.name, folder, told, resumes=resume)
    with following(several, training) as curves:
        bags = run.pipeline.test_bags(tagged.images)
        card = card.model_copy(update={"inputs": run.pipeline.inputs(bags, monitor)})
        photos = [*dict.fromkeys([*run.photos, *(bag.key for bag in bags)])]
        _tell_others(card)
        if val is not None:
            tell_shared(val.images, held, photos)
        card = card.begin(folder, resume=True)
        check_room(folder, model)
        step = monitor.start("pseudo labels", len(tagged.images))
        labels, coverage = pseudo_labels(folder, run, tagged, card, step)
        covered(coverage)
        labelled = sum(len(one) > 0 for one in labels)
        total = settings.paced.images(labelled)
        follow = curves.of(settings.paced, labelled, total)
        progress = fit_detector(
            model,
            tagged.images,
            labels,
            settings,
            seed=seed,
            checkpoint=folder / CHECKPOINT,
            tick=counting(monitor, f"{card.name}, seed {seed}: train", total, follow),
        )
        step = monitor.start("agreement with the tags", coverage.photos)
        agreed = 0
        for image in tagged.images:
            if image.tags.any():
                agreed += agrees(detect(model, image, card.ledger), image)
                step(image.name)
        card = card.trained(progress, labels=coverage, agreed=agreed)
        card.save(folder, model, photos)
        return load_refined(folder, device)


def _tell_others(card: RefinedCard) -> None:
    """Warn where the run was trained on other photos, or on the same with other tags.

    An early run does not know its photos.
    """
    here, there = card.inputs, card.run.inputs
    other = [name for name in ("photos", "tags") if here[name] != there.get(name)]
    if there and other:
        warn(
            f"the run was trained on other {other[0]}: {_about(there, card.run.data)}; "
            f"here {_about(here, card.data)}; to refine it on its own photos, "
            "name the data that it was trained on"
        )


def _about(inputs: Mapping[str, str], data: str) -> str:
    return f"{inputs['photos'].partition(',')[0]} of {data}"


def pseudo_labels(
    folder: Path,
    run: Run,
    tagged: Tagged,
    card: RefinedCard,
    tick: Callable[[str], None] = lambda name: None,
) -> tuple[list[Predictions], Coverage]:
    """Each training photo's pseudo labels, and how much they cover.

    Made once and kept in ``pseudo_labels.json``, a data set in COCO's format; from then
    on read from there. Only pixels and tags are looked at.

    Args:
        folder: of the refinement.
        run: finds the instances.
        tagged: the training photos.
        card: names what is trusted.
        tick: called after every photo.
    """
    path = folder / PSEUDO_LABELS
    covered = RefinedCard.read(folder).labels
    if covered is None or not path.is_file():
        found = []
        for image in tagged.images:
            found.append(run.find(image))
            tick(image.name)
        trust = card.settings.trust
        trusted = [
            trust(one, image.tags)
            for one, image in zip(found, tagged.images, strict=True)
        ]
        covered = counted(tagged.images, found, trusted)
        info = {
            "description": f"pseudo labels by {card.run.miner.label}",
            "supervision": list(card.run.supervision),
            "versions": card.versions,
        }
        names, known = [one.name for one in tagged.images], card.category_ids
        write_json(path, coco_data_set(names, trusted, card.classes, known, info))
        card.model_copy(update={"labels": covered}).write(folder)
    return read_pseudo_labels(path), covered


def load_refined(folder: Path, device: torch.device) -> Refined:
    """Return the detector of a folder, ready to predict; nothing is unpickled.

    The backbone's ImageNet weights are not needed again.

    Raises:
        RunError: if the folder is missing, damaged, unfinished or something else.
    """
    card = RefinedCard.read(folder)
    card.check_weights(folder)
    model = mask_rcnn(card.settings, len(card.classes), card.seed, weights=False)
    card.read_weights(folder, model)
    photos = card.read_photos(folder)
    return Refined(card=card, model=model.to(device).eval(), photos=photos)
