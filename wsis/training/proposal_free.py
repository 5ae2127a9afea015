"""Instances without proposals: cells that point at one centre, learned from tags.

Kim et al., "Beyond Semantic to Instance Segmentation: Weakly-Supervised Instance
Segmentation via Semantic Knowledge Transfer and Self-Refinement" (BESTIE), CVPR 2022,
https://arxiv.org/abs/2109.09477, is the paradigm that CIM's paper compares itself with.
This is its smallest version, on kept features of a frozen backbone, to see beside
miners what grouping does well and badly. It is not the authors' network.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from skimage import measure
from torch import Tensor, nn
from torch.nn import functional

from wsis._support.checks import at_least, inside, positive
from wsis._support.places import moved
from wsis._support.randomness import generator, seeded
from wsis.contracts import Ledger
from wsis.cues import basins, local_maxima
from wsis.cues.classifier import fit_averages
from wsis.features.frozen import sample
from wsis.geometry.frame import Size
from wsis.geometry.masks import encode
from wsis.geometry.predictions import Predictions

_MOST = 100
"""Most instances an image, as of ``Selection``."""

_IGNORED = -1


@dataclass(frozen=True, slots=True, eq=False)
class CellLabels:
    """The pseudo labels of an image: a class and an instance for each cell of its map.

    Args:
        label: 0 background, 1…C, −1 ignored.
        instance: 1, 2, …; 0 on background, −1 where the instance is not known.
    """

    label: Int[Tensor, "h w"]
    instance: Int[Tensor, "h w"]


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The network's output for an image.

    Args:
        logits: of background and of each class.
        heat: higher nearer to a centre, 1 on it.
        offset: from each cell to its instance's centre: rows and columns, in cells.
    """

    logits: Float[Tensor, "C1 h w"]
    heat: Float[Tensor, "h w"]
    offset: Float[Tensor, "2 h w"]


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """The instances that cells make up.

    Args:
        owner: the instance of each cell, 0, 1, …; −1 of none.
        label: class of each instance, 1…C.
        score: mean probability of that class over the instance's cells.
    """

    owner: Int[Tensor, "h w"]
    label: Int[Tensor, " M"]
    score: Float[Tensor, " M"]


class CentreNetwork(nn.Module):
    """A few convolutions on a frozen map, and a linear output for each cell.

    The three outputs of Panoptic-DeepLab (Cheng et al., CVPR 2020,
    https://arxiv.org/abs/1911.10194, figure 1), as BESTIE learns them.

    Args:
        channels: of the map.
        classes: C, without background.
        width: channels between.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("deviation", torch.ones(channels, 1, 1))
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 1), nn.ReLU()]
        for step in (1, 2, 4):
            same = nn.Conv2d(width, width, 3, padding=step, dilation=step)
            layers += [same, nn.ReLU()]
        for layer in layers:
            if isinstance(layer, nn.Conv2d):  # He et al., arXiv 1502.01852
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, classes + 4, 1))

    def forward(self, feature_map: Float[Tensor, "D h w"]) -> Cells:
        """Return classes, centres and offsets of all cells."""
        there = moved(feature_map.float(), self.mean.device)
        found = self.layers((there - self.mean) / self.deviation)
        return Cells(found[:-3], found[-3], found[-2:])


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalFree:
    """Learns classes, centres and offsets of cells from tags, and groups cells.

    A linear tag classifier gives class activation maps. Where a connected part of what
    is lit holds a single peak, it is a pseudo instance; where it holds several, its
    class teaches and its instances do not (BESTIE's semantic knowledge transfer). A
    second network may learn from the first one's own groups (its self-refinement).

    Args:
        lit: cells above it, relative to the class's maximum, are of the class.
        dark: cells below it for all tagged classes are background; those between teach
            nothing.
        prominence: depth of the dip that makes two peaks, relative to the maximum.
        spread: deviation of a centre's heat, in cells.
        least: lowest heat of a centre. 0.1 is Panoptic-DeepLab's.
        width: channels of the network.
        rounds: networks, one after another; 1 refines nothing, which was better on
            drawn scenes (docs/findings.md).
        epochs: passes over the images, of each network.
        lr: of Adam, falling to 0.
        batch: images a step.
    """

    lit: float = 0.4
    dark: float = 0.15
    prominence: float = 0.2
    spread: float = 1.5
    least: float = 0.1
    width: int = 128
    rounds: int = 1
    epochs: int = 10
    lr: float = 1e-3
    batch: int = 2

    def __post_init__(self) -> None:
        for name in ("lit", "dark", "prominence", "least"):
            inside(name, getattr(self, name))
        for name in ("width", "rounds", "epochs", "batch"):
            at_least(name, getattr(self, name), 1)
        positive("spread", self.spread)
        positive("lr", self.lr)
        if self.dark > self.lit:
            raise ValueError(
                f"dark must be at most lit, got {self.dark} and {self.lit}"
            )

    def images(self, count: int) -> int:
        """Return how many images training sees, of ``count`` in the data set."""
        return self.rounds * self.epochs * count

    def fit(
        self,
        maps: Sequence[Float[Tensor, "D _ _"]],
        tags: Bool[Tensor, "B C"],
        seed: int,
        *,
        device: torch.device,
        tick: Callable[[], None] = lambda: None,
    ) -> tuple[CentreNetwork, list[dict[str, float]]]:
        """Return the last network, and the mean of each loss per epoch.

        Args:
            maps: one an image, read whenever it is needed.
            tags: of the images; each has one at least.
            seed: of initial weights and order.
            device: where the network is.
            tick: is called after every image.
        """
        classifier = fit_averages(maps, tags, decay=1e-3, steps=100)
        first = [
            self.first_labels(classifier.responses(one), own)
            for one, own in zip(maps, tags, strict=True)
        ]
        network, losses = self._learned(maps, first, tags.shape[1], seed, device, tick)
        for _ in range(self.rounds - 1):
            labels = [
                self.own_labels(network(one), own, label)
                for one, own, label in zip(maps, tags, first, strict=True)
            ]
            network, more = self._learned(
                maps, labels, tags.shape[1], seed, device, tick
            )
            losses += more
        return network, losses

    def first_labels(
        self, responses: Float[Tensor, "C h w"], tags: Bool[Tensor, " C"]
    ) -> CellLabels:
        """Return the pseudo labels that class activation maps give an image.

        Args:
            responses: of every class; those that are not tagged count for nothing.
            tags: the classes present.
        """
        top = responses.amax((1, 2), keepdim=True).clamp_min(1e-6)
        relative = (responses / top).masked_fill(~tags[:, None, None], 0)
        height, best = relative.max(0)
        label = torch.where(height > self.lit, best + 1, _IGNORED)
        label[height < self.dark] = 0
        instance = torch.where(label == 0, 0, _IGNORED)
        count = 0
        for c in tags.nonzero().flatten().tolist():
            peaks = _tops(relative[c], basins(relative[c], self.lit, self.prominence))
            mine = (label == c + 1).numpy()
            parts = torch.from_numpy(measure.label(mine, connectivity=1))
            for number in range(1, int(parts.max()) + 1):
                part = parts == number
                if int((part & peaks).sum()) == 1:
                    count += 1
                    instance[part] = count
        return CellLabels(label, instance)

    def own_labels(
        self, found: Cells, tags: Bool[Tensor, " C"], first: CellLabels
    ) -> CellLabels:
        """Return the pseudo labels that a network's own groups give an image.

        They are of tagged classes alone. Where a tag gets no group, all labels stay the
        ``first`` ones, as the tag promises an object.
        """
        allowed = torch.cat([tags.new_ones(1), tags]).to(found.logits.device)
        logits = found.logits.masked_fill(~allowed[:, None, None], -torch.inf)
        groups = group(logits.softmax(0), found.heat, found.offset, self.least)
        if {*groups.label.tolist()} != {*(tags.nonzero().flatten() + 1).tolist()}:
            return first
        owned = groups.owner >= 0
        background = logits.argmax(0) == 0
        label = torch.where(owned, groups.label[groups.owner], _IGNORED)
        instance = torch.where(owned, groups.owner + 1, _IGNORED)
        return CellLabels(
            label.masked_fill(background, 0).cpu(),
            instance.masked_fill(background, 0).cpu(),
        )

    @torch.no_grad()
    def predict(
        self,
        network: CentreNetwork,
        feature_map: Float[Tensor, "D h w"],
        size: Size,
        *,
        image_id: int,
        ledger: Ledger = frozenset(),
    ) -> Predictions:
        """Return the instances on one image, best first; their masks share no pixel.

        Args:
            network: a trained one.
            feature_map: of the image.
            size: (H, W) of the masks; cells are enlarged to it.
            image_id: the image's number.
            ledger: the labels consumed.
        """
        found = network(feature_map)
        probabilities = found.logits.softmax(0).cpu()
        groups = group(probabilities, found.heat.cpu(), found.offset.cpu(), self.least)
        best = groups.score.argsort(descending=True, stable=True)[:_MOST]
        owner = enlarged(groups.owner, best, 1 - probabilities[0], size)
        masks = owner == torch.arange(len(best))[:, None, None]
        seen = masks.any(2).any(1)
        return Predictions.of_masks(
            image_id,
            size,
            encode(masks[seen]) if seen.any() else [],
            label=groups.label[best[seen]],
            score=groups.score[best[seen]],
            ledger=ledger,
        )

    def _learned(
        self,
        maps: Sequence[Float[Tensor, "D _ _"]],
        labels: Sequence[CellLabels],
        classes: int,
        seed: int,
        device: torch.device,
        tick: Callable[[], None],
    ) -> tuple[CentreNetwork, list[dict[str, float]]]:
        """Return a network trained on pseudo labels, and its mean losses per epoch."""
        cells = torch.cat([maps[i].flatten(1) for i in sample(range(len(maps)))], 1)
        with seeded(seed):
            network = CentreNetwork(len(cells), classes, self.width)
        network.mean.copy_(cells.mean(1)[:, None, None])
        deviation = cells.std(1, correction=0).clamp_min(1e-6)
        network.deviation.copy_(deviation[:, None, None])
        network.to(device)
        draws = generator(seed, "proposal-free")
        steps = self.epochs * -(-len(maps) // self.batch)
        solver = torch.optim.Adam(network.parameters(), self.lr)
        falling = torch.optim.lr_scheduler.LinearLR(solver, 1, 0, steps)
        means = []
        for _ in range(self.epochs):
            sums: dict[str, float] = {}
            order = torch.randperm(len(maps), generator=draws)
            for chosen in order.split(self.batch):
                for i in chosen.tolist():
                    losses = self.losses(network(maps[i]), labels[i])
                    torch.stack([*losses.values()]).sum().div(len(chosen)).backward()
                    for name, value in losses.items():
                        sums[name] = sums.get(name, 0.0) + value.item() / len(maps)
                    tick()
                solver.step()
                solver.zero_grad()
                falling.step()
            means.append(sums)
        return network.requires_grad_(False), means

    def losses(self, found: Cells, labels: CellLabels) -> dict[str, Tensor]:
        """Return the losses of an image: classes, centres and offsets of its cells.

        Cross-entropy, squared and absolute differences, as in Panoptic-DeepLab, each a
        mean over the cells that teach it; the weights are ours.
        """
        device = found.heat.device
        label, instance = moved(labels.label, device), moved(labels.instance, device)
        heat, offset = targets(instance, self.spread)
        known, inside = instance >= 0, instance > 0
        nothing = found.heat.sum() * 0
        return {
            "classes": functional.cross_entropy(
                found.logits[None], label[None], ignore_index=_IGNORED
            )
            if (label >= 0).any()
            else nothing,
            "centres": 10 * (found.heat - heat)[known].square().mean()
            if known.any()
            else nothing,
            "offsets": 0.1 * (found.offset - offset)[:, inside].abs().mean()
            if inside.any()
            else nothing,
        }


def targets(
    instance: Int[Tensor, "h w"], spread: float
) -> tuple[Float[Tensor, "h w"], Float[Tensor, "2 h w"]]:
    """Return the heat and the offsets that instances' centres of mass give.

    Args:
        instance: 1, 2, …; other cells have no offset.
        spread: deviation of a centre's heat, in cells.
    """
    places = torch.stack(torch.where(torch.ones_like(instance, dtype=torch.bool)))
    places = places.view(2, *instance.shape).float()
    heat, offset = torch.zeros_like(places[0]), torch.zeros_like(places)
    for number in range(1, int(instance.max()) + 1):
        mine = instance == number
        way = places[:, mine].mean(1)[:, None, None] - places
        near = (-way.square().sum(0) / (2 * spread**2)).exp()
        heat, offset = torch.maximum(heat, near), torch.where(mine, way, offset)
    return heat, offset


def group(
    probabilities: Float[Tensor, "C1 h w"],
    heat: Float[Tensor, "h w"],
    offset: Float[Tensor, "2 h w"],
    least: float,
) -> Groups:
    """Give every cell that is no background to the centre nearest to where it points.

    Centres are the highest of 3 × 3 cells, with more heat than ``least``; an instance's
    class is that of most of its cells, as in Panoptic-DeepLab. A centre that no cell
    points at is no instance. Ties: the first centre in reading order, the lower
    class.
    """
    likeliest = probabilities.argmax(0)
    owner = torch.full_like(likeliest, -1)
    centres = (local_maxima(heat[None])[0] & (heat > least)).nonzero()  # (P, 2)
    cells = (likeliest > 0).nonzero()  # (K, 2)
    if not len(centres) or not len(cells):
        return Groups(owner, likeliest.new_zeros(0), heat.new_zeros(0))
    row, column = cells.T
    aim = cells + offset[:, row, column].T
    distance = (aim[:, None] - centres).square().sum(2)  # (K, P)
    used, mine = distance.argmin(1).unique(return_inverse=True)
    owner[row, column] = mine
    votes = heat.new_zeros(len(used), len(probabilities))
    sums = votes.index_add(0, mine, probabilities[:, row, column].T)
    one = torch.ones_like(mine, dtype=votes.dtype)
    votes = votes.index_put((mine, likeliest[row, column]), one, accumulate=True)
    label = votes.argmax(1)
    score = sums[torch.arange(len(used)), label] / votes.sum(1)
    return Groups(owner, label, score)


def enlarged(
    owner: Int[Tensor, "h w"],
    chosen: Int[Tensor, " M"],
    foreground: Float[Tensor, "h w"],
    size: Size,
) -> Int[Tensor, "H W"]:
    """Return the place in ``chosen`` of each pixel's instance; −1 of none.

    Each instance's probability, that of ``foreground`` in its cells and 0 elsewhere, is
    enlarged bilinearly. A pixel is of the most probable instance, or of none where
    background is at least as probable. Ties: the first.
    """

    def fine(values: Float[Tensor, "h w"]) -> Float[Tensor, "H W"]:
        return functional.interpolate(values[None, None], size, mode="bilinear")[0, 0]

    highest = fine(1 - foreground)
    found = torch.full(size, -1)
    for place, number in enumerate(chosen.tolist()):
        own = fine(foreground.where(owner == number, 0))
        found[own > highest] = place
        highest = torch.maximum(highest, own)
    return found


def _tops(
    response: Float[Tensor, "h w"], basin: Int[Tensor, "h w"]
) -> Bool[Tensor, "h w"]:
    """Mark the highest cell of each basin, the first of equal ones."""
    tops = torch.zeros_like(basin, dtype=torch.bool)
    for number in range(1, int(basin.max()) + 1):
        inner = response.masked_fill(basin != number, -torch.inf)
        tops.view(-1)[inner.argmax()] = True
    return tops
