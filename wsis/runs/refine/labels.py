"""Predictions on training photos that a detector is to believe."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from wsis._support.checks import at_least, fraction
from wsis._support.files import parse_json
from wsis.contracts import TaggedImage
from wsis.evaluation import of_data_set
from wsis.geometry.predictions import Predictions


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Chooses the instances of a training photo that become pseudo labels.

    Li et al., https://arxiv.org/abs/2402.07633 (CIM+): those with a high score, of the
    classes that the photo is tagged with. An instance of another class is wrong for
    certain and goes whatever its score.

    A score is a product of two probabilities and a mean over branches, so that a fixed
    threshold may leave a tagged class without any label; Mask R-CNN would then be
    taught that its objects are background. A tag promises at least one instance:
    ``top_per_tag`` keeps the best ones of every tag whatever their score (0: the
    threshold alone, as the paper has it).

    Args:
        min_score: lowest score, in [0, 1].
        top_per_tag: how many of each of the photo's classes are kept in any case.

    Raises:
        ValueError: if a setting is out of range.
    """

    min_score: float = 0.3
    top_per_tag: int = 1

    def __post_init__(self) -> None:
        fraction("min_score", self.min_score, zero=True)
        at_least("top_per_tag", self.top_per_tag, 0)

    def __call__(self, found: Predictions, tags: Bool[Tensor, " C"]) -> Predictions:
        """Those of ``found`` that are trusted, best first as they came."""
        same = found.label[:, None] == found.label
        rank = same.tril(-1).sum(1)  # better ones of the same class
        trusted = (found.score >= self.min_score) | (rank < self.top_per_tag)
        return found.chosen(trusted & tags[found.label - 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The photos and tags that pseudo labels cover.

    Args:
        photos: with tags.
        labelled: of these, how many have a pseudo label.
        tags: over all photos.
        covered: of these, how many have a pseudo label of their class.
        labels: pseudo labels in all.
        best: median over tags of the best score that a prediction of the tag's class
            has; 0 where there is none.
        agreed: of the photos with tags, how many agree with the run (``agrees``); None
            where an earlier version counted.
    """

    photos: int
    labelled: int
    tags: int
    covered: int
    labels: int
    best: float
    agreed: int | None = None

    @property
    def said(self) -> str:
        """Return all of it in words, but for the agreement."""
        return (
            f"{self.labels} pseudo labels on {self.labelled} of {self.photos} "
            f"tagged photos, for {self.covered} of {self.tags} tags; a tag's best "
            f"score is {self.best:.2f} (median)"
        )

    @property
    def scarce(self) -> bool:
        """Fewer than one pseudo label a photo."""
        return self.labels < self.photos


def counted(
    images: Sequence[TaggedImage],
    found: Sequence[Predictions],
    trusted: Sequence[Predictions],
) -> Coverage:
    """Count what ``Trust`` kept of all predictions on the training photos."""
    tagged = [i for i, image in enumerate(images) if image.tags.any()]
    pairs = [
        (i, int(column) + 1) for i in tagged for column in images[i].tags.nonzero()
    ]
    best = [
        max(found[i].score[found[i].label == label].tolist(), default=0.0)
        for i, label in pairs
    ]
    return Coverage(
        photos=len(tagged),
        labelled=sum(len(trusted[i]) > 0 for i in tagged),
        tags=len(pairs),
        covered=sum(bool((trusted[i].label == label).any()) for i, label in pairs),
        labels=sum(len(one) for one in trusted),
        best=float(torch.tensor(best).median()) if best else 0.0,
        agreed=sum(agrees(found[i], images[i]) for i in tagged),
    )


def agrees(found: Predictions, image: TaggedImage) -> bool:
    """Tell whether the best of a photo's predictions is of one of its tags."""
    return len(found) > 0 and bool(image.tags[found.label[0] - 1])


def read_pseudo_labels(path: Path) -> list[Predictions]:
    """Each photo's pseudo labels, in the order of the file that holds them.

    Raises:
        ValueError: if the file is damaged.
    """
    try:
        return of_data_set(parse_json(path.read_bytes())).predictions
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it") from None
