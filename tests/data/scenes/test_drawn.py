import numpy as np
import pytest
import torch
from pycocotools import mask as rle

from wsis.contracts import DataSource
from wsis.data.scenes.drawn import CLASSES, Scenes


def scenes(**settings):
    return Scenes(**{"train_images": 6, "val_images": 12, "size": 96, **settings})


def pixels(images):
    return np.stack([one.load() for one in images])


def test_halves_have_the_asked_images_and_the_same_classes():
    data = scenes()
    train, val = data.train(), data.val()

    assert isinstance(data, DataSource)
    assert train.classes == val.tagged.classes == CLASSES
    assert len(CLASSES) == 8
    assert [one.id for one in train.images] == list(range(6))
    assert len(val.tagged.images) == len(val.truths) == 12
    assert train.images[0].load().shape == (72, 96, 3)
    assert train.images[0].load().dtype == np.uint8


def test_the_same_seed_draws_the_same_pixels_and_another_seed_others():
    first, again, other = scenes(), scenes(), scenes(seed=1)

    assert np.array_equal(pixels(first.train().images), pixels(again.train().images))
    for one, two in zip(first.train().images, other.train().images, strict=True):
        assert not np.array_equal(one.load(), two.load())


def test_halves_share_no_picture():
    data = scenes()
    for one, two in zip(data.train().images, data.val().tagged.images, strict=False):
        assert not np.array_equal(one.load(), two.load())


def test_a_picture_does_not_depend_on_how_many_there_are():
    few, many = scenes(val_images=3).val(), scenes(val_images=9).val()

    assert np.array_equal(pixels(few.tagged.images), pixels(many.tagged.images[:3]))
    assert [truth.masks for truth in few.truths] == [
        truth.masks for truth in many.truths[:3]
    ]


@pytest.mark.parametrize("size", [96, 320])
def test_tags_match_truths_and_masks_are_apart_and_visible(size):
    val = scenes(size=size).val()
    for tagged, truth in zip(val.tagged.images, val.truths, strict=True):
        present = torch.zeros(len(CLASSES), dtype=torch.bool)
        present[truth.label - 1] = True
        masks = rle.decode(list(truth.masks))

        assert 1 <= len(truth.masks) <= 3
        assert truth.image_id == tagged.id
        assert tagged.tags.equal(present)
        assert masks.shape[:2] == truth.size == tagged.load().shape[:2]
        assert masks.sum(-1).max() == 1
        assert truth.area.tolist() == masks.sum((0, 1)).tolist()
        assert truth.area.min() > 0


def test_a_picture_that_was_painted_over_comes_back_as_it_was():
    [image] = scenes(train_images=1).train().images
    first = image.load()
    before = first.copy()
    first[:] = 0

    assert (image.load() == before).all()


def test_telling_colours_lie_inside_the_masks():
    val = Scenes(val_images=16).val()
    inside, outside = [], []
    for tagged, truth in zip(val.tagged.images, val.truths, strict=True):
        image = tagged.load().astype(int)
        colourful = image.max(-1) - image.min(-1) > 150
        mask = rle.decode(list(truth.masks)).any(-1)
        inside.append(colourful[mask].mean())
        outside.append(colourful[~mask].mean())

    assert np.mean(inside) > 4 * np.mean(outside)


def test_every_class_comes_and_pairs_of_a_class_do():
    truths = scenes(val_images=48).val().truths
    labels = [truth.label.tolist() for truth in truths]

    counts = np.bincount(np.concatenate(labels), minlength=len(CLASSES) + 1)[1:]
    assert counts.min() >= 6
    assert any(len(one) > len(set(one)) for one in labels)
    assert {len(one) for one in labels} == {1, 2, 3}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_images": 0}, "train_images must be at least 1, got 0"),
        ({"val_images": 0}, "val_images must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"size": 32}, "size must be at least 64, got 32"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Scenes(**settings)


def test_training_pictures_may_come_with_numbers_of_figures():
    data, plain = scenes(counts=True), scenes()

    for image, one, truth in zip(
        data.train().images, plain.train().images, data.train_truths(), strict=True
    ):
        assert (
            image.counts.tolist() == truth.label.sub(1).bincount(minlength=8).tolist()
        )
        assert image.tags.equal(one.tags)
        assert one.counts is None
    assert all(image.counts is None for image in data.val().tagged.images)
