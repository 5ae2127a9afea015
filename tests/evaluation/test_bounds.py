import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float
from torch import Tensor

from tests.evaluation.drawing import strip, truth
from wsis.contracts import Proposals
from wsis.evaluation import Detect, oracle, random_scores
from wsis.geometry.predictions import Predictions

CLASSES = ("cat", "dog", "cow")


def strips(*spans: tuple[int, int], width: int = 20) -> Proposals:
    """Each pixel is a region."""
    members = torch.zeros(len(spans), width, dtype=torch.bool)
    for i, (start, stop) in enumerate(spans):
        members[i, start:stop] = True
    return Proposals(
        regions=torch.arange(width)[None],
        members=members,
        objectness=torch.arange(len(spans), 0, -1).float(),
        source="drawn",
    )


def everything(
    scores: Float[Tensor, "N C"], proposals: Proposals, *, image_id: int
) -> Predictions:
    """Every proposal as every class."""
    index, column = torch.ones_like(scores).nonzero(as_tuple=True)
    score = scores[index, column]
    order = score.argsort(descending=True, stable=True)
    spans = [proposals.members[i].nonzero().flatten().tolist() for i in index[order]]
    return Predictions(
        image_id=image_id,
        size=proposals.size,
        index=index[order],
        label=column[order] + 1,
        score=score[order],
        boxes=torch.zeros(len(order), 4),
        masks=[strip(span[0], span[-1] + 1) for span in spans],
    )


def test_best_proposals_by_hand() -> None:
    truths = [truth((1, 0, 4), (1, 10, 20)), truth((2, 0, 10), image=2)]
    proposals = [strips((5, 9), (10, 18), (0, 4)), strips((0, 6), (10, 20))]

    best = oracle(iter(proposals), truths, CLASSES)

    # IoU 1 and 0.8 for cats, 0.6 for the dog, no cow there.
    assert best.per_class["cat"]["mAP75"] == pytest.approx(100)
    assert best.per_class["dog"]["mAP50"] == pytest.approx(100)
    assert best.per_class["dog"]["mAP70"] == 0
    assert best.metrics["mAP70"] == pytest.approx(50)
    assert best.metrics["ABO"] == pytest.approx((100 + 80 + 60) / 3)
    assert best.per_class["cat"]["ABO"] == pytest.approx(90)
    assert best.per_class["cow"]["ABO"] is None


def test_one_proposal_cannot_find_two_objects_of_a_class() -> None:
    # It overlaps both by 8 of 14; the first has it.
    truths = [truth((1, 0, 8), (1, 6, 14), (2, 6, 14))]

    best = oracle([strips((0, 14))], truths, CLASSES)

    assert best.per_class["cat"]["mAP50"] == 50
    assert best.per_class["dog"]["mAP50"] == 100
    assert best.metrics["ABO"] == pytest.approx(100 * 8 / 14)


def test_ignored_objects_are_not_to_be_found() -> None:
    truths = [truth((1, 0, 8), (1, 10, 20), ignore=(1,))]

    best = oracle([strips((0, 8), (10, 15))], truths, CLASSES)

    assert best.metrics["mAP75"] == best.metrics["ABO"] == 100


def test_without_proposals_or_objects() -> None:
    best = oracle(
        [strips(), strips((0, 4))], [truth((1, 0, 4)), truth(image=2)], CLASSES
    )
    assert best.metrics["mAP25"] == best.metrics["ABO"] == 0


@settings(max_examples=25)
@given(st.integers(0, 2**31))
def test_no_scores_do_better(seed: int) -> None:
    draw = np.random.default_rng(seed)

    def spans(count: int) -> list[tuple[int, int]]:
        start = draw.integers(0, 16, count)
        stop = np.minimum(start + draw.integers(2, 9, count), 20)
        return list(zip(start.tolist(), stop.tolist(), strict=True))

    truths, proposals = [], []
    for image in range(3):
        objects = [(int(draw.integers(1, 3)), *span) for span in spans(4)]
        truths.append(truth(*objects, image=image, ignore=(0,)))
        proposals.append(strips(*spans(8)))

    best = oracle(proposals, truths, CLASSES)
    generator = torch.Generator().manual_seed(seed)
    chance = random_scores(proposals, truths, CLASSES, everything, generator)

    for name in ("mAP25", "mAP50", "mAP70", "mAP75"):
        assert chance.metrics[name] <= best.metrics[name] + 1e-9


def test_random_scores_are_uniform_and_come_from_the_generator() -> None:
    truths = [truth((1, 0, 4)), truth((2, 5, 9), image=2)]
    proposals = [strips(*[(0, 4)] * 500), strips((5, 9))]
    seen: list[Tensor] = []

    def detect(
        scores: Float[Tensor, "N C"], proposals: Proposals, *, image_id: int
    ) -> Predictions:
        seen.append(scores)
        return everything(scores, proposals, image_id=image_id)

    assert isinstance(detect, Detect)
    one, other = (
        random_scores(
            proposals, truths, CLASSES, detect, torch.Generator().manual_seed(3)
        )
        for _ in range(2)
    )

    assert one == other
    assert seen[0].shape == (500, 3)
    assert seen[1].shape == (1, 3)
    assert 0 <= seen[0].min() < 0.05
    assert 0.95 < seen[0].max() < 1
    assert (seen[0].mean(0) - 0.5).abs().max() < 0.06
    # A perfect mask for every object, all proposals being the object itself.
    assert one.per_class["cat"]["mAP75"] == 100


def test_refuses_proposals_of_other_images() -> None:
    with pytest.raises(ValueError, match=r"each of the 2 images.*got fewer"):
        oracle([strips((0, 4))], [truth((1, 0, 4)), truth(image=2)], CLASSES)
    with pytest.raises(ValueError, match=r"each of the 1 images.*got more"):
        oracle([strips((0, 4))] * 2, [truth((1, 0, 4))], CLASSES)
    with pytest.raises(ValueError, match=r"of size \(1, 30\).*size \(1, 20\)"):
        oracle([strips((0, 4), width=30)], [truth((1, 0, 4))], CLASSES)
    with pytest.raises(ValueError, match="at least one object to find"):
        oracle([strips((0, 4))], [truth()], CLASSES)
