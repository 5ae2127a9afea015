"""Each check refuses a part for each thing that it promises to look at."""

import copy
from dataclasses import dataclass
from itertools import count
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

import wsis
from tests.problems import pseudo_of
from wsis.contracts import GroundTruth, Miner, Tagged, Targets
from wsis.geometry import from_masks
from wsis.mining import OICRMiner
from wsis.mining.assignment import CascadeAssigner
from wsis.mining.sampling import KeepAll
from wsis.testing import (
    check_assigner,
    check_backbone,
    check_contours,
    check_cues,
    check_dataset,
    check_head,
    check_miner,
    check_sampler,
    check_source,
    strips,
)
from wsis.testing._expecting import expect_protocol


def spoilt(value, **fields):
    """Return a copy with other fields, whatever their shapes."""
    changed = copy.copy(value)
    for name, field in fields.items():
        object.__setattr__(changed, name, field)
    return changed


@dataclass(frozen=True)
class Wrong:
    """A part whose result is spoilt in one way."""

    right: object
    spoil: object

    def __call__(self, *given):
        found = self.right(*given)
        return self.spoil(found, *given)

    @property
    def ledger(self):
        return self.right.ledger


def refused(check, right, spoil, message, **more):
    with pytest.raises(AssertionError, match=message):
        check(Wrong(right, spoil), **more)


def same(found, *given):
    return found


def test_parts_that_are_right_pass():
    check_miner(Wrong(OICRMiner(), same), seeds=[3, 8])
    check_sampler(Wrong(KeepAll(), same))
    check_assigner(Wrong(CascadeAssigner(), same), seeds=[4, 6])
    check_source(Wrong(Halves(), same))
    check_contours(Wrong(Edges(), same))
    check_dataset(Spoilt(same))
    check_backbone(Net())
    check_head(Net(), channels=6)
    check_cues(Cues())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda found, *_: (found.index, found.label), "Wrong: expected PseudoInst"),
        (lambda found, *_: spoilt(found, weight=found.weight[:0]), "of one length"),
        (
            lambda found, *_: found.chosen(found.index < 0),
            r"at least one.*branch 0, problem 3",
        ),
        (lambda found, *_: spoilt(found, index=found.index.int()), "int64"),
        (lambda found, *_: spoilt(found, index=found.index + 1), "proposals 0…"),
        (lambda found, *_: spoilt(found, seed=found.index - 20), "proposals 0…"),
        (lambda found, *_: spoilt(found, label=found.label % 4 + 1), "labels among"),
        (lambda found, *_: spoilt(found, weight=found.weight + 1), r"in \[0, 1\]"),
        (lambda found, *_: spoilt(found, weight=found.weight * np.nan), r"in \[0, 1"),
        (
            lambda found, scores, *_: (scores.classification.mul_(0.5), found)[1],
            "arguments to stay",
        ),
        (
            lambda found, *_: spoilt(found, weight=torch.rand(len(found))),
            "same result",
        ),
        (
            lambda found, scores, overlaps, tags: (
                found if tags.any() else pseudo_of((0, 1, 1.0))
            ),
            "without tags",
        ),
        (
            lambda found, scores, *_: spoilt(
                found,
                weight=0 * found.weight + scores.product[:, 1:].amax().clamp(0, 1),
            ),
            "whatever the scores of classes that the photo lacks",
        ),
        (
            lambda found, *_: spoilt(found, index=0 * found.index),
            "any order.*any_order=False",
        ),
        (
            lambda found, scores, *_: 1 / 0 if scores.localization is None else found,
            "division",
        ),
    ],
)
def test_miners(spoil, message):
    with pytest.raises((AssertionError, ZeroDivisionError), match=message):
        check_miner(Wrong(OICRMiner(), spoil), seeds=range(3, 9))


def test_a_class_in_place_of_an_object_and_a_sampler_of_nowhere_are_named():
    class Unknown(Wrong):
        sampler: ClassVar[str] = "nowhere"

    with pytest.raises(AssertionError, match="an object, got a class"):
        expect_protocol(OICRMiner, Miner)
    with pytest.raises(AssertionError, match=r"all that wsis.contracts.Miner declares"):
        expect_protocol("cim", Miner)
    with pytest.raises(AssertionError, match="one of anti_noise, none, got 'nowhere'"):
        check_miner(Unknown(OICRMiner(), lambda found, *_: found))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda found, *_: found.chosen(found.label == 1), "some of each class"),
        (lambda found, *_: found.chosen(torch.arange(len(found)).flip(0)), "order"),
        (
            lambda found, *_: spoilt(found, weight=found.weight / 2),
            "label and weight to go with the index",
        ),
        (
            # The second of three calls keeps fewer.
            lambda found, *_: (
                found.chosen(first(found)) if next(CALLS) % 3 == 1 else found
            ),
            "the same with the same generator",
        ),
        (lambda found, *_: found.chosen(first(found)), "as often in any order"),
        (
            lambda found, *_: found.chosen((found.index % 2 == 0) | first(found)),
            "whichever proposals they are",
        ),
    ],
)
def test_samplers(spoil, message):
    refused(check_sampler, KeepAll(), spoil, message)


CALLS = count()


def first(pseudo):
    """Mark the first of each class."""
    label = pseudo.label
    return torch.tensor([one not in label[:i] for i, one in enumerate(label)]).bool()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda found, *_: found.label, "expected Targets"),
        (
            lambda found, *_: spoilt(found, weight=found.weight[1:]),
            "a target for each",
        ),
        (lambda found, *_: spoilt(found, label=found.label + 5), "labels among"),
        (lambda found, *_: spoilt(found, integrity=found.integrity - 1), "integrity"),
        (lambda found, *_: spoilt(found, weight=found.weight - 1), "weights that are"),
        (
            lambda found, *_: spoilt(found, assignment=0 * found.label),
            "foreground alone",
        ),
        (
            lambda found, pseudo, *_: spoilt(
                found, assignment=found.assignment.clamp_max(0)
            ),
            "label of the pseudo instance",
        ),
        (
            lambda found, *_: Targets(
                0 * found.label, found.integrity, found.weight, 0 * found.label - 1
            ),
            "own proposal to be foreground",
        ),
        (
            lambda found, pseudo, *_: (pseudo.weight.mul_(0.5), found)[1],
            "arguments to stay",
        ),
        (
            lambda found, *_: spoilt(
                found, integrity=torch.linspace(0, 1, len(found.label))
            ),
            "follow their proposals|its original's",
        ),
        (
            lambda found, *_: spoilt(
                found, weight=found.weight / len(found.label) ** 2
            ),
            "its original's target",
        ),
        (
            lambda found, pseudo, *_: spoilt(found, weight=found.weight / len(pseudo)),
            "given twice",
        ),
    ],
)
def test_assigners(spoil, message):
    refused(check_assigner, CascadeAssigner(), spoil, message)


class Halves:
    ledger = frozenset()

    def __call__(self, image):
        masks = torch.zeros(2, *image.shape[:2], dtype=torch.bool)
        masks[0, :, :5] = masks[1, :, 5:] = True
        return from_masks(masks, objectness=torch.tensor([0.9, 0.1]))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda found, *_: strips((0, 4)), r"image's size \(48, 64\)"),
        (
            lambda found, *_: spoilt(found, objectness=found.objectness.flip(0)),
            "order of their objectness",
        ),
        (lambda found, *_: spoilt(found, ledger=frozenset("x")), "source's ledger"),
        (lambda found, *_: spoilt(found, regions=found.regions + 1), "regions 0…R"),
        (lambda found, image: (image.fill(0), found)[1], "image to stay"),
        (
            lambda found, *_: spoilt(found, objectness=-torch.rand(2).sort().values),
            "same proposals of the same image",
        ),
    ],
)
def test_sources(spoil, message):
    refused(check_source, Halves(), spoil, message)


class Edges:
    ledger = frozenset()

    def __call__(self, image):
        return image[..., 0] / 255


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda found, *_: found[1:], "a number for each pixel"),
        (lambda found, *_: found * 255, r"in \[0, 1\], got 0.0…"),
        (
            lambda found, *_: np.random.default_rng().random(found.shape),
            "same contours",
        ),
    ],
)
def test_contours(spoil, message):
    refused(check_contours, Edges(), spoil, message)


def test_a_ledger_is_of_labels():
    class Sure(Edges):
        ledger = frozenset({"tags"})

    with pytest.raises(AssertionError, match="Sure: expected ledger to be a frozenset"):
        check_contours(Sure())


@dataclass(frozen=True)
class Spoilt:
    """Drawn scenes whose halves are changed."""

    spoil: object

    def train(self):
        return self.spoil(self.scenes.train())

    def val(self):
        return self.spoil(self.scenes.val())

    scenes: ClassVar = wsis.Scenes(train_images=3, val_images=2, size=96)


def of_training(change):
    return lambda half: change(half) if isinstance(half, Tagged) else half


def of_truths(change):
    return lambda half: half if isinstance(half, Tagged) else change(half)


def other(truth, **changes) -> GroundTruth:
    return spoilt(truth, **changes)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (of_training(lambda half: spoilt(half, images=[])), "photos in train"),
        (
            of_training(lambda half: spoilt(half, classes=half.classes[:1] * 3)),
            "distinct classes",
        ),
        (
            of_training(lambda half: spoilt(half, images=[*half.images[:1]] * 2)),
            "distinct ids",
        ),
        (
            of_training(lambda half: spoilt(half, classes=(*half.classes, "more"))),
            "9 tags",
        ),
        (
            of_training(
                lambda half: spoilt(
                    half,
                    images=[
                        spoilt(one, load=lambda: np.zeros((3, 4, 4), np.uint8))
                        for one in half.images
                    ],
                )
            ),
            r"\(H, W, 3\), got uint8 \(3, 4, 4\)",
        ),
        (
            of_training(lambda half: spoilt(half, classes=half.classes[::-1])),
            "same classes",
        ),
        (
            of_truths(lambda half: spoilt(half, truths=half.truths[::-1])),
            "one by one",
        ),
        (
            of_truths(
                lambda half: spoilt(
                    half, truths=[other(t, label=t.label + 9) for t in half.truths]
                )
            ),
            "labels in 1…8",
        ),
        (
            of_truths(
                lambda half: spoilt(
                    half, truths=[other(t, area=t.area[:0]) for t in half.truths]
                )
            ),
            "for each object",
        ),
        (
            of_truths(
                lambda half: spoilt(
                    half, truths=[other(t, size=(1, 1)) for t in half.truths]
                )
            ),
            "masks of the photo's size",
        ),
    ],
)
def test_data_sets(spoil, message):
    with pytest.raises(AssertionError, match=message):
        check_dataset(Spoilt(spoil))


class Net(nn.Module):
    """A backbone and a head, right unless a method is replaced."""

    channels, stride, ledger, width = 4, 8, frozenset(), 5
    mean = std = (1.0, 1.0, 1.0)

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 5)

    def pool(self, view):
        return view.crops.flatten(1)[:, :4]

    def forward(self, given):
        if given.ndim == 4:
            return torch.zeros(1, 4, *(side // 8 for side in given.shape[2:]))
        return self.layer(given)


def changed(**values):
    return type("Changed", (Net,), values)()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mean": (1.0,)}, "mean and std of 3"),
        ({"stride": 4}, r"a map \(1, 4, 2, 2\) of 8 pixels"),
        ({"forward": lambda self, x: torch.full((1, 4, 2, 2), torch.nan)}, "finite"),
    ],
)
def test_backbones(values, message):
    with pytest.raises(AssertionError, match=message):
        check_backbone(changed(**values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": 6}, r"shape \(9, 6\)"),
        ({"pool": lambda self, view: view.crops.flatten(1)[:, :4][1:]}, "9 vectors"),
        (
            {"pool": lambda self, view: self.layer(view.crops.flatten(1)[:, :4])},
            "without weights",
        ),
        (
            {"pool": lambda self, view: view.crops.flatten(1)[:, :4].sort(0).values},
            "follow their proposals",
        ),
        ({"forward": lambda self, x: torch.full((9, 5), torch.inf)}, "finite"),
    ],
)
def test_heads(values, message):
    with pytest.raises(AssertionError, match=message):
        check_head(changed(**values), channels=6)


class Cues:
    """Labels the proposals that cover a pixel."""

    ledger = frozenset()

    def fit(self, maps, tags, generator):
        return self

    def __call__(self, image, map, proposals, overlaps):
        labels = torch.zeros(len(proposals), 4, dtype=torch.long)
        labels[:, 1] = proposals.members[:, proposals.regions[3, 3]]
        return labels


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda found, *_: found[:, 1:], r"shape \(12, 4\)"),
        (lambda found, *_: found[:, [0, 1, 2, 1]], "one cluster a proposal"),
        (lambda found, *_: found[:, [0, 2, 1, 3]], "no label of a class"),
        (
            lambda found, *_: torch.where(
                torch.arange(len(found))[:, None] % 2 == 0,
                found,
                found[:, [0, 3, 2, 1]],
            ),
            "cluster 1 to be of one class",
        ),
        (
            lambda found, *_: found * (torch.arange(len(found)) < 6)[:, None],
            "follow their proposals|copies",
        ),
        (lambda found, *_: found if len(found) > 1 else found[:0, :0], r"\(0, 4\)"),
    ],
)
def test_cues(spoil, message):
    class Wrongly(Cues):
        def __call__(self, *given):
            return spoil(super().__call__(*given), *given)

    with pytest.raises(AssertionError, match=message):
        check_cues(Wrongly())


def test_cues_that_label_nothing_pass():
    class Silent(Cues):
        def fit(self, maps, tags, generator):
            return None

    check_cues(Silent())
