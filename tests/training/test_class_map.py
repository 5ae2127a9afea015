import pytest
import torch

from tests.builders import strips
from tests.drawn import Squares, settings
from wsis.contracts import PseudoInstances
from wsis.features.views import region_means
from wsis.geometry.masks import select
from wsis.geometry.overlap import cross_iou
from wsis.runs.pipeline import Pipeline
from wsis.runs.run import load, train
from wsis.training.class_map import ClassMap, extent, map_steps, near_best, targets
from wsis.training.inference import predict, scores

ALL = torch.ones(2)


def extent_of(classes, feature_map, proposals, present):
    return extent(classes.shares(feature_map, proposals, present), proposals)


class Shown(ClassMap):
    """Knows the class of each column of a strip: 0 is background."""

    def __init__(self, *columns):
        super().__init__(channels=1, classes=2)
        self.columns = columns

    def regions_of(self, proposals):
        first = [(proposals.regions[0] == r).nonzero()[0, 0] for r in self.order]
        return [self.columns[i] for i in first]

    def extent(self, proposals):
        self.order = range(proposals.members.shape[1])
        self.proposals = proposals
        return extent_of(self, torch.zeros(1, 1, 10), proposals, ALL)

    def forward(self, means):
        logits = torch.full((1, len(means), 3), -50.0)
        for r, label in enumerate(self.regions_of(self.proposals)):
            logits[0, r, label] = 50.0
        return logits


class Soft(Shown):
    """Knows how likely the first class is in each column."""

    def forward(self, means):
        share = torch.tensor([float(one) for one in self.regions_of(self.proposals)])
        return torch.stack([1 - share, share, torch.zeros(len(share))], 1).log()[None]


def test_an_object_alone_is_covered_by_its_proposal():
    proposals = strips((2, 6), (2, 4), (2, 8), (8, 10))
    covered = Shown(0, 0, 1, 1, 1, 1, 0, 0, 0, 0).extent(proposals)

    assert covered[:, 0].tolist() == pytest.approx([1, 2 / 4, 4 / 6, 0])
    assert covered[:, 1].tolist() == pytest.approx([0, 0, 0, 0])


def test_objects_apart_count_alone_and_together():
    proposals = strips((0, 2), (5, 7), (0, 7))
    covered = Shown(1, 1, 0, 0, 0, 1, 1, 0, 0, 0).extent(proposals)

    # One object: all of its part. Both, and what lies between: 4 of 7 with the class,
    # which is more than 2 of 7 with a part.
    assert covered[:, 0].tolist() == pytest.approx([1, 1, 4 / 7])


@pytest.mark.parametrize("highest", [1.0, 0.25])
def test_regions_far_below_the_highest_count_for_the_class_and_for_no_part(highest):
    proposals = strips((0, 2), (0, 6))
    low, more = 0.39 * highest, 0.41 * highest
    rest = [0.0] * 4
    alone = Soft(highest, highest, *[low] * 4, *rest).extent(proposals)[:, 0]
    along = Soft(highest, highest, *[more] * 4, *rest).extent(proposals)[:, 0]

    def iou(shared, own, other):
        return shared / (own + other - shared)

    part, both = 2 * highest, 2 * highest + 4 * low
    assert alone.tolist() == pytest.approx([iou(part, 2, part), iou(both, 6, both)])
    all_ = 2 * highest + 4 * more
    assert along.tolist() == pytest.approx([iou(part, 2, all_), iou(all_, 6, all_)])


def test_three_networks_are_not_trained_with_the_model():
    classes = ClassMap(channels=1, classes=2)

    assert len(classes.networks) == 3
    assert not any(one.requires_grad for one in classes.parameters())


def test_features_beyond_five_deviations_count_as_five():
    classes = ClassMap(channels=1, classes=2).eval()
    near, at, beyond = (classes(torch.tensor([[x]])) for x in (4.9, 5.0, 9.0))

    assert at.equal(beyond)
    assert not at.equal(near)


def test_objects_that_touch_are_one_part():
    proposals = strips((0, 2), (2, 4), (0, 4))
    covered = Shown(1, 1, 1, 1, 0, 0, 0, 0, 0, 0).extent(proposals)

    assert covered[:, 0].tolist() == pytest.approx([0.5, 0.5, 1.0])


def test_each_class_has_an_extent_of_its_own():
    proposals = strips((0, 3), (3, 6))
    covered = Shown(1, 1, 1, 2, 2, 2, 0, 0, 0, 0).extent(proposals)

    assert covered.tolist() == [pytest.approx([1, 0]), pytest.approx([0, 1])]


def test_classes_that_are_not_present_are_nowhere():
    proposals = strips((0, 3), (3, 6))
    classes = ClassMap(channels=1, classes=2).eval()
    free = extent_of(classes, torch.zeros(1, 1, 10), proposals, ALL)
    tied = extent_of(
        classes, torch.zeros(1, 1, 10), proposals, torch.tensor([0.0, 1.0])
    )

    assert (free > 0).all()
    assert (tied[:, 0] == 0).all()
    assert (tied[:, 1] > free[:, 1]).all()
    none = extent_of(classes, torch.zeros(1, 1, 10), proposals, torch.zeros(2))
    assert none.tolist() == [[0, 0], [0, 0]]


def test_a_class_that_is_as_likely_as_on_training_photos_has_no_advantage():
    proposals = strips((0, 3), (3, 6))
    classes = ClassMap(channels=1, classes=2).eval()
    even = extent_of(classes, torch.zeros(1, 1, 10), proposals, ALL)
    classes.rate = torch.tensor([0.8, 0.2])
    usual = extent_of(
        classes, torch.zeros(1, 1, 10), proposals, torch.tensor([0.4, 0.1])
    )
    likely = extent_of(
        classes, torch.zeros(1, 1, 10), proposals, torch.tensor([0.4, 0.4])
    )

    assert torch.allclose(even, usual)
    assert (likely[:, 0] < even[:, 0]).all()


def test_proposals_in_another_order_have_the_same_extents():
    proposals = strips((2, 6), (2, 4), (2, 8), (8, 10))
    order = torch.tensor([3, 1, 0, 2])
    classes = ClassMap(channels=1, classes=2).eval()
    feature_map = torch.arange(10.0).view(1, 1, 10)

    first = extent_of(classes, feature_map, proposals, ALL)
    again = extent_of(classes, feature_map, select(proposals, order), ALL)

    assert torch.allclose(first[order], again, atol=1e-6)


def test_a_region_of_two_classes_is_shared():
    proposals = strips((0, 4), (2, 6))
    found = PseudoInstances(torch.tensor([0, 1]), torch.tensor([1, 2]), torch.ones(2))
    taught = targets(found, proposals, classes=2)

    columns = taught[proposals.regions[0].long()]
    assert columns[0].tolist() == [0, 1, 0]
    assert columns[3].tolist() == [0, 0.5, 0.5]
    assert columns[5].tolist() == [0, 0, 1]
    assert columns[9].tolist() == [1, 0, 0]


def test_what_is_learned_is_near_the_best_of_each_tag():
    proposals = strips((0, 4), (0, 4), (6, 8), (8, 10))
    score = torch.tensor([[0.8, 0.9], [0.7, 0.1], [0.4, 0.2], [0.39, 0.3]])

    # The second is suppressed, the fourth has less than half of the best.
    one = near_best(score, proposals, torch.tensor([True, False]), nms=0.3)
    assert (one.index.tolist(), one.label.tolist()) == ([0, 2], [1, 1])
    assert one.weight.tolist() == pytest.approx([0.8, 0.4])
    other = near_best(score, proposals, torch.tensor([False, True]), nms=0.3)
    assert (other.index.tolist(), other.label.tolist()) == ([0], [2])


def colours(bag):
    """The photo itself as a feature map."""
    return torch.from_numpy(bag.pixels[::4, ::4].copy()).permute(2, 0, 1).float()


def learned(bags, seed=0, *, finding=lambda classes: None, map_of=colours):
    classes, seen = ClassMap(channels=3, classes=2), []

    shown = {bag.image.id: fitting(bag) for bag in bags}

    def found(bag):
        finding(classes)
        return shown[bag.image.id]

    classes.learn(bags, map_of, found, steps=80, seed=seed, tick=seen.append)
    assert len(seen) == 80
    assert {*seen} == {bag.image.name for bag in bags}
    return classes


def fitting(bag):
    """The proposal that fits the photo's square best."""
    truth = Squares()._truth("train", bag.image.id)
    [iou] = cross_iou(bag.proposals, truth.masks).T
    return PseudoInstances(iou.argmax().view(1), truth.label, torch.ones(1))


def test_it_learns_what_it_is_shown_and_repeats_itself(tmp_path):
    bags = Pipeline(settings(), tmp_path).bags(Squares().train().images)
    classes, again, other = (learned(bags, seed) for seed in (0, 0, 1))
    # As scoring does with the model that it is a part of.
    looked = learned(bags, finding=ClassMap.eval)

    for bag in bags:
        covered = extent_of(classes, colours(bag), bag.proposals, ALL)
        shown = fitting(bag)
        assert covered[shown.index, shown.label - 1] > 0.8 * covered.max()
        assert covered.max(0).values.argmax() + 1 == shown.label
        assert (classes.present(colours(bag)) > 0.5).equal(bag.tags)
    tagged = torch.stack([bag.tags for bag in bags]).sum(0)
    assert classes.rate.tolist() == pytest.approx((tagged + 1) / (len(bags) + 2))
    assert not any(one.requires_grad for one in classes.parameters())
    states = [one.state_dict() for one in (classes, again, looked, other)]
    for same in states[1:3]:
        assert all(v.equal(same[k]) for k, v in states[0].items())
    assert not states[0]["networks.0.0.weight"].equal(states[3]["networks.0.0.weight"])


def test_few_photos_are_seen_several_times():
    assert [map_steps(photos) for photos in (1, 300, 360)] == [300, 300, 360]


def test_learning_keeps_what_is_usual_in_training(tmp_path):
    bags = Pipeline(settings(), tmp_path).bags(Squares().train().images)[:3]
    untaught = ClassMap(channels=3, classes=2).present(colours(bags[0]))
    classes = learned(bags, map_of=lambda bag: colours(bag) / 255)

    assert untaught.tolist() == [0.5, 0.5]
    assert classes.rate.tolist() == pytest.approx([3 / 5, 2 / 5])
    assert not classes.training
    means = torch.cat([region_colours(bag) for bag in bags]) / 255
    assert classes.mean.tolist() == pytest.approx(means.mean(0).tolist(), abs=1e-5)
    spread = means.std(0, correction=0)
    assert classes.std.tolist() == pytest.approx(spread.tolist(), abs=1e-5)


def region_colours(bag):
    return region_means(
        colours(bag), bag.proposals.regions, bag.proposals.members.shape[1]
    )[0]


def test_the_learning_rate_falls_to_nothing(tmp_path, monkeypatch):
    rates, clean = [], []

    class Watched(torch.optim.AdamW):
        def zero_grad(self):
            super().zero_grad()
            clean.append(len(rates))

        def step(self):
            rates.append((self.param_groups[0]["lr"], self.defaults["weight_decay"]))
            return super().step()

    monkeypatch.setattr(torch.optim, "AdamW", Watched)
    learned(Pipeline(settings(), tmp_path).bags(Squares().train().images))

    assert rates == [pytest.approx((1e-3 * (1 - i / 80), 1e-2)) for i in range(80)]
    assert clean == [*range(80)]  # each gradient is its step's alone


def test_a_run_with_a_class_map_is_the_run_without_and_ranks_by_extents(tmp_path):
    cache, data = tmp_path / "cache", Squares()
    given = {"seed": 3, "device": "cpu", "cache": cache}
    plain = train(data, settings=settings(), **given)
    run = train(
        data, settings=settings("class_map=true"), **given, folder=tmp_path / "r"
    )

    state = run.model.state_dict()
    assert all(v.equal(state[k]) for k, v in plain.model.state_dict().items())
    [bag] = run.pipeline.bags(data.val().tagged.images[:1])
    [seen] = scores(run.model, bag, run.pipeline.frozen, run.pipeline.test_views)
    product = seen.final()
    feature_map = run.pipeline.frozen.map(bag, run.pipeline.test_views[0])
    present = run.model.class_map.present(feature_map)
    assert 0 < present.min() < present.max() < 1
    known = torch.tensor([True, False])
    for allowed, likely in ((known, known.float()), (None, present)):
        covered = extent_of(run.model.class_map, feature_map, bag.proposals, likely)
        found = run.pipeline.predict(run.model, bag, allowed)
        score = (product * likely.sqrt()).sqrt() * covered
        # What is far behind the best of its class ranks lower among photos.
        best = score.max(0).values.clamp_min(1e-9)
        ranked = (score**2 / best)[found.index, found.label - 1]
        assert found.score.tolist() == pytest.approx(ranked.tolist())
    assert (
        found.score.tolist() != plain.pipeline.predict(plain.model, bag).score.tolist()
    )

    back = load(tmp_path / "r", device="cpu", cache=cache)
    assert back.pipeline.predict(back.model, bag).score.equal(found.score)


def test_mirrored_views_see_the_same_regions(tmp_path):
    pipeline = Pipeline(settings("class_map=true", "test_flips=true"), tmp_path)
    model = pipeline.model(2, 0)
    [bag] = pipeline.bags(Squares(val=1).val().tagged.images)
    upright = pipeline.frozen.map(bag, pipeline.test_views[0])
    seen = []
    shares = model.class_map.shares
    model.class_map.shares = lambda *given: seen.append(shares(*given)) or seen[-1]

    predict(
        model,
        bag,
        pipeline.frozen,
        pipeline.test_views,
        pipeline.settings.selection,
        maps=lambda bag, scale: upright.flip(-1) if scale.flip else upright,
    )

    assert [scale.flip for scale in pipeline.test_views] == [False, True]
    assert seen[0].equal(seen[1])
    assert not upright.equal(upright.flip(-1))
