import re
from dataclasses import replace
from typing import get_args

import pytest
import torch

import wsis
from tests.builders import rectangles, tagged
from tests.test_docs import ROOT, anchors
from wsis.contracts import Tagged
from wsis.proposals.bags import Bag
from wsis.runs.advice import (
    Topic,
    by_effect,
    of_cues,
    of_length,
    of_proposals,
    of_tags,
)
from wsis.runs.run import Card


def photos(*tags):
    return Tagged(
        name="drawn",
        classes=("cow", "dog", "fox"),
        images=[tagged(*(name in one for name in ("c", "d", "f"))) for one in tags],
    )


def topics(found):
    return [one.topic for one in by_effect(found)]


def test_tags_that_always_or_never_occur_come_first():
    found = by_effect(of_tags(photos("c", "cd", "c", "")))

    assert [str(one).split(";")[0].split(" (docs")[0] for one in found] == [
        "tags that every tagged photo has (1): cow",
        "classes without a photo (1): fox",
        "tags with fewer than 20 photos (2): dog (1), cow (3)",
        "photos without a tag: 1",
    ]
    assert "--classes" in found[1].text


def test_classes_that_files_list_are_left_out_already():
    [never, _] = by_effect(of_tags(photos(*["cd", "df", "fc"] * 9), ["yak"]))

    assert never.text == "classes without a photo (1): yak; they are left out"


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["truck"] * 8 + ["trcuk"] * 2, "trcuk (2) and truck (8)"),
        (["tulip"] * 4 + ["tulips"], "tulips (1) and tulip (4)"),
        (["truck"] * 7 + ["trcuk"] * 2, None),  # not much rarer
        (["cow"] * 9 + ["sow"], None),  # too short to tell
        (["variety 1"] * 9 + ["variety 2"], None),  # numbers tell them apart
        (["pear"] * 9 + ["peach"], None),
    ],
)
def test_rare_tags_that_are_spelt_like_frequent_ones_are_told(names, told):
    classes = tuple(sorted({*names, "other"}))
    images = [tagged(*(name == one for name in classes)) for one in [*names, "other"]]
    found = of_tags(Tagged(name="drawn", classes=classes, images=images))

    alike = [one.text for one in found if one.topic == "tags that are much alike"]

    assert [told in text for text in alike] == ([True] if told else [])


def test_the_rarest_tags_come_first_and_many_are_named():
    names = [letter for letter in "abcdefgh" for _ in range(ord(letter) - 95)][::-1]
    classes = tuple("hgfedcba")
    images = [tagged(*(name == one for name in classes)) for one in names]

    found = of_tags(Tagged(name="drawn", classes=classes, images=images))

    text = next(one.text for one in found if "fewer than 20" in one.topic)
    assert "(8): a (2), b (3), c (4), d (5), e (6), f (7), g (8), h (9); add" in text


def test_good_tags_get_no_advice():
    assert topics(of_tags(photos(*["c", "d", "f"] * 20))) == []


def test_proposals_that_miss_objects_are_told():
    scenes = wsis.Scenes(train_images=1, val_images=2, size=96).val()
    whole = [rectangles((0, 0, 96, 96), size=truth.size) for truth in scenes.truths]
    count = sum(len(truth) for truth in (truth.label for truth in scenes.truths))
    classes = scenes.tagged.classes

    [one] = of_proposals(whole, scenes.truths, classes, "lab:count=1")

    assert f"proposals of lab:count=1 miss {count} of {count} objects on 2" in one.text


def test_proposals_that_cover_objects_are_not():
    from wsis.geometry import from_masks

    scenes = wsis.Scenes(train_images=1, val_images=2, size=96).val()
    exact = [from_masks(truth.masks) for truth in scenes.truths]

    assert not [*of_proposals(exact, scenes.truths, scenes.tagged.classes, "exact")]


@pytest.mark.parametrize(("images", "short"), [(1399, True), (1400, False)])
def test_a_short_training_is_told(images, short):
    card = Card.model_construct(images=images)

    found = [*of_length(card)]

    assert topics(found) == ["the training was short"] * short
    if short:
        assert "it saw 1,399 photos" in found[0].text
        assert "train again with --set schedule.min_iterations=1400" in found[0].text


FRAME = (0, 0, 10, 8)
THING = (2, 2, 6, 6)
AROUND = (0, 0, 10, 7)


class Marked(Bag):
    """A photo of which cues mark one proposal."""

    proposals = rectangles(FRAME, THING, AROUND)

    def __init__(self, number):
        object.__setattr__(self, "image", tagged(True))
        object.__setattr__(self, "own", number)


@pytest.mark.parametrize(
    ("marked", "told"),
    [([0], True), ([1], False), ([1, 1, 0], False), ([2], True), ([], False)],
)
def test_cues_along_three_sides_of_many_photos_are_told(marked, told):
    bags = [Marked(number) for number in marked]

    def cues(bag):
        labels = torch.zeros(3, 2, dtype=torch.long)
        labels[bag.own, 1] = 1
        return labels

    found = [*of_cues(cues, bags)]

    assert topics(found) == ["cues look at the background"] * told
    assert [*of_cues(lambda bag: None, bags)] == []


def test_every_advice_has_a_section_that_it_names():
    known = anchors((ROOT / "docs" / "troubleshooting.md").read_text())
    advice = next(of_tags(photos("c")))

    for topic in get_args(Topic):
        place = re.search(r"\(wsis help (.+)\)$", str(replace(advice, topic=topic)))
        assert place[1] in known, topic
