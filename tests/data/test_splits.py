from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.drawn import Masked, Squares, pointed
from wsis._support.randomness import generator
from wsis.contracts import Annotated, DataSource, Tagged
from wsis.data.splits import Folds, Split, deal, in_turn, whole
from wsis.plugins import SettingError


def test_every_image_is_held_out_once_and_trained_on_otherwise():
    data = Masked(train=5, val=4)
    folds = Folds(count=3).of(data)

    held_out = [i for fold in folds for i in fold.numbers]
    assert sorted(held_out) == list(range(9))
    for fold in folds:
        train = [image.name for image in fold.train().images]
        val = [image.name for image in fold.val().tagged.images]
        assert len(train) + len(val) == 9
        assert not set(train) & set(val)
        assert [t.image_id for t in fold.val().truths] == fold.numbers
        assert len(fold.train_truths()) == len(train)
    everything = in_turn(folds)
    assert [image.id for image in everything.tagged.images] == held_out


def test_images_keep_their_pixels_tags_and_objects_under_new_numbers():
    data = Masked(train=5, val=4)
    both = whole(data)

    truths = [*data.train_truths(), *data.val().truths]
    images = [*data.train().images, *data.val().tagged.images]
    for i, (image, truth) in enumerate(zip(both.tagged.images, both.truths)):  # noqa: B905
        assert image.id == truth.image_id == i
        assert image.name == images[i].name
        assert (image.load() == images[i].load()).all()
        assert truth.masks == truths[i].masks
        assert image.tags[truth.label - 1].all()


def test_the_same_seed_gives_the_same_split_and_another_one_another():
    data = Masked(train=8, val=8)
    one, again, other = (
        [fold.numbers for fold in Folds(count=4, seed=seed).of(data)]
        for seed in (0, 0, 1)
    )

    assert one == again
    assert one != other


SIZES = {
    "count": st.integers(2, 5),
    "classes": st.integers(1, 6),
    "seed": st.integers(0, 99),
}


@given(images=st.integers(6, 60), often=st.floats(0.05, 0.6), **SIZES)
def test_every_image_is_dealt_and_no_part_stays_empty(
    images, often, count, classes, seed
):
    draw = torch.Generator().manual_seed(seed)
    tags = torch.rand(images, classes, generator=draw) < often

    part = deal(tags, count, generator(seed, "folds"))

    assert part.shape == (images,)
    assert part.unique().tolist() == list(range(count))


@given(labels=st.lists(st.integers(0, 6), min_size=6, max_size=60), **SIZES)
def test_images_of_one_class_at_most_are_dealt_evenly(labels, count, classes, seed):
    tags = torch.tensor(labels)[:, None] == torch.arange(classes)

    part = deal(tags, count, generator(seed, "folds"))

    shares = torch.stack([tags[part == k].sum(0) for k in range(count)])
    assert int((shares.amax(0) - shares.amin(0)).max()) <= 1


def test_a_class_that_cannot_be_in_every_fold_is_refused():
    class Rare(Masked):
        def train(self):
            return self._rare(super().train())

        def val(self):
            val = super().val()
            return replace(val, tagged=self._rare(val.tagged))

        def _rare(self, tagged: Tagged) -> Tagged:
            green = torch.tensor([False])
            images = [
                replace(i, tags=torch.cat([i.tags, green])) for i in tagged.images
            ]
            return replace(tagged, classes=(*tagged.classes, "green"), images=images)

    with pytest.raises(ValueError, match=r"each of 3 folds has one; .* green \(0\)"):
        Folds(count=3).of(Rare())
    with pytest.raises(ValueError, match=r"fewer of: red \(3\), blue \(3\)"):
        Folds(count=4).of(Masked(train=4, val=2))


def test_numbers_of_folds_out_of_range_are_refused():
    with pytest.raises(SettingError, match="from 2 to the number of images, got 1"):
        Folds(count=1)
    with pytest.raises(SettingError, match="from 2 to 9, the number of images, got 10"):
        Folds(count=10).of(Masked(train=5, val=4))


class Maskless(Masked):
    def val(self):
        return None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Squares(), r"masks of both halves.*Squares has none of its training half"),
        (Maskless(), r"masks of both halves.*Maskless has none of its validation half"),
    ],
)
def test_data_without_masks_of_both_halves_are_refused(data, message):
    with pytest.raises(ValueError, match=message):
        whole(data)


def test_whatever_is_trained_on_has_its_points(tmp_path):
    data = Masked(train=5, val=4)
    folds = Folds(count=3).of(pointed(tmp_path, "train", "val", data=data))

    seen = [image for fold in folds for image in fold.train().images]
    assert {image.name for image in seen} >= {"train 0", "val 0"}
    for image in seen:
        assert image.points.label.tolist() == [image.tags.nonzero().item() + 1]


@pytest.mark.parametrize(
    ("has", "lacks"), [("train", "validation"), ("val", "training")]
)
def test_points_of_one_half_alone_are_refused(tmp_path, has, lacks):
    data = pointed(tmp_path, has)

    with pytest.raises(ValueError, match=f"none of the {lacks} half"):
        whole(data)


def test_points_of_photos_with_one_name_are_refused(tmp_path):
    class Alike(Masked):
        def _tagged(self, split):
            tagged = super()._tagged(split)
            images = [replace(x, name=f"train {x.id}") for x in tagged.images]
            return replace(tagged, images=images)

    with pytest.raises(ValueError, match=r"a name of its own for each photo.*train 0"):
        whole(pointed(tmp_path, "train", data=Alike()))


def test_photos_in_both_halves_are_refused():
    class Same(Masked):
        def val(self):
            half = super().val()
            images = [*super().train().images[:2], *half.tagged.images[2:]]
            return replace(half, tagged=replace(half.tagged, images=images))

    with pytest.raises(ValueError, match=r"2 are in both: "):
        whole(Same())


def test_held_out_photos_are_tagged_and_not_trained_on():
    class Partly(Squares):
        def _tagged(self, split):
            whole = super()._tagged(split)
            images = [
                replace(one, tags=torch.zeros(2, dtype=torch.bool))
                if one.id < 4
                else one
                for one in whole.images
            ]
            return replace(whole, images=images)

    split = Split(source=Partly(train=12), share=0.25)
    train, held = split.train(), split.held()

    assert len(held.images) == 2
    assert all(one.tags.any() for one in held.images)
    ids = sorted(one.id for one in [*train.images, *held.images])
    assert ids == list(range(12))
    assert [one.id for one in split.held().images] == [one.id for one in held.images]
    others = Split(source=Partly(train=12), share=0.25, seed=1).held()
    assert [one.id for one in others.images] != [one.id for one in held.images]
    assert isinstance(held, Tagged)
    assert not isinstance(held, Annotated)


def test_without_judging_there_are_no_validation_photos():
    judged, alone = (Split(source=Squares(), judged=judged) for judged in (True, False))

    assert isinstance(judged, DataSource)
    assert len(judged.val().truths) == 3
    assert len(alone.val().tagged.images) == len(alone.val().truths) == 0
    assert alone.val().tagged.classes == judged.val().tagged.classes
    with pytest.raises(ValueError, match=r"masks of validation .* Maskless has"):
        Split(source=Maskless()).val()
