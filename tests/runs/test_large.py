"""Photos larger than their frame, from reading to figures; the bound is 40 pixels."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from pycocotools import mask as coco

from tests.photos import draw_photos
from wsis.contracts import Annotated, Points
from wsis.data.coco import CocoData
from wsis.data.images import read_image
from wsis.evaluation import MaskTeacher
from wsis.experiments import bounds
from wsis.geometry import frame as frames
from wsis.geometry.frame import enlarged, framed, photo_key, sampled_mask
from wsis.geometry.masks import encode, rles
from wsis.geometry.predictions import Predictions
from wsis.proposals.exporting import export_coco
from wsis.proposals.making import Photo, attempt, here, make_jobs
from wsis.proposals.shards import About, Store, Writer
from wsis.proposals.store import StoredProposals
from wsis.runs.pipeline import Pipeline
from wsis.runs.run import Card, Run
from wsis.runs.settings import Part, Settings

SMALL = ["backbone.weights=random", "source.nodes=20", "test_sides=64"]


@pytest.fixture(autouse=True)
def bound(monkeypatch):
    monkeypatch.setattr(frames, "LONGEST", 40)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return draw_photos(tmp_path_factory.mktemp("photos"), train=2, val=2)


@pytest.fixture
def data(photos):
    return CocoData(images=photos.images, train_json=photos.train, val_json=photos.val)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    return Pipeline(Settings.read(SMALL), tmp_path_factory.mktemp("cache"))


@pytest.fixture
def run(pipeline, data):
    card = Card.of(pipeline, Part.parse("cim"), 0, data.train())
    return Run(card=card, model=pipeline.model(2, 0).eval(), pipeline=pipeline)


def test_masks_of_a_large_photo_are_those_of_its_frame_at_its_size(run, photos):
    path = photos.images / "val0.png"
    pixels = read_image(path)

    found, of_frame = run.predict(path), run.predict(framed(pixels))

    assert (found.size, of_frame.size) == ((64, 80), (32, 40))
    assert len(found) == len(of_frame) > 5
    assert found.score.equal(of_frame.score)
    assert list(found.masks) == [sampled_mask(one, (64, 80)) for one in of_frame.masks]
    assert found.boxes.equal(2 * of_frame.boxes)
    assert found.load().shape == (32, 40, 3)
    assert found.draw().shape == (32, 40, 3)
    assert (found.draw() == of_frame.draw()).all()
    assert found.framed().masks == of_frame.masks


def test_files_arrays_and_turned_photos_give_the_same(run, photos, tmp_path):
    path = photos.images / "val0.png"
    photo = Pillow.open(path)
    exif = Pillow.Exif()
    exif[0x0112] = 6  # shown after a quarter turn to the right
    turned = tmp_path / "turned.png"
    photo.transpose(Pillow.Transpose.ROTATE_90).save(turned, exif=exif)

    ways = [run.predict(one) for one in (path, read_image(path), photo, turned)]

    for one in ways[1:]:
        assert one.masks == ways[0].masks
        assert one.score.equal(ways[0].score)


def test_a_large_photo_is_read_once_and_tells_how_far_it_is(run, data):
    [image, _] = data.val().tagged.images
    reads, told = [], []

    def load():
        reads.append(1)
        return image.load()

    run.predict(replace(image, load=load), tick=told.append)

    assert len(reads) == 1
    assert told == ["proposals", "features 64", "masks"]
    assert run.parts == len(told)


def test_a_large_data_set_is_measured_at_its_own_size(run, pipeline, data):
    val = data.val()
    found = run.evaluate(val)
    highest, chance = bounds(pipeline, val)

    assert 0 <= found.metrics["mAP50"] <= highest.metrics["mAP50"] <= 100
    assert highest.metrics["ABO"] > 50
    assert chance.metrics["mAP50"] <= highest.metrics["mAP50"]


def test_training_works_in_the_frame(pipeline, data):
    tagged = data.train()
    bags = pipeline.bags(tagged.images)
    pipeline.prepare(bags)

    assert {bag.proposals.size for bag in bags} == {(32, 40)}
    assert {bag.size for bag in bags} == {(64, 80)}
    assert all(bag.key.endswith("-40") for bag in bags)
    pipeline.train(tagged, "cim", 0, bags=bags, steps=2)


def test_masks_of_large_photos_teach_a_ceiling(pipeline, data):
    tagged, truths = data.train(), data.train_truths()
    teacher = MaskTeacher(Annotated(tagged=tagged, truths=truths))

    for bag, truth in zip(pipeline.bags(tagged.images), truths, strict=True):
        found = teacher(bag)

        whole = rles(enlarged(bag.proposals, truth.size), found.index)
        [[overlap]] = coco.iou(whole, truth.masks, [0])
        assert found.label.tolist() == truth.label.tolist()
        assert overlap > 0.4


def test_keys_that_are_kept_tell_the_frame(pipeline, data, photos):
    [bag, _] = pipeline.bags(data.train().images)
    os.utime(photos.images / "train0.png", (0, 0))

    assert bag.key == photo_key(read_image(photos.images / "train0.png"))
    [again, _] = pipeline.bags(data.train().images)
    assert (again.key, again.size) == (bag.key, (64, 80))


def test_points_lie_in_the_frame_of_the_proposals(pipeline, data):
    [image, _] = data.train().images
    points = Points(
        xy=torch.tensor([[79.5, 63.9], [0, 31]]), label=torch.tensor([1, 2])
    )
    [bag] = pipeline.bags([replace(image, points=points)])

    small, own = bag.image_at((32, 40)), bag.image_at((64, 80))

    assert small.points.xy.floor().tolist() == [[39, 31], [0, 15]]
    assert own.points is points
    assert small.load().shape == (32, 40, 3)


def test_a_store_keeps_the_frame_and_exports_the_photo(photos, tmp_path):
    path = photos.images / "val0.png"
    image = read_image(path)
    [job] = make_jobs([Photo(name="a", load=lambda: image)], "region_tree", {})
    [made] = here([job])
    about = About(source="region_tree", settings={})
    with Writer(tmp_path / "store", about) as writer:
        writer.add_packed(made.key, "a", made.packed, made.seconds, made.size)
    source = StoredProposals(path=str(tmp_path / "store"))

    assert made.key == photo_key(image)
    assert source(image).size == (32, 40)
    [entry] = source.store.entries.values()
    assert (entry.height, entry.width) == (64, 80)
    export_coco(source.store, tmp_path / "all.json")
    content = json.loads((tmp_path / "all.json").read_text())
    assert content["images"][0]["height"] == 64
    assert {tuple(a["segmentation"]["size"]) for a in content["annotations"]} == {
        (64, 80)
    }


def test_a_store_of_before_has_large_photos_at_their_own_size(
    monkeypatch, run, photos, tmp_path
):
    image = read_image(photos.images / "val0.png")
    [job] = make_jobs([Photo(name="a", load=lambda: image)], "region_tree", {})
    with monkeypatch.context() as before:
        before.setattr(frames, "LONGEST", 1000)
        old = attempt(job)
    with Writer(tmp_path / "s", About(source="region_tree", settings={})) as writer:
        writer.add_packed(old.key, "a", old.packed)
    settings = Settings.read([*SMALL[::2], f"source=files:path={tmp_path / 's'}"])
    pipeline = Pipeline(settings, tmp_path / "cache")

    found = replace(run, pipeline=pipeline).predict(image)

    assert photo_key(image) in Store.open(tmp_path / "s")
    assert pipeline.source(image).size == found.size == (64, 80)
    assert len(found) > 5


def test_small_photos_are_known_and_predicted_as_before(monkeypatch, run, photos):
    image = read_image(photos.images / "val1.png")
    monkeypatch.setattr(frames, "LONGEST", 80)
    bounded = run.predict(image)
    monkeypatch.setattr(frames, "LONGEST", 10**6)
    unbounded = run.predict(image)

    assert list(bounded.masks) == list(unbounded.masks)
    assert bounded.score.equal(unbounded.score)
    assert (bounded.draw() == unbounded.draw()).all()


def test_framed_instances_without_a_pixel_are_left_out():
    masks = torch.zeros(2, 64, 80, dtype=torch.bool)
    masks[0, 0, 0] = True  # no centre of a pixel of the frame lies in it
    masks[1, :4, :4] = True
    whole = Predictions.of_masks(
        1,
        (64, 80),
        encode(masks),
        label=torch.tensor([1, 2]),
        score=torch.tensor([0.9, 0.8]),
    )

    small = whole.framed()

    assert small.label.tolist() == [2]
    assert small.boxes.tolist() == [[0, 0, 2, 2]]


def test_a_photo_that_cannot_be_read_stops_with_all_names(run, data):
    val = data.val()

    def broken(name):
        def load():
            raise ValueError(f"{name} is torn")

        return load

    images = [replace(one, load=broken(one.name)) for one in val.tagged.images]
    torn = replace(val, tagged=replace(val.tagged, images=images))

    with pytest.raises(ValueError, match=r"2 of 2 photos .*val0.png is torn; val1.png"):
        run.predict_all(torn)


def test_grey_and_transparent_photos_are_read_in_strips(tmp_path):
    grey = np.arange(600, dtype=np.uint16).reshape(600, 1).repeat(3, 1)
    Pillow.fromarray((grey % 256).astype(np.uint8)).save(tmp_path / "grey.png")

    found = read_image(tmp_path / "grey.png")

    assert found.flags.writeable
    assert (found == (grey % 256)[..., None]).all()
