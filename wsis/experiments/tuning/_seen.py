"""One held-out photo as a trained model sees it: scores in several views, evidence."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wsis._support.files import Cache, digest
from wsis.contracts import Proposals
from wsis.cues.classifier import Classifier, fit_averages
from wsis.cues.kept import Maps, label_key
from wsis.features.frozen import Features
from wsis.features.scale import Scale
from wsis.features.views import region_means
from wsis.geometry.masks import region_areas
from wsis.geometry.overlap import iou
from wsis.proposals.bags import Bag
from wsis.runs.pipeline import Pipeline
from wsis.training.network import Model, Scores

SMALLER = 0.75
"""The other scale, as a share of the first."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """Everything that criteria look at; nothing here comes from a drawn mask.

    Args:
        tags: the classes that are present.
        proposals: of the photo; at least one.
        plain: the model's scores of the proposals.
        evidence: mean response of a tag classifier in each region.
        flipped: in the mirrored photo; None if it was not looked at.
        smaller: in the photo at ``SMALLER`` its size; likewise.
    """

    tags: Bool[Tensor, " C"]
    proposals: Proposals
    plain: Scores
    evidence: Float[Tensor, "R C"]
    flipped: Scores | None = None
    smaller: Scores | None = None

    def overlap(
        self, one: Int[Tensor, " K"], other: Int[Tensor, " K"]
    ) -> Float[Tensor, " K"]:
        """Return the IoU of pairs of proposals."""
        size = region_areas(self.proposals.regions).double()
        mine, theirs = self.proposals.members[one], self.proposals.members[other]
        shared, area, others = (
            (members.double() @ size)[:, None]
            for members in (mine & theirs, mine, theirs)
        )
        return iou(shared, area[:, 0], others)[:, 0].float()


@torch.no_grad()
def see(
    model: Model,
    bag: Bag,
    features: Features,
    scale: Scale,
    evidence: Float[Tensor, "R C"],
    *,
    views: bool,
) -> Seen:
    """Return a model's view of a bag; ``views`` adds the mirrored and smaller photo."""
    model.eval()
    looks = [scale, *others(scale)] if views else [scale]
    names = "plain", "flipped", "smaller"
    scores = {
        name: model(features(bag, look))
        for name, look in zip(names, looks, strict=False)
    }
    return Seen(tags=bag.tags, proposals=bag.proposals, evidence=evidence, **scores)


def others(scale: Scale) -> tuple[Scale, Scale]:
    """Return the mirrored and the smaller view beside one."""
    side = max(32, round(SMALLER * scale.side))
    return (
        Scale(scale.side, not scale.flip, scale.resize, scale.limit),
        Scale(side, scale.flip, scale.resize, scale.limit),
    )


def tag_classifier(pipeline: Pipeline, bags: Sequence[Bag]) -> Classifier:
    """Fit logistic regression of tags on the frozen backbone's average features.

    It knows nothing of proposals, miners or thresholds. The cache keeps it.

    Args:
        pipeline: gives the features.
        bags: the training photos; those without tags are left out.
    """
    tagged = [bag for bag in bags if bag.tags.any()]
    scale = pipeline.train_views[0]

    def fit() -> dict[str, Tensor]:
        maps = Maps(pipeline.frozen, tagged, scale)
        tags = torch.stack([bag.tags for bag in tagged])
        found = fit_averages(maps, tags, decay=1e-3, steps=100)
        return {"weight": found.weight, "bias": found.bias}

    kept = Cache.keyed(
        pipeline.cache / "tags",
        {
            "backbone": pipeline.settings.resolved()["backbone"],
            "scale": scale.name,
            "images": digest(*(label_key(bag) for bag in tagged)),
        },
        pipeline.frozen.made_by,
    ).get("classifier", fit)
    return Classifier(kept["weight"], kept["bias"])


def evidence(
    pipeline: Pipeline, classifier: Classifier, bag: Bag
) -> Float[Tensor, "R C"]:
    """Return the classifier's mean response in each region of a bag's proposals."""
    scale = pipeline.train_views[0]
    responses = classifier.responses(pipeline.frozen.map(bag, scale))
    return region_means(responses, bag.proposals.regions)[0]
