import pytest
import torch

from tests.builders import strips
from tests.drawn import Squares, settings
from wsis.geometry.masks import dense, from_masks, select, to_dense
from wsis.runs.pipeline import Pipeline
from wsis.runs.run import train
from wsis.training._outlines import voted
from wsis.training.selection import Selection


def shown(proposals, *columns):
    """The class map's probability of one class, by column, as regions have it."""
    share = torch.zeros(proposals.members.shape[1], 1)
    for column, probability in enumerate(columns):
        share[proposals.regions[0, column]] = probability
    return share


def vote(proposals, scores, share, least=0.5):
    found = Selection(nms=1.0)(scores, proposals, image_id=0)
    result, regions = voted(found, scores, share, proposals, least)
    masks = to_dense(result.masks)
    assert masks.equal(regions[:, proposals.regions])
    for mask, (x0, _, x1, _) in zip(masks[:, 0], result.boxes.tolist(), strict=True):
        assert mask.nonzero()[[0, -1], 0].tolist() == [x0, x1 - 1]
    return result, masks[:, 0].int().tolist()


def test_what_most_hold_is_in_where_the_class_is():
    proposals = strips((0, 5), (0, 6), (1, 6))
    scores = torch.tensor([[0.9], [0.8], [0.8]])

    # Column 0 has 0.69 of the best instance's votes, column 5 has 0.61.
    _, (best, *_) = vote(proposals, scores, shown(proposals, *[1] * 10))
    assert best == [1, 1, 1, 1, 1, 1, 0, 0, 0, 0]
    _, (best, *_) = vote(proposals, scores, shown(proposals, 1, 1, 1, 1, 1, 0))
    assert best == [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]
    _, (best, *_) = vote(proposals, scores, shown(proposals, 0, 1, 1, 1, 1, 1))
    assert best == [0, 1, 1, 1, 1, 1, 0, 0, 0, 0]


def test_those_that_overlap_little_have_no_vote():
    proposals = strips((0, 4), (0, 8))
    scores = torch.tensor([[0.5], [0.9]])

    found, masks = vote(proposals, scores, shown(proposals, *[1] * 10))

    assert found.index.tolist() == [1, 0]
    assert masks == [[1] * 8 + [0] * 2, [1] * 4 + [0] * 6]
    # The first half has all votes, the second 0.81 of 1.06.
    _, masks = vote(proposals, scores, shown(proposals, *[1] * 4), least=0.4)
    assert masks == [[1] * 4 + [0] * 6]


def test_a_score_counts_by_its_square():
    proposals = strips((0, 4), (0, 5))
    share = shown(proposals, *[1] * 4, 0.5)

    # The fifth column needs half of the votes: 0.6 · 1/2 + 0.4 · 1/2 is one half.
    for low, there in ((0.71, 1), (0.69, 0), (0.49, 0)):
        scores = torch.tensor([[0.7], [low]])
        _, (best, *_) = vote(proposals, scores, share)
        assert best[4] == there
    # Of the squares 0.6 has 0.31, of the scores it would have 0.4 and be enough.
    scores = torch.tensor([[0.9], [0.6]])
    _, (best, *_) = vote(proposals, scores, shown(proposals, *[1] * 4, 0.7))
    assert best == [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]


def test_without_the_class_five_sixths_of_the_votes_are_needed():
    proposals = strips((0, 5), (1, 6))

    _, masks = vote(proposals, torch.tensor([[0.9], [0.9]]), shown(proposals))

    assert masks[0] == [0, 1, 1, 1, 1, 0, 0, 0, 0, 0]


def test_where_nothing_has_enough_votes_the_proposal_stays():
    # Each of five lacks another of five columns: no column has more than 4 / 5.
    proposals = from_masks(~torch.eye(5, dtype=torch.bool)[:, None])

    _, masks = vote(proposals, torch.full((5, 1), 0.9), shown(proposals))

    assert masks == (1 - torch.eye(5, dtype=torch.int)).tolist()


def test_instances_that_become_alike_are_one_within_a_class():
    proposals = strips((0, 5), (0, 6))
    scores = torch.tensor([[0.9, 0.0], [0.8, 0.7]])
    share = shown(proposals, *[1] * 10).repeat(1, 2)

    found, masks = vote(proposals, scores, share)

    assert found.label.tolist() == [1, 2]
    assert found.score.tolist() == pytest.approx([0.9, 0.7])
    assert masks[1] == [1] * 6 + [0] * 4


@pytest.mark.parametrize(
    ("columns", "left"), [((10, 7, 5), [10, 5]), ((10, 8, 7), [10])]
)
def test_what_is_alike_to_one_that_is_gone_stays(columns, left):
    proposals = strips(*((0, end) for end in columns))
    scores = torch.tensor([[0.9], [0.8], [0.7]])

    # Each votes for itself alone. The second goes, and the third is like it.
    _, masks = vote(proposals, scores, shown(proposals, *[1] * 10), least=0.9)

    assert [sum(mask) for mask in masks] == left


def test_each_class_has_its_own_map():
    proposals = strips((0, 5), (0, 6))
    scores = torch.tensor([[0.9, 0.9], [0.9, 0.9]])
    share = torch.cat([shown(proposals, *[1] * 6), shown(proposals, *[1] * 5)], 1)

    found, masks = vote(proposals, scores, share)

    assert found.label.tolist() == [1, 2]
    assert [sum(mask) for mask in masks] == [6, 5]


def test_no_instances_stay_none():
    proposals, scores = strips((0, 5)), torch.zeros(1, 1)
    none = Selection()(scores, proposals, image_id=0)

    found, regions = voted(none, scores, shown(proposals), proposals, 0.5)

    assert (len(found), len(found.masks), len(regions)) == (0, 0, 0)
    assert found.boxes.shape == (0, 4)


def test_the_order_of_proposals_changes_nothing():
    generator = torch.Generator().manual_seed(0)
    proposals = strips((0, 5), (0, 6), (1, 6), (2, 9), (3, 9), (4, 8))
    scores = torch.rand(6, 2, generator=generator)
    share = torch.rand(proposals.members.shape[1], 2, generator=generator)
    order = torch.randperm(6, generator=generator)

    found, masks = vote(proposals, scores, share)
    again, same = vote(select(proposals, order), scores[order], share)

    assert same == masks
    assert order[again.index].equal(found.index)


def test_photos_have_voted_outlines_only_if_asked_for(tmp_path):
    data = Squares()
    run = train(
        data,
        settings=settings("class_map=true"),
        seed=3,
        device="cpu",
        cache=tmp_path / "cache",
    )
    [bag] = run.pipeline.bags(data.val().tagged.images[:1])
    plain = run.pipeline.predict(run.model, bag)
    asked = Pipeline(
        settings("class_map=true", "selection.vote=0.5"), tmp_path / "cache"
    ).predict(run.model, bag)

    assert to_dense(plain.masks).equal(dense(bag.proposals, plain.index))
    kept = torch.isin(plain.index, asked.index)
    assert asked.score.tolist() == [
        score
        for index, label, score in zip(
            plain.index.tolist(),
            plain.label.tolist(),
            plain.score.tolist(),
            strict=True,
        )
        if (index, label)
        in set(zip(asked.index.tolist(), asked.label.tolist(), strict=True))
    ]
    assert kept.any()
    assert not to_dense(asked.masks).equal(dense(bag.proposals, asked.index))
