"""Noise samplers: they choose the pseudo instances that training believes this time."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from wsis.contracts import PseudoInstances


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepAll:
    """Keeps every pseudo instance."""

    def __call__(
        self, pseudo: PseudoInstances, generator: torch.Generator
    ) -> PseudoInstances:
        """Return the same pseudo instances; draws nothing."""
        return pseudo


@dataclass(frozen=True, slots=True, kw_only=True)
class AntiNoiseSampler:
    """Keeps pseudo instances at random, the heavier the likelier.

    Li et al., https://arxiv.org/abs/2402.07633: of a class's n pseudo
    instances, n are drawn with replacement with probability p ∝ weight and the distinct
    ones kept, so that each is kept with probability 1 − (1 − p)^n.
    """

    @torch.no_grad()
    def __call__(
        self, pseudo: PseudoInstances, generator: torch.Generator
    ) -> PseudoInstances:
        """Return those drawn, in their order: at least one of each class that had any.

        Drawn on the generator's device. A class whose weights are all zero is drawn
        from evenly.

        Raises:
            ValueError: if a weight is negative or not finite.
        """
        if len(pseudo) == 0:
            return pseudo
        if not (pseudo.weight.isfinite() & (pseudo.weight >= 0)).all():
            raise ValueError(f"weights must be finite and >= 0, got {pseudo.weight}")
        keep = self._draw(pseudo, generator).to(pseudo.index.device)
        return pseudo.chosen(keep)

    def _draw(
        self, pseudo: PseudoInstances, generator: torch.Generator
    ) -> Bool[Tensor, " S"]:
        label = pseudo.label.to(generator.device)
        weight = pseudo.weight.to(generator.device)
        own = label == label.unique()[:, None]  # (classes, S)
        chance = own * weight
        # Divided by the maximum first: a sum of tiny weights must not underflow.
        chance = chance / chance.amax(1, keepdim=True)
        chance = chance.where(chance.isfinite(), own.to(weight.dtype))
        draws = chance.multinomial(len(label), replacement=True, generator=generator)
        counts = own.sum(1, keepdim=True)
        drawn = draws[torch.arange(len(label), device=draws.device) < counts]
        keep = torch.zeros_like(label, dtype=torch.bool)
        keep[drawn] = True
        return keep
