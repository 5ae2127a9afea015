"""A refined detector as a folder: weights, pseudo labels, and where it came from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from wsis._support.files import write_json
from wsis._support.provenance import versions
from wsis.contracts import Ledger, Predictions, Supervision, Tagged, TaggedImage
from wsis.runs.folder import (
    MODEL,
    Card,
    Run,
    RunError,
    check_weights,
    read_card,
    read_weights,
    write_weights,
)
from wsis.runs.refine.detector import mask_rcnn
from wsis.runs.refine.pseudo_labels import (
    Coverage,
    counted,
    read_pseudo_labels,
    write_pseudo_labels,
)
from wsis.runs.refine.settings import RefineSettings
from wsis.runs.refine.training import detect
from wsis.training.loop import Progress

REFINED = "refined.json"
PSEUDO_LABELS = "pseudo_labels.json"


class RefinedCard(BaseModel):
    """What ``refined.json`` says: everything about a refined detector but its weights.

    Args:
        settings: of the refinement.
        run: whose predictions it learned from.
        seed: of everything drawn.
        data: name of the training set.
        supervision: the labels consumed, by the run and by the detector.
        versions: of what it was trained with.
        labels: how much the pseudo labels cover; None before they are made.
        images: seen in training.
        skipped: training photos left out, by reason.
        losses: mean of each loss per epoch.
        weights: SHA-256 of the weights' file; empty until training is done.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    settings: RefineSettings
    run: Card
    seed: int
    data: str
    supervision: tuple[str, ...]
    versions: dict[str, str]
    labels: Coverage | None = None
    images: int = 0
    skipped: dict[str, int] = {}
    losses: list[dict[str, float]] = []
    weights: str = ""

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
    def ledger(self) -> Ledger:
        """The labels consumed."""
        return frozenset(Supervision(one) for one in self.supervision)

    @classmethod
    def of(
        cls, run: Run, settings: RefineSettings, seed: int, tagged: Tagged
    ) -> "RefinedCard":
        """The card of a refinement that is about to begin.

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

    def write(self, folder: Path) -> None:
        """Writes ``refined.json``, atomically."""
        write_json(folder / REFINED, self.model_dump(mode="json"))

    @classmethod
    def read(cls, folder: Path) -> "RefinedCard":
        """Reads ``refined.json``.

        Raises:
            RunError: if it is missing, damaged or something else.
        """
        what = "a refined detector"
        return read_card(cls, folder / REFINED, folder_of=what, of=what)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Refined:
    """A detector trained on pseudo labels, ready to predict.

    Args:
        card: what it is.
        model: its weights, in evaluation mode.
    """

    card: RefinedCard
    model: nn.Module

    def predict(self, image: TaggedImage) -> Predictions:
        """The instances on one image; its tags are not looked at."""
        return detect(self.model, image, self.card.ledger)


def begin_refined(folder: Path, card: RefinedCard, *, resume: bool = False) -> None:
    """Makes the folder, or checks that it holds the beginning of this refinement.

    Raises:
        RunError: if the folder exists and ``resume`` is False, or holds another one.
    """
    if folder.exists() and not resume:
        raise RunError(
            f"expected a new folder, {folder} exists; choose another, or resume it"
        )
    if folder.exists() and any(folder.iterdir()):
        found = RefinedCard.read(folder)
        changes = [
            key for key in _IDENTITY if getattr(found, key) != getattr(card, key)
        ]
        if changes:
            raise RunError(
                f"{folder} holds another refinement (of other {', '.join(changes)}); "
                "choose another folder"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    card.write(folder)


_IDENTITY = ("settings", "run", "seed", "data")


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
            found.append(run.predict(image))
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


def save_refined(
    folder: Path,
    model: nn.Module,
    card: RefinedCard,
    covered: Coverage,
    progress: Progress,
) -> None:
    """Writes the weights, then the card that names them; each file atomically."""
    written = write_weights(folder / MODEL, model)
    card.model_copy(
        update={
            "labels": covered,
            "images": progress.step,
            "skipped": progress.skipped,
            "losses": progress.losses,
            "weights": written,
        }
    ).write(folder)


def load_refined(folder: Path, device: torch.device) -> Refined:
    """The detector of a folder, ready to predict; nothing is unpickled.

    The backbone's ImageNet weights are not needed again.

    Raises:
        RunError: if the folder is missing, damaged, unfinished or something else.
    """
    card = RefinedCard.read(folder)
    if not card.weights:
        raise RunError(f"the refinement of {folder} is not finished; resume it first")
    check_weights(folder / MODEL, card.weights, again="refine again")
    model = mask_rcnn(card.settings, len(card.classes), card.seed, weights=False)
    read_weights(folder / MODEL, model)
    return Refined(card=card, model=model.to(device).eval())
