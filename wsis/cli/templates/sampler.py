"""A noise sampler: it chooses the pseudo instances that training believes this time."""

from dataclasses import dataclass

import torch

from wsis.contracts import PseudoInstances


@dataclass(frozen=True, kw_only=True)
class NewPart:
    """Keeps the heaviest pseudo instance of each class, and others by chance.

    Args:
        chance: of each of the others, in [0, 1].

    Raises:
        ValueError: if ``chance`` is out of range.
    """

    chance: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.chance <= 1:
            raise ValueError(f"chance must be in [0, 1], got {self.chance}")

    @torch.no_grad()
    def __call__(
        self, pseudo: PseudoInstances, generator: torch.Generator
    ) -> PseudoInstances:
        """Return those kept, in their order; all come to the CPU first."""
        keep = torch.rand(len(pseudo), generator=generator) < self.chance
        for label in pseudo.label.unique():
            weight = pseudo.weight.masked_fill(pseudo.label != label, -1)
            keep |= weight == weight.max()
        return pseudo.chosen(keep)
