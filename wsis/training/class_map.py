"""The class map: a class for every region of a photo, learned from what is found."""

import math
from collections.abc import Callable, Sequence
from functools import cache
from zlib import crc32

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn

from wsis._support.places import moved
from wsis._support.randomness import generator, seeded
from wsis.contracts import Proposals, PseudoInstances
from wsis.cues.classifier import fit_averages
from wsis.features.frozen import sample
from wsis.features.views import region_means
from wsis.geometry import masks
from wsis.geometry.overlap import iou
from wsis.proposals.bags import Bag
from wsis.training.selection import suppressed

MapOf = Callable[[Bag], Float[Tensor, "D h w"]]
"""Gives the backbone's map of a bag's photo."""

Found = Callable[[Bag], PseudoInstances]
"""Gives what the map learns from on a bag's photo."""

# Of these numbers _PART was measured by itself (docs/findings.md, "A proposal is scored
# better by one part"), the others only together with all else.
_NETWORKS = 3

_NEAR_BEST = 0.5
"""Of a tag's proposals, those with this share of the best one's score are learned."""

_PART = 0.4
"""Regions of more than this share of a class's highest probability are its parts."""

_DECAY = 1e-3
"""L2 penalty of the classifier of photos."""

_LEAST = 300
"""Steps of learning where one pass over the photos would be fewer."""


class ClassMap(nn.Module):
    """Tells the class of every region of a photo, and how far a proposal covers it.

    A proposal's score says little of what it leaves out or takes along. Regions are
    easier: there are hundreds on a photo, and wrong ones among those that are learned
    from cancel out. The extent of a proposal for a class is the higher of two soft
    IoUs, in which a region counts with its probability: with all regions of the class,
    and with those of one connected part, the one that the proposal shares most with.
    Parts are where the class has more than 0.4 of its highest probability on the photo;
    several objects of a class are several parts unless they touch. Three small networks
    are averaged. Beside them, a linear classifier of the whole photo tells which
    classes it shows.
    Not of the paper (docs/findings.md has the figures).

    Args:
        channels: D, of the feature map.
        classes: C, without background.
        width: of the networks' one layer.
    """

    mean: Tensor
    std: Tensor
    rate: Tensor

    def __init__(self, channels: int, classes: int, width: int = 32) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))
        self.networks = nn.ModuleList(
            nn.Sequential(
                nn.Linear(channels, width),
                nn.ReLU(),
                nn.Dropout(0.3),
                nn.Linear(width, classes + 1),
            )
            for _ in range(_NETWORKS)
        )
        self.tags = nn.Linear(2 * channels, classes)
        nn.init.zeros_(self.tags.weight)
        nn.init.zeros_(self.tags.bias)
        self.register_buffer("rate", torch.full((classes,), 0.5))
        # Learned by ``learn`` alone, not with the rest of the model.
        self.requires_grad_(requires_grad=False)

    def forward(self, means: Float[Tensor, "R D"]) -> Float[Tensor, "K R C1"]:
        """Return each network's logits of regions by their mean features."""
        standard = ((means - self.mean) / self.std).clamp(-5, 5)
        return torch.stack([network(standard) for network in self.networks])

    @torch.no_grad()
    def present(self, feature_map: Float[Tensor, "D h w"]) -> Float[Tensor, " C"]:
        """Return the probability of each class to be on the photo; on the CPU."""
        summary = _summary(moved(feature_map, self.mean.device))
        probability: Tensor = self.tags(summary).sigmoid()
        return probability.cpu()

    @torch.no_grad()
    def shares(
        self,
        feature_map: Float[Tensor, "D h w"],
        proposals: Proposals,
        present: Float[Tensor, " C"],
    ) -> Float[Tensor, "R C"]:
        """Return the probability of each class in every region; on the CPU.

        ``present`` says how likely each class is on the photo. Where it is likelier
        than on training photos, so are its regions; classes with 0 are nowhere.
        """
        means, _ = self._regions(feature_map, proposals)
        odds = moved(present, means.device) / self.rate
        odds = odds / odds.max().clamp_min(1e-9)
        prior = nn.functional.pad(odds.log(), (1, 0))
        share: Tensor = (self(means) + prior).softmax(-1).mean(0)[:, 1:].cpu()
        return share

    def _regions(
        self, feature_map: Float[Tensor, "D h w"], proposals: Proposals
    ) -> tuple[Float[Tensor, "R D"], Float[Tensor, " R"]]:
        device = self.mean.device
        return region_means(
            moved(feature_map, device),
            moved(proposals.regions, device),
            proposals.members.shape[1],
        )

    def learn(
        self,
        bags: Sequence[Bag],
        map_of: MapOf,
        found: Found,
        *,
        steps: int,
        seed: int,
        tick: Callable[[str], None] = lambda name: None,
    ) -> None:
        """Learn from the instances found on training photos, one a step.

        Regions of a tag's instances are of its class, all others background. The tags
        themselves teach the classifier of photos.

        Args:
            bags: training photos with tags and proposals.
            map_of: gives their feature maps.
            found: gives instances of their tags.
            steps: photos looked at, pass after pass.
            seed: of order, first weights and dropout.
            tick: is called with each photo's name.
        """
        some = [self._regions(map_of(b), b.proposals)[0] for b in sample(bags)]
        whole = torch.cat(some)
        self.mean.copy_(whole.mean(0))
        self.std.copy_(whole.std(0, correction=0).clamp_min(1e-3))
        self._learn_tags(bags, map_of)
        drawn = generator(seed, "class map")
        passes = [
            torch.randperm(len(bags), generator=drawn)
            for _ in range(math.ceil(steps / len(bags)))
        ]
        order = torch.cat(passes)[:steps].tolist()
        with seeded(crc32(f"class map {seed}".encode())):
            for layer in self.networks.modules():
                if isinstance(layer, nn.Linear):
                    layer.reset_parameters()
            # What is found stays the same, pass after pass.
            found = cache(found) if len(passes) > 1 else found
            self._descend([bags[i] for i in order], map_of, found, tick)

    @torch.no_grad()
    def _learn_tags(self, bags: Sequence[Bag], map_of: MapOf) -> None:
        summaries = (_summary(moved(map_of(bag), self.mean.device)) for bag in bags)
        tags = moved(torch.stack([bag.tags for bag in bags]), self.mean.device)
        self.rate.copy_((tags.sum(0) + 1) / (len(bags) + 2))
        maps = (one[:, None, None] for one in summaries)
        found = fit_averages(maps, tags, decay=_DECAY, steps=100)
        self.tags.weight.copy_(found.weight)
        self.tags.bias.copy_(found.bias)

    @torch.enable_grad()
    def _descend(
        self,
        bags: Sequence[Bag],
        map_of: MapOf,
        found: Found,
        tick: Callable[[str], None],
    ) -> None:
        self.networks.requires_grad_()
        optimizer = torch.optim.AdamW(
            self.networks.parameters(), lr=1e-3, weight_decay=1e-2
        )
        for step, bag in enumerate(bags):
            proposals = bag.proposals
            means, area = self._regions(map_of(bag), proposals)
            truth = targets(found(bag), proposals, len(bag.tags)).to(means.device)
            # What finds instances sets the whole model to evaluation, this with it.
            self.train()
            share = (area / area.sum())[:, None]
            loss = -(share * truth * self(means).log_softmax(-1)).sum((1, 2)).mean()
            optimizer.param_groups[0]["lr"] = 1e-3 * (1 - step / len(bags))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            tick(bag.image.name)
        self.requires_grad_(requires_grad=False)
        self.eval()


def extent(share: Float[Tensor, "R C"], proposals: Proposals) -> Float[Tensor, "N C"]:
    """Return how well each proposal covers each class, in [0, 1]; on the CPU.

    ``share`` is the probability of each class in every region, as ``ClassMap`` has it.
    """
    area, members = sizes(proposals), proposals.members.float().cpu()
    mass, own = share * area[:, None], members @ area
    found: Tensor = iou(members @ mass, own, mass.sum(0))
    edges = _edges(proposals.regions.cpu())
    highest = share.amax(0)
    for c in highest.nonzero().flatten().tolist():
        part = _parts(share[:, c] > _PART * highest[c], edges)
        masses = torch.zeros(len(part), int(part.max()) + 1)
        masses[torch.arange(len(part)), part] = mass[:, c]
        shared = (members @ masses)[:, 1:]
        of_parts = iou(shared, own, masses.sum(0)[1:])
        nearest = of_parts.gather(1, shared.argmax(1, keepdim=True))[:, 0]
        found[:, c] = found[:, c].maximum(nearest)
    return found


def sizes(proposals: Proposals) -> Float[Tensor, " R"]:
    """Return the pixels of each region, those without one included; on the CPU."""
    flat, number = proposals.regions.flatten().cpu(), proposals.members.shape[1]
    return torch.bincount(flat, minlength=number).float()


def _summary(feature_map: Float[Tensor, "D h w"]) -> Float[Tensor, " numbers"]:
    """Return the mean and the maximum of each channel."""
    cells = feature_map.float().flatten(1)
    return torch.cat([cells.mean(1), cells.amax(1)])


def map_steps(photos: int) -> int:
    """Return the steps of learning: a pass over the photos, or 300 if that is more."""
    return max(_LEAST, photos)


def _edges(regions: Int[Tensor, "H W"]) -> Int[Tensor, "2 E"]:
    """Return the pairs of regions that have neighbouring pixels."""
    sides = (regions[:, :-1], regions[:, 1:]), (regions[:-1], regions[1:])
    count = int(regions.max()) + 1
    pairs = [(a.long() * count + b)[a != b].unique() for a, b in sides]
    pair = torch.cat(pairs).unique()
    return torch.stack([pair // count, pair % count])


def _parts(chosen: Bool[Tensor, " R"], edges: Int[Tensor, "2 E"]) -> Int[Tensor, " R"]:
    """Return the connected part, 1…P, of each chosen region; 0 of the others."""
    # SciPy 1.11 finds no parts by numbers of 64 bits, and tells so on stderr alone.
    within = edges[:, chosen[edges].all(0)].int().numpy()
    graph = coo_array((np.ones(within.shape[1]), within), shape=(len(chosen),) * 2)
    _, part = connected_components(graph, directed=False)
    numbers = torch.zeros(len(chosen), dtype=torch.long)
    own = torch.from_numpy(part).long()[chosen]
    numbers[chosen] = own.unique(return_inverse=True)[1] + 1
    return numbers


def targets(
    found: PseudoInstances, proposals: Proposals, classes: int
) -> Float[Tensor, "R C1"]:
    """Return the shares of background and classes in every region.

    A region of instances of several classes is shared among these.
    """
    covered = torch.zeros(proposals.members.shape[1], classes)
    for index, label in zip(found.index.tolist(), found.label.tolist(), strict=True):
        covered[proposals.members[index].cpu(), label - 1] = 1.0
    covered /= covered.sum(1, keepdim=True).clamp_min(1)
    return torch.cat([1 - covered.sum(1, keepdim=True), covered], 1)


def near_best(
    scores: Float[Tensor, "N C"],
    proposals: Proposals,
    tags: Bool[Tensor, " C"],
    nms: float,
) -> PseudoInstances:
    """Return each tag's best proposals: half the best one's score at least, by NMS.

    Of two whose boxes overlap more than ``nms``, the one of lower score goes. Ties: the
    lower proposal.
    """
    present = tags.cpu().nonzero().flatten()
    own = scores.cpu()[:, present]
    near = own >= _NEAR_BEST * own.max(0).values
    index, column = suppressed(own, near, masks.boxes(proposals), nms)
    return PseudoInstances(index, present[column] + 1, own[index, column])
