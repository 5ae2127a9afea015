import json
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from pycocotools.coco import COCO

from tests.runs.refine.builders import predictions
from wsis import InputWarning
from wsis._support.files import write_json
from wsis.contracts import TaggedImage
from wsis.data.coco import CocoData
from wsis.data.images import read_image
from wsis.evaluation import coco_data_set
from wsis.runs.refine import Trust
from wsis.runs.refine.labels import (
    counted,
    read_pseudo_labels,
)

BOX = (4, 8, 20, 30)


def tagged(*tags, number=0, name="a.png"):
    load = partial(read_image, Path(name))
    return TaggedImage(id=number, name=name, tags=torch.tensor(tags), load=load)


def test_high_scores_of_the_tags_are_trusted():
    found = predictions((1, 0.9, BOX), (2, 0.8, BOX), (1, 0.3, BOX), (1, 0.2, BOX))

    kept = Trust(top_per_tag=0)(found, torch.tensor([True, False]))

    assert kept.label.tolist() == [1, 1]
    assert kept.score.tolist() == pytest.approx([0.9, 0.3])
    assert list(kept.masks) == [found.masks[0], found.masks[2]]
    assert kept.boxes.tolist() == [list(BOX), list(BOX)]


def test_the_best_of_every_tag_is_kept_in_any_case():
    found = predictions((1, 0.9, BOX), (3, 0.8, BOX), (2, 0.1, BOX), (2, 0.05, BOX))

    kept = Trust()(found, torch.tensor([True, True, False]))

    assert kept.index.tolist() == [0, 2]


@given(st.data())
def test_trust_agrees_with_a_plain_loop(data):
    scores = data.draw(st.lists(st.sampled_from([0.1, 0.3, 0.6, 0.9]), max_size=8))
    scores.sort(reverse=True)
    labels = [data.draw(st.integers(1, 3)) for _ in scores]
    tags = data.draw(st.lists(st.booleans(), min_size=3, max_size=3))
    trust = Trust(
        min_score=data.draw(st.sampled_from([0.0, 0.5, 1.0])),
        top_per_tag=data.draw(st.integers(0, 2)),
    )
    found = predictions(
        *((label, s, BOX) for label, s in zip(labels, scores, strict=True))
    )

    kept, seen = [], {1: 0, 2: 0, 3: 0}
    for i, (label, score) in enumerate(zip(labels, scores, strict=True)):
        if tags[label - 1] and (
            score >= trust.min_score or seen[label] < trust.top_per_tag
        ):
            kept.append(i)
        seen[label] += 1

    assert trust(found, torch.tensor(tags)).index.tolist() == kept


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"min_score": 1.5}, r"min_score must be in \[0, 1\], got 1.5"),
        ({"top_per_tag": -1}, "top_per_tag must be at least 0, got -1"),
    ],
)
def test_wrong_trust_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Trust(**wrong)


def test_coverage_counts_photos_tags_and_best_scores():
    images = [tagged(True, True), tagged(True, False), tagged(False, False)]
    found = [
        predictions((1, 0.9, BOX), (2, 0.2, BOX)),
        predictions((2, 0.8, BOX)),
        predictions(),
    ]
    high = Trust(top_per_tag=0)
    trusted = [high(one, i.tags) for one, i in zip(found, images, strict=True)]

    covered = counted(images, found, trusted)

    assert (covered.photos, covered.labelled) == (2, 1)
    assert (covered.tags, covered.covered) == (3, 1)
    assert covered.labels == 1
    assert covered.best == pytest.approx(0.2)  # of 0.9, 0.2 and nothing
    assert covered.scarce
    assert covered.agreed == 1  # the second photo's best is of a class that it has not


def test_the_file_is_a_data_set_for_pycocotools_and_for_us(tmp_path, capsys):
    for name in ("a.png", "b.png"):
        Pillow.new("RGB", (64, 48)).save(tmp_path / name)
    images = [
        tagged(True, True, number=number, name=name)
        for number, name in ((7, "a.png"), (3, "b.png"))
    ]
    labels = [
        predictions((2, 0.9, BOX), (1, 0.4, (0, 0, 64, 48)), image_id=7),
        predictions(image_id=3),
    ]
    path = tmp_path / "labels.json"
    names = [image.name for image in images]
    whole = coco_data_set(names, labels, ("cat", "dog"), (5, 9), {"year": 1})
    write_json(path, whole)

    theirs = COCO(path)
    ours = CocoData(images=tmp_path, train_json=path, val_json=path)
    capsys.readouterr()

    assert theirs.getImgIds() == [7, 3]
    first, second = theirs.loadAnns(theirs.getAnnIds())
    assert (first["image_id"], first["category_id"], first["area"]) == (7, 9, 16 * 22)
    assert first["bbox"] == [4, 8, 16, 22]
    assert theirs.annToMask(second).sum() == 48 * 64
    with pytest.warns(InputWarning, match="2 of 2 annotations have scores"):
        train, val = ours.train(), ours.val()
    assert train.classes == ("cat", "dog")
    assert train.images[0].tags.tolist() == [True, True]
    assert val.truths[0].label.tolist() == [2, 1]
    assert not len(val.truths[1].label)

    again = read_pseudo_labels(path)
    assert [one.image_id for one in again] == [7, 3]
    assert again[0].score.tolist() == pytest.approx([0.9, 0.4])
    assert again[0].boxes.tolist() == labels[0].boxes.tolist()
    assert [dict(m) for m in again[0].masks] == [dict(m) for m in labels[0].masks]


@pytest.mark.parametrize("spoil", ["{", "{}", "[]", '{"images": [{}]}'])
def test_a_damaged_file_is_named(tmp_path, spoil):
    path = tmp_path / "labels.json"
    path.write_text(spoil)

    with pytest.raises(ValueError, match=r"labels.json is damaged"):
        read_pseudo_labels(path)


def test_a_label_of_another_category_is_damage(tmp_path):
    path = tmp_path / "labels.json"
    image = tagged(True, True)
    labels = predictions((1, 0.5, BOX))
    content = coco_data_set([image.name], [labels], ("cat", "dog"), (5, 9), {})
    content["annotations"][0]["category_id"] = 6
    path.write_text(json.dumps(content))

    with pytest.raises(
        ValueError, match="expected image_id and category_id that the file"
    ):
        read_pseudo_labels(path)
