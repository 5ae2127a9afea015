"""A data set of which some training photos are kept back for their tags."""

from dataclasses import dataclass

import torch

from wsis._support.checks import inside
from wsis._support.randomness import generator
from wsis.contracts import Annotated, DataSource, Tagged


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A ``DataSource`` whose training half lacks the photos held out.

    Only tagged photos are held out, drawn at random; ``held`` gives them as ``Tagged``,
    which has no masks, so that no criterion can look at any.

    Args:
        source: the whole data set.
        share: of its tagged training photos that are held out, in (0, 1).
        seed: another one holds out others.
        judged: whether there are masks to judge by; else ``val`` is empty.

    Raises:
        ValueError: if ``share`` is out of range.
    """

    source: DataSource
    share: float = 0.25
    seed: int = 0
    judged: bool = True

    def __post_init__(self) -> None:
        inside("held_out", self.share)

    def train(self) -> Tagged:
        """The photos that are trained on.

        Raises:
            ValueError: if no tagged photo is left, or none held out.
        """
        return self._half(held=False)

    def held(self) -> Tagged:
        """The photos held out; else as ``train``."""
        return self._half(held=True)

    def val(self) -> Annotated:
        """The validation photos with their masks; none where nothing is judged."""
        if self.judged:
            return self.source.val()
        train = self.source.train()
        return Annotated(
            tagged=Tagged(name=train.name, classes=train.classes, images=[]), truths=[]
        )

    def _half(self, *, held: bool) -> Tagged:
        whole = self.source.train()
        tagged = [i for i, image in enumerate(whole.images) if image.tags.any()]
        count = round(self.share * len(tagged))
        if not 0 < count < len(tagged):
            raise ValueError(
                "expected tagged photos both to train on and to hold out, got "
                f"{len(tagged) - count} and {count}"
            )
        draw = torch.randperm(
            len(tagged), generator=generator(self.seed, "held-out tags")
        )
        out = {tagged[i] for i in draw[:count].tolist()}
        return Tagged(
            name=whole.name,
            classes=whole.classes,
            images=[
                image for i, image in enumerate(whole.images) if (i in out) == held
            ],
        )
