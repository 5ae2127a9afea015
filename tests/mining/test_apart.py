import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.plain_mining import found
from tests.builders import points
from tests.drawn import Squares
from tests.drawn import settings as quick
from tests.problems import drawn, pseudo_of, scores_of, spans, tags_of
from tests.properties.problems import found as rows
from tests.properties.problems import order, reordered, untied
from wsis.contracts import Cascading, Evidence, Evidential, Miner
from wsis.experiments import compare, variants_of
from wsis.mining import ApartMiner, CIMMiner
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import SettingsError

MINER: Miner = ApartMiner(pool=0.6, p_seed=0.6)
# Two things side by side, both together, a thing apart, and all of it.
LINE = spans((0, 10), (10, 20), (0, 20), (30, 40), (0, 40))
SCORES = scores_of([0.75, 0.625, 0.5, 0.25, 0.125], loc=[[0.5, 0.5, 0.75, 0.25, 1]])


def evidence(*angles: float, closure: list[float] | None = None) -> Evidence:
    """Likeness by directions in the plane, in degrees."""
    turned = torch.tensor(angles).deg2rad()
    likeness = torch.stack([turned.cos(), turned.sin()], 1)
    return Evidence(likeness, None if closure is None else torch.tensor(closure))


ALIKE = evidence(0, 10, 5, 90, 180)
UNLIKE = evidence(0, 90, 45, 90, 180)


def test_members_that_are_alike_stay_apart() -> None:
    assert found(MINER(SCORES, LINE, tags_of(1))) == [(2, 1, 0.375)]

    pseudo = MINER(SCORES, LINE, tags_of(1), ALIKE)

    assert found(pseudo) == [(0, 1, 0.375), (1, 1, 0.3125)]
    assert pseudo.seed.tolist() == [0, 1]


def test_parts_that_differ_make_a_whole() -> None:
    assert found(MINER(SCORES, LINE, tags_of(1), UNLIKE)) == [(2, 1, 0.375)]


def test_members_that_are_closed_stay_apart_and_open_ones_do_not() -> None:
    # The lower of the two counts, and nothing below −1.
    half = evidence(0, 60, 30, 90, 180, closure=[2.0, 0.4, 0.0, 0.0, 0.0])
    open_ = evidence(0, 0, 0, 90, 180, closure=[2.0, -9.0, 0.0, 0.0, 0.0])

    assert ApartMiner(pool=0.6).groups(SCORES, LINE, tags_of(1), half).flatten()[2]
    assert (
        not ApartMiner(pool=0.6, closure=0.0)
        .groups(SCORES, LINE, tags_of(1), half)
        .any()
    )
    doubted = ApartMiner(pool=0.6, limit=-0.376).groups(SCORES, LINE, tags_of(1), open_)
    # 1 − 1 − 0.5 · 0.75 is above the limit.
    assert doubted.flatten().tolist() == [False, False, True, False, False]
    assert (
        not ApartMiner(pool=0.6, limit=-0.374)
        .groups(SCORES, LINE, tags_of(1), open_)
        .any()
    )


def test_the_weaker_closure_of_the_best_pair_counts() -> None:
    known = evidence(0, 60, 30, 90, 180, closure=[2.0, 0.4, 0.0, 0.0, 0.0])

    # 0.5 + 0.4 − 0.5 · 0.75
    for limit, refused in ((0.5, True), (0.55, False)):
        miner = ApartMiner(pool=0.6, limit=limit)
        assert miner.groups(SCORES, LINE, tags_of(1), known).any() == refused


def test_a_doubt_at_the_limit_is_none() -> None:
    same = evidence(0, 0, 0, 90, 180)

    # 1 − 0.5 · 0.75; without integrity 1.
    for limit, refused in ((0.625, False), (0.62, True)):
        miner = ApartMiner(pool=0.6, limit=limit)
        assert miner.groups(SCORES, LINE, tags_of(1), same).any() == refused
    plain = scores_of([0.75, 0.625, 0.5, 0.25, 0.125])
    for limit, refused in ((1.0, False), (0.9, True)):
        miner = ApartMiner(pool=0.6, limit=limit)
        assert miner.groups(plain, LINE, tags_of(1), same).any() == refused


def test_without_evidence_nothing_is_a_group() -> None:
    assert not MINER.groups(SCORES, LINE, tags_of(1), None).any()


def test_where_all_seeds_are_groups_none_is_refused() -> None:
    scores = scores_of([0.5, 0.5, 0.75, 0, 0], loc=[[0, 0, 0.5, 0, 0]])
    few = ApartMiner(pool=0.6, p_seed=0.2)

    assert few.groups(scores, LINE, tags_of(1), ALIKE).flatten().tolist()[2]
    assert found(few(scores, LINE, tags_of(1), ALIKE)) == [(2, 1, 0.375)]


def test_pairs_have_a_size_and_hardly_overlap() -> None:
    def refused(*ends: tuple[int, int], overlap: float = 0.15) -> bool:
        n = len(ends) - 1
        scores = scores_of([0.5] * n + [0.25], loc=[[0.0] * (n + 1)])
        same = evidence(*[0.0] * (n + 1))
        miner = ApartMiner(pool=1.0, overlap=overlap)
        return bool(miner.groups(scores, spans(*ends), tags_of(1), same)[n, 0])

    assert refused((0, 10), (10, 20), (0, 20))
    assert refused((0, 10), (9, 20), (0, 20))
    assert not refused((0, 10), (8, 20), (0, 20))  # they share a fifth of one
    assert not refused((0, 8), (6, 14), (0, 14), overlap=0.25)  # a quarter
    assert refused((0, 8), (7, 15), (0, 15), overlap=0.25)
    assert not refused((0, 16), (16, 20), (0, 20))  # the first is too large
    assert not refused((0, 10), (18, 20), (0, 20))  # the second is a tenth
    assert not refused((0, 10), (0, 20))  # one is no pair
    assert not refused((0, 10), (18, 30), (0, 20))  # the second lies outside


def test_cues_that_are_groups_make_room_once_training_is_half_over() -> None:
    cues = pseudo_of((2, 1, 1.0), (3, 2, 1.0))
    one, two = [0.75, 0.625, 0.5, 0.25, 0.125], [0.0, 0.0, 0.0, 0.5, 0.25]
    loc = [0.5, 0.5, 0.75, 0.25, 1]
    scores = scores_of(one, two, loc=[loc, loc])
    miner, tags = ApartMiner(pool=0.6, p_cue=0.6), tags_of(1, 1)

    early = miner.amended(cues, scores, LINE, tags, ALIKE, 0.49)
    late = miner.amended(cues, scores, LINE, tags, ALIKE, 0.5)
    never = ApartMiner(pool=0.6, cues=1.0).amended(
        cues, scores, LINE, tags, ALIKE, 0.99
    )
    whole = miner.amended(cues, scores, LINE, tags, UNLIKE, 0.5)

    assert found(early) == found(never) == found(whole) == found(cues)
    assert found(late) == [
        (3, 2, 1.0),
        (0, 1, 1.0),
        (1, 1, pytest.approx(0.3125 / 0.375)),
    ]


def test_all_cues_of_a_class_that_has_a_group_make_room_once() -> None:
    cues = pseudo_of((2, 1, 1.0), (4, 1, 1.0), (3, 1, 1.0), (2, 2, 1.0))
    one, two = [0.75, 0.625, 0.5, 0.25, 0.125], [0.5, 0.6, 0.4, 0.75, 0.1]
    miner, tags = ApartMiner(pool=0.6, p_cue=0.4), tags_of(1, 1)

    groups = miner.groups(scores_of(one, two), LINE, tags, ALIKE)
    late = miner.amended(cues, scores_of(one, two), LINE, tags, ALIKE, 0.5)

    # Of the second class the best pair in the last, 3 and 1, differ.
    assert groups.nonzero().tolist() == [[2, 0], [2, 1], [4, 0]]
    assert [row[:2] for row in found(late)] == [(0, 1), (1, 1), (3, 2)]


@settings(max_examples=60)
@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(1, 4))
def test_without_evidence_it_is_cim(seed: int, count: int, classes: int) -> None:
    problem = drawn(seed, count, classes)

    one, other = ApartMiner()(*problem), CIMMiner()(*problem)

    assert found(one) == found(other)
    assert one.seed.equal(other.seed)
    alike = Evidence(torch.ones(count, 1), torch.ones(count))
    assert found(ApartMiner(limit=100.0)(*problem, alike)) == found(other)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 25), st.integers(1, 3), st.booleans())
def test_groups_are_those_of_plain_loops(
    seed: int, count: int, classes: int, closed: bool
) -> None:
    scores, overlaps, tags = drawn(seed, count, classes)
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(count, 3, generator=generator)
    closure = torch.randn(count, generator=generator) if closed else None
    known = Evidence(torch.nn.functional.normalize(rows), closure)
    miner = ApartMiner(pool=0.7, overlap=0.4, containment=0.5, limit=0.2)

    groups = miner.groups(scores, overlaps, tags, known)

    for k, label in enumerate((tags.nonzero().flatten() + 1).tolist()):
        cls, loc = scores.classification[:, label], scores.localization[:, label]
        pool = cls.argsort(descending=True, stable=True)[: math.ceil(0.7 * count)]
        for n in range(count):
            pairs = list(pairs_in(n, pool.tolist(), overlaps))
            doubt = -math.inf
            if pairs:
                a, b = pairs[0]
                doubt = float(known.likeness[a] @ known.likeness[b]) - 0.5 * float(
                    loc[n]
                )
                if closure is not None:
                    best = max(min(closure[a], closure[b]) for a, b in pairs)
                    doubt += max(float(best), -1)
            assert bool(groups[n, k]) == (doubt > 0.2)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 25))
def test_the_order_of_proposals_does_not_count(seed: int, count: int) -> None:
    scores, overlaps = untied(seed, count, 2), drawn(seed, count, 2)[1]
    tags, by = tags_of(1, 1), order(seed, count)
    generator = torch.Generator().manual_seed(seed)
    likeness = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator))
    closure = torch.randn(count, generator=generator)
    miner = ApartMiner(pool=0.7, overlap=0.4, containment=0.5)

    here = miner(scores, overlaps, tags, Evidence(likeness, closure))
    there = miner(
        *reordered(scores, overlaps, by), tags, Evidence(likeness[by], closure[by])
    )

    assert rows(here) == rows(there, by)


def pairs_in(n, pool, overlaps):
    """Pairs within a proposal: by the later one's rank, then by the earlier one's."""

    def inside(i):
        share = overlaps.area[i] / overlaps.area[n]
        return overlaps.containment[n, i] > 0.5 and 0.1 < share < 0.75

    for later, b in enumerate(pool):
        for a in pool[:later]:
            shared = max(overlaps.containment[a, b], overlaps.containment[b, a])
            if inside(a) and inside(b) and shared < 0.4:
                yield a, b


def test_the_threshold_rises_by_branch() -> None:
    assert isinstance(ApartMiner(), Cascading)
    assert isinstance(ApartMiner(), Evidential)
    assert not isinstance(CIMMiner(), Evidential)
    assert ApartMiner().at(2).t_cls == 0.25 + 0.1 * 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        *(
            ({name: 0.0}, rf"^{name} must be in \(0, 1\], got 0")
            for name in ("p_seed", "oversize", "t_cls", "pool", "overlap", "p_cue")
        ),
        ({"containment": 1.0}, r"^containment must be in \[0, 1\), got 1"),
        ({"smallest": 1.0}, r"^smallest must be in \[0, 1\), got 1"),
        ({"largest": 1.5}, r"^largest must be in \(0, 1\], got 1.5"),
        ({"smallest": 0.8}, "^smallest must be below largest, got 0.8 and 0.75"),
        ({"smallest": 0.75}, "^smallest must be below largest, got 0.75 and 0.75"),
        ({"step": -0.5}, r"^step must be in \[0, 1\], got -0.5"),
        ({"cues": 1.5}, r"^cues must be in \[0, 1\], got 1.5"),
        ({"closure": -1.0}, "^closure must be at least 0, got -1"),
        ({"integrity": -1.0}, "^integrity must be at least 0, got -1"),
        ({"limit": -3.5}, "^limit must be at least -3, got -3.5"),
    ],
)
def test_refuses_settings_out_of_range(wrong, message) -> None:
    with pytest.raises(ValueError, match=message):
        ApartMiner(**wrong)


def test_takes_settings_at_the_end_of_their_range() -> None:
    ApartMiner(step=0.0, cues=0.0, closure=0.0, integrity=0.0, limit=-3.0)

    with pytest.raises(ValueError, match=r"^branch must be 0 or more, got -1"):
        ApartMiner().at(-1)


def test_training_hands_on_evidence_and_how_far_it_is(tmp_path) -> None:
    told = []

    class Looking(CIMMiner):
        def __call__(self, scores, overlaps, tags, evidence=None):
            told.append(("mined", evidence))
            return CIMMiner.__call__(self, scores, overlaps, tags)

        def amended(self, cues, scores, overlaps, tags, evidence, done):
            told.append((done, evidence))
            return cues

        def at(self, branch):
            return self

    pipeline = Pipeline(quick("anti_noise=false", "head.evidence=lab"), tmp_path)
    data = Squares(train=4)
    pipeline.train(data.train(), Looking(), 0)

    assert [done for done, _ in told[::3]] == [i / 8 for i in range(8)]
    assert [kind for kind, _ in told[1::3]] == ["mined"] * 8
    norms = [one.likeness.norm(dim=1) for _, one in told]
    assert all(torch.allclose(one, torch.ones_like(one), atol=1e-5) for one in norms)
    [bag] = pipeline.bags(data.train().images[:1])
    pooled = pipeline.frozen(bag, pipeline.train_views[0]).float()
    known = {tuple(one.closure.tolist()) for _, one in told}
    assert tuple(pooled[:, -26 + 10].tolist()) in known


def test_cues_of_points_are_not_amended(tmp_path) -> None:
    class Amending(ApartMiner):
        def amended(self, *given):
            raise AssertionError("points tell one object from its neighbours")

        def at(self, branch):
            return self

    on_points = ("cues=points", "anti_noise=false", "head.evidence=lab")
    pipeline = Pipeline(quick(*on_points), tmp_path)
    tagged = Squares(train=4).train()
    images = [replace(one, points=points((20, 20, 1))) for one in tagged.images]

    _, progress = pipeline.train(replace(tagged, images=images), Amending(), 0)

    assert progress.step == 8


def test_a_head_that_tells_nothing_is_refused_before_any_work(tmp_path) -> None:
    data = Squares()
    pipeline = Pipeline(quick("head=mask_fuse", "head.width=8"), tmp_path)
    message = "ApartMiner, such as mask_pool; the head mask_fuse:width=8 tells none"

    with pytest.raises(SettingsError, match=message):
        pipeline.train(data.train(), "apart", 0)
    with pytest.raises(SettingsError, match=message):
        compare(variants_of(["cim", "apart"]), data, pipeline, seeds=[0])
    assert not [*tmp_path.rglob("*.safetensors")]
