"""The proposal-free row: cells grouped without proposals, on a bench's features."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from wsis.contracts import Ledger, Supervision, Tagged
from wsis.cues.kept import Maps
from wsis.geometry.frame import frame
from wsis.geometry.predictions import Predictions
from wsis.proposals.bags import Bag
from wsis.runs.pipeline import Pipeline
from wsis.training.checkpoints import Progress
from wsis.training.proposal_free import CentreNetwork, ProposalFree

FOLDER = ROW = "proposal-free"
"""Where the runs are kept, inside the bench's folder, and the row's name in tables."""

_READ = "backbone", "train_sides", "test_sides", "resize", "max_side"
"""Settings of a strategy that matter to it; maps are of the first sides, unflipped."""

_INPUTS = "photos", "tags", "backbone", "truths"


@dataclass(frozen=True, eq=False)
class Free:
    """Trains and predicts without proposals, as a pipeline does with them.

    Args:
        pipeline: gives backbone, photos and cache.
        method: learns and groups.
    """

    pipeline: Pipeline
    method: ProposalFree = field(default_factory=ProposalFree)

    @property
    def device(self) -> torch.device:
        """The device of networks."""
        return self.pipeline.device

    @property
    def ledgers(self) -> dict[str, Ledger]:
        """The labels consumed: tags, and those of the backbone."""
        return {
            "backbone": self.pipeline.ledgers["backbone"],
            "training": frozenset({Supervision.TAGS}),
        }

    def identity(self) -> dict[str, Any]:
        """Return all that figures depend on besides the data and the seed."""
        settings = self.pipeline.settings.resolved()
        return {
            **{key: settings[key] for key in _READ},
            "proposal-free": asdict(self.method),
            "device": str(self.device),
        }

    def train(
        self,
        tagged: Tagged,
        *,
        seed: int,
        tick: Callable[[Progress], None] = lambda progress: None,
    ) -> tuple[CentreNetwork, Progress]:
        """Return a network trained on tagged images.

        Raises:
            ValueError: if none has tags.
        """
        bags, progress = self.pipeline.bags(tagged.images), Progress()
        some = [bag for bag in bags if bag.tags.any()]
        if not some:
            raise ValueError(f"expected images with tags, none of {len(bags)} has any")
        if len(some) < len(bags):
            progress.skip("no tags", len(bags) - len(some))
        network, progress.losses = self.method.fit(
            Maps(self.pipeline.frozen, some, self.pipeline.train_views[0]),
            torch.stack([bag.tags for bag in some]),
            seed,
            device=self.device,
            tick=lambda: tick(progress),
        )
        return network, progress

    def predict(self, network: CentreNetwork, bag: Bag) -> Predictions:
        """Return the instances on one image; masks are made in the photo's frame."""
        return self.method.predict(
            network,
            self.pipeline.frozen.map(bag, self.pipeline.test_views[0]),
            frame(bag.size),
            image_id=bag.image.id,
            ledger=frozenset().union(*self.ledgers.values()),
        ).enlarged(bag.size)


def read(inputs: Mapping[str, str]) -> dict[str, str]:
    """Return those of a run's inputs that matter without proposals."""
    return {
        key: value
        for key, value in inputs.items()
        if key in _INPUTS or key.endswith("of the backbone")
    }
