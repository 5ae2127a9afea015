"""A refined detector as a folder: weights, pseudo labels, and where it came from."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from wsis._support.provenance import versions
from wsis.contracts import Supervision, Tagged, TaggedImage
from wsis.geometry.predictions import Predictions
from wsis.runs._card import BaseCard, RunError
from wsis.runs._trained import Trained
from wsis.runs.refine.detector import mask_rcnn
from wsis.runs.refine.labels import (
    Coverage,
    counted,
    read_pseudo_labels,
    write_pseudo_labels,
)
from wsis.runs.refine.settings import RefineSettings
from wsis.runs.refine.training import detect
from wsis.runs.run import Card, Run

REFINED = "refined.json"
PSEUDO_LABELS = "pseudo_labels.json"


class RefinedCard(BaseCard):
    """The content of ``refined.json``: all of a refined detector but its weights.

    Args:
        settings: of the refinement.
        run: whose predictions it learned from.
        labels: how much the pseudo labels cover; None before they are made.
    """

    FILE: ClassVar[str] = REFINED
    WHAT: ClassVar[str] = "refined detector"
    AGAIN: ClassVar[str] = "refine again"
    IDENTITY: ClassVar[set[str]] = {"settings", "run", "seed", "data"}

    settings: RefineSettings
    run: Card
    labels: Coverage | None = None

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

    @classmethod
    def of(
        cls, run: Run, settings: RefineSettings, seed: int, tagged: Tagged
    ) -> "RefinedCard":
        """Return the card of a refinement that is about to begin.

        Raises:
            RunError: if the data are not of the run's classes.
        """
        if tagged.classes != run.card.classes:
            raise RunError(
                "expected training data of the run's classes, "
                f"{', '.join(run.card.classes)}; got {', '.join(tagged.classes)}"
            )
        ledger = {*run.card.supervision, *settings.ledger, Supervision.TAGS}
        return cls(
            settings=settings,
            run=run.card,
            seed=seed,
            data=tagged.name,
            supervision=tuple(sorted(ledger)),
            versions=versions(),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Refined(Trained):
    """A detector trained on pseudo labels, ready to predict.

    Args:
        card: what it is.
        model: its weights, in evaluation mode.
    """

    card: RefinedCard
    model: nn.Module

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of labels 1…C."""
        return self.card.classes

    @property
    def name(self) -> str:
        """The run's miner with a plus."""
        return self.card.name

    def find(self, image: TaggedImage) -> Predictions:
        """Return the instances on one image of a data set; tags are not looked at."""
        return detect(self.model, image, self.card.ledger)

    def save(self, folder: str | Path) -> "Refined":
        """Write the weights and ``refined.json``, which ``wsis.load`` reads.

        Returns:
            The detector as it was saved.

        Raises:
            RunError: if the folder holds another one.
        """
        place = Path(folder)
        self.card.begin(place, resume=True)
        return replace(self, card=self.card.save(place, self.model))


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
        write_pseudo_labels(
            path, tagged.images, trusted, card.classes, card.category_ids, info
        )
        card.model_copy(update={"labels": covered}).write(folder)
    return read_pseudo_labels(path, card.category_ids), covered


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
    return Refined(card=card, model=model.to(device).eval())
