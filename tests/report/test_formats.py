"""Exports are read back by other libraries, or by a plain reader of the format."""

import csv
import json
import warnings
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
import yaml
from PIL import Image as Pillow
from PIL import ImageDraw
from pycocotools import mask as rle
from pycocotools.coco import COCO

from wsis import InputWarning
from wsis.data.exports import exported_tags
from wsis.data.images import Reading, read_image
from wsis.evaluation import coco_data_set
from wsis.geometry.masks import encode
from wsis.geometry.predictions import Predictions
from wsis.report import FORMATS, Style, export
from wsis.report.formats._photos import Photo

CLASSES = ('big "cat", grey', "<b>dog</b>: x", "狗 #1")
SIZE = (60, 90)


def masks():
    """A ring, two discs as one instance, and a square that lies behind the ring."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    far = np.hypot(y - 30, x - 25)
    two = (np.hypot(y - 15, x - 70) < 9) | (np.hypot(y - 44, x - 72) < 11)
    square = (y > 20) & (y < 55) & (x > 20) & (x < 50)
    return np.stack([(far < 20) & (far > 8), two, square])


@pytest.fixture
def found(tmp_path):
    """Four photos, predictions on three: odd names, one name twice, one turned."""
    names = ["a, 'b' <i>.jpg", "x/same.png", "y/same.png", "turned.jpg"]
    paths = [tmp_path / "photos" / name for name in names]
    predictions = []
    for i, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 255, (*SIZE, 3), np.uint8)
        picture, exif = Pillow.fromarray(pixels), Pillow.Exif()
        if path.stem == "turned":
            picture, exif[0x0112] = picture.transpose(Pillow.Transpose.ROTATE_90), 6
        picture.save(path, exif=exif)
        one = Predictions.of_masks(
            10 * i + 7,
            SIZE,
            encode(torch.from_numpy(masks())),
            label=torch.tensor([1, 3, 1]),
            score=torch.tensor([0.75, 0.5, 0.25], dtype=torch.float64),
        )
        predictions.append(one if i != 2 else one.filter(min_score=1.0))
    folder = tmp_path / "found"
    folder.mkdir()
    content = coco_data_set(
        [path.name for path in paths],
        predictions,
        CLASSES,
        (5, 9, 2),
        {},
        [f"../photos/{name}" for name in names],
    )
    (folder / "predictions.json").write_text(json.dumps(content))
    return folder


STEMS = ["a_ _b_ _i_".replace(" ", "_"), "same", "same-2", "turned"]


def iou(one, other):
    one, other = np.asarray(one, bool), np.asarray(other, bool)
    return (one & other).sum() / (one | other).sum()


def filled(points):
    """The mask that Pillow draws of an outline, whose cuts it draws, too."""
    picture = Pillow.new("1", (4 * SIZE[1], 4 * SIZE[0]))
    ImageDraw.Draw(picture).polygon([(4 * x, 4 * y) for x, y in points], fill=1)
    return np.asarray(picture)[2::4, 2::4]


@pytest.mark.parametrize("outlines", [False, True])
def test_coco_is_read_by_pycocotools(found, tmp_path, capsys, outlines):
    out = tmp_path / "out"
    done = export(found, out, "coco", style=Style(polygons=outlines))
    read = COCO(out / "annotations.json")
    capsys.readouterr()

    assert (done.photos, done.instances, done.hidden, done.renamed) == (4, 9, 0, 2)
    assert read.cats == {
        i: {"id": i, "name": name} for i, name in enumerate(CLASSES, 1)
    }
    assert read.getImgIds() == [7, 17, 27, 37]
    first = read.loadAnns(read.getAnnIds(7))
    assert [one["category_id"] for one in first] == [1, 3, 1]
    assert [one["score"] for one in first] == [0.75, 0.5, 0.25]
    assert isinstance(first[0]["segmentation"], list) == outlines
    for one, mask in zip(first, masks(), strict=True):
        assert (read.annToMask(one) == mask).all()
        assert one["area"] == mask.sum()
    assert read.getAnnIds(27) == []


@pytest.mark.parametrize("outlines", [False, True])
def test_coco_and_yolo_are_read_by_supervision(found, tmp_path, outlines):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an OpenCV that is not there
        sv = pytest.importorskip("supervision")
        export(found, tmp_path / "c", "coco", style=Style(polygons=outlines))
        export(found, tmp_path / "y", "yolo")
        read = {
            "c": sv.DetectionDataset.from_coco(
                f"{tmp_path}/c/images", f"{tmp_path}/c/annotations.json", True
            ),
            "y": sv.DetectionDataset.from_yolo(
                f"{tmp_path}/y/images/train",
                f"{tmp_path}/y/labels/train",
                f"{tmp_path}/y/data.yaml",
            ),
        }
        for kind, data in read.items():
            assert tuple(data.classes) == CLASSES
            assert len(data) == 4
            by_stem = {path.rpartition("/")[2][:-4]: one for path, _, one in data}
            assert sorted(by_stem) == sorted(STEMS)
            assert len(by_stem["same-2"]) == 0
            for stem in set(STEMS) - {"same-2"}:
                assert by_stem[stem].class_id.tolist() == [0, 2, 0]
                least = 0.85 if kind == "y" or outlines else 1
                for mask, true in zip(by_stem[stem].mask, masks(), strict=True):
                    if mask.shape == true.shape:
                        assert iou(mask, true) >= least


def test_yolo_has_a_line_an_instance(found, tmp_path):
    export(found, tmp_path / "out", "yolo", min_score=0.3, exclusive=True)
    lines = (tmp_path / "out/labels/train/turned.txt").read_text().splitlines()
    names = yaml.safe_load((tmp_path / "out/data.yaml").read_text())["names"]

    assert names == dict(enumerate(CLASSES))
    with pytest.raises(
        ValueError, match=r"data\.yaml says that its labels are predicte"
    ):
        exported_tags(tmp_path / "out")
    assert (tmp_path / "out/labels/train/same-2.txt").read_text() == ""
    assert [line.split()[0] for line in lines] == ["0", "2"]
    for line, mask in zip(lines, masks(), strict=False):
        points = np.array(line.split()[1:], float).reshape(-1, 2) * SIZE[::-1]
        encoded = rle.frPyObjects([points.flatten().tolist()], *SIZE)
        assert iou(rle.decode(encoded)[..., 0], mask) > 0.99
        assert iou(filled(points), mask) > 0.93


def test_voc_has_a_class_and_an_object_for_every_pixel(found, tmp_path):
    out = tmp_path / "out"
    export(found, out, "voc")
    ring, two, square = masks()
    square &= ~ring
    with Pillow.open(out / "SegmentationClass/turned.png") as picture:
        kinds, palette = np.asarray(picture), picture.getpalette()
        mode = picture.mode
    objects = np.asarray(Pillow.open(out / "SegmentationObject/turned.png"))

    assert mode == "P"
    assert palette[:12] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]
    assert palette[-3:] == [224, 224, 192]
    assert (kinds == ring + 3 * two + square).all()
    assert (objects == ring + 2 * two + 3 * square).all()
    assert (out / "classes.txt").read_text().splitlines() == list(CLASSES)
    listed = (out / "ImageSets/Segmentation/trainval.txt").read_text().splitlines()
    assert listed == STEMS
    assert (out / "labelmap.txt").read_text().splitlines()[1:] == [
        "background:0,0,0::",
        'big "cat", grey:128,0,0::',
        "<b>dog</b>_ x:0,128,0::",
        "狗 _1:128,128,0::",
    ]
    for stem in STEMS:
        with Pillow.open(out / f"JPEGImages/{stem}.jpg") as photo:
            assert photo.format == "JPEG"
            assert photo.size == SIZE[::-1]


@pytest.mark.parametrize("names", [("background", "b", "c"), ("a:b", "a#b", "c")])
def test_classes_that_voc_cannot_tell_apart_are_refused(found, tmp_path, names):
    path = found / "predictions.json"
    content = json.loads(path.read_text())
    for category, name in zip(content["categories"], names, strict=True):
        category["name"] = name
    path.write_text(json.dumps(content))

    with pytest.raises(ValueError, match=r"labelmap.txt cannot tell classes apart"):
        export(found, tmp_path / "out", "voc")


def test_label_studio_gets_regions_in_percent(found, tmp_path):
    out = tmp_path / "out"
    export(found, out, "labelstudio")
    tasks = json.loads((out / "tasks.json").read_text())
    config = ElementTree.parse(out / "config.xml")

    assert [label.get("value") for label in config.iter("Label")] == list(CLASSES)
    for task, stem in zip(tasks, STEMS, strict=True):
        path = unquote(task["data"]["image"]).partition("?d=")[2]
        assert (out / path).stem == stem
        assert read_image(out / path).shape[:2] == SIZE
    [prediction] = tasks[0]["predictions"]
    assert prediction["score"] == 0.75
    for region, mask, name, score in zip(
        prediction["result"],
        masks(),
        [CLASSES[0], CLASSES[2], CLASSES[0]],
        [0.75, 0.5, 0.25],
        strict=True,
    ):
        assert region["value"]["polygonlabels"] == [name]
        assert region["score"] == score
        assert (region["original_height"], region["original_width"]) == SIZE
        points = np.array(region["value"]["points"]) * SIZE[::-1] / 100
        assert iou(filled(points), mask) > 0.93
    assert tasks[2]["predictions"][0]["result"] == []


def test_cvat_gets_the_layout_of_coco(found, tmp_path, capsys):
    out = tmp_path / "out"
    export(found, out, "cvat", classes=CLASSES[2], style=Style(tolerance=1.0))
    read = COCO(out / "annotations/instances_default.json")
    capsys.readouterr()
    labels = json.loads((out / "labels.json").read_text())

    assert [one["name"] for one in labels] == list(CLASSES)
    assert {path.stem for path in (out / "images/default").iterdir()} == set(STEMS)
    [one] = read.loadAnns(read.getAnnIds(7))
    assert one["category_id"] == 3
    assert len(one["segmentation"]) == 2
    assert one["iscrowd"] == 0
    assert iou(read.annToMask(one), masks()[1]) > 0.9


def test_overlays_show_the_photos(found, tmp_path):
    export(found, tmp_path / "out", "overlays")
    drawn = np.asarray(Pillow.open(tmp_path / "out/same.png"))
    photo = read_image(tmp_path / "photos/x/same.png")

    assert drawn.shape == photo.shape
    assert (drawn[masks()[0]] != photo[masks()[0]]).any()
    assert (tmp_path / "out/same-2.png").is_file()


def test_copies_are_the_photos_and_keep_their_names_in_a_table(found, tmp_path):
    export(found, tmp_path / "out", "coco")
    images, photos = tmp_path / "out/images", tmp_path / "photos"
    with (tmp_path / "out/photos.csv").open(newline="") as file:
        rows = list(csv.reader(file))

    assert (images / "same-2.png").read_bytes() == (photos / "y/same.png").read_bytes()
    assert (
        read_image(images / "turned.png") == read_image(photos / "turned.jpg")
    ).all()
    assert rows[0] == ["photo", "before"]
    assert rows[1:3] == [[STEMS[0], "a, 'b' <i>.jpg"], ["same", "same.png"]]


@pytest.mark.parametrize(
    ("kind", "name", "copied", "same"),
    [
        ("JPEG", "a.JPEG", "a.jpg", True),
        ("JPEG", "a", "a.jpg", True),
        ("PNG", "a.jpg", "a.png", True),
        ("TIFF", "a.tif", "a.png", False),
        ("WEBP", "a.webp", "a.png", False),
    ],
)
def test_copies_have_the_suffix_of_their_content(tmp_path, kind, name, copied, same):
    path = tmp_path / name
    Pillow.new("RGB", (9, 6), "red").save(path, kind)
    read = Reading(path, (6, 9), True)
    none = Predictions.of_masks(
        1, (6, 9), [], label=torch.zeros(0).long(), score=torch.zeros(0)
    )
    photo = Photo(name=name, stem="a", read=read, found=none)

    assert photo.copy(tmp_path / "new") == copied
    assert ((tmp_path / "new" / copied).read_bytes() == path.read_bytes()) == same
    assert photo.copy(tmp_path / "voc", ".jpg") == "a.jpg"
    with Pillow.open(tmp_path / "voc/a.jpg") as voc:
        assert voc.format == "JPEG"


@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_is_written_over_or_left_half_done(found, tmp_path, kind):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").touch()
    with pytest.raises(FileExistsError, match="expected a new folder"):
        export(found, out, kind)
    (tmp_path / "photos/turned.jpg").write_bytes(b"\xff\xd8 no photo")
    with pytest.raises((ValueError, OSError), match="turned"):
        export(found, tmp_path / "new", kind)

    assert [path.name for path in out.iterdir()] == ["mine"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["found", "out", "photos"]


def test_photos_that_moved_are_found_by_their_names_and_folders(found, tmp_path):
    (tmp_path / "photos").rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError, match=r"\(4 of 4\): .*--images"):
        export(found, tmp_path / "out", "coco")
    with pytest.raises(FileNotFoundError, match="expected a folder of photos"):
        export(found, tmp_path / "out", "coco", images=tmp_path / "photos")

    export(found, tmp_path / "out", "coco", images=tmp_path / "moved")
    for stem, folder in (("same", "x"), ("same-2", "y")):
        copy = tmp_path / f"out/images/{stem}.png"
        assert copy.read_bytes() == (tmp_path / f"moved/{folder}/same.png").read_bytes()


def test_photos_that_cannot_be_told_apart_are_refused(found, tmp_path):
    def forget(content):  # as an earlier wsis wrote it
        for image in content["images"]:
            del image["path"]

    spoil(found, forget)
    images = tmp_path / "photos"
    with pytest.raises(ValueError, match=r"told apart .*\(2\): same.png, same.png"):
        export(found, tmp_path / "out", "coco", images=images)

    (images / "y/same.png").unlink()  # one photo is not two
    with pytest.raises(ValueError, match=r"told apart .*\(2\)"):
        export(found, tmp_path / "out", "coco", images=images)


def spoil(found, change):
    path = found / "predictions.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.pop("images"), "it has no list of images"),
        (lambda c: c["images"][1].update(width="9"), r"images\[1\]: expected height"),
        (
            lambda c: c["images"][2].update(width=91),
            r"another size .*\(1 of 4\): same.png",
        ),
        (lambda c: c["annotations"][0].pop("score"), "has no score"),
        (lambda c: c["categories"][0].update(name="a\nb"), "in one line of text"),
        (lambda c: c["categories"][0].update(name="狗_#1"), "every class once"),
    ],
)
def test_damaged_files_are_refused_by_name(found, tmp_path, change, said):
    spoil(found, change)

    with pytest.raises(ValueError, match=said):
        export(found, tmp_path / "out", "coco")
    assert not (tmp_path / "out").exists()


def test_lists_of_results_and_runs_are_refused_with_what_to_do(found, tmp_path):
    (tmp_path / "results.json").write_text("[]")
    with pytest.raises(ValueError, match=r"results.json: .* predictions.json is one"):
        export(tmp_path / "results.json", tmp_path / "out", "coco")
    with pytest.raises(FileNotFoundError, match="wsis predict PHOTOS --run"):
        export(tmp_path / "photos", tmp_path / "out", "coco")
    with pytest.raises(FileNotFoundError, match=r"there is none; .*found has one"):
        export(tmp_path, tmp_path / "out", "coco")
    with pytest.raises(LookupError, match="expected a format among coco, yolo"):
        export(found, tmp_path / "out", "pascal")
    with pytest.raises(LookupError, match="there is no class 'bird'; the classes"):
        export(found, tmp_path / "out", "coco", classes="bird")


def test_an_export_without_instances_warns(found, tmp_path):
    with pytest.warns(InputWarning, match="no instance .* best score .* is 0.75"):
        export(found, tmp_path / "out", "yolo", min_score=0.8)


def test_instances_without_a_pixel_are_left_out_with_a_warning(found, tmp_path):
    sliver = [[30.1, 30.1, 30.3, 30.1, 30.3, 30.3]]
    spoil(found, lambda c: c["annotations"][0].update(segmentation=sliver))

    with pytest.warns(InputWarning, match="1 of 9 predictions have no .* left out"):
        done = export(found, tmp_path / "out", "yolo")
    assert done.instances == 8


def test_voc_has_no_room_for_255_instances(found, tmp_path):
    def many(content):
        boxes = [
            [x, y, x + 1, y, x + 1, y + 1, x, y + 1]
            for x in range(2, 22)
            for y in range(20)
        ]
        whole = content["annotations"][0]
        content["annotations"] = [
            {**whole, "id": i, "segmentation": [box]} for i, box in enumerate(boxes)
        ]

    spoil(found, many)
    with pytest.raises(ValueError, match=r"254 instances .*--min-score"):
        export(found, tmp_path / "out", "voc")


def test_an_instance_behind_a_better_one_is_counted(found, tmp_path):
    spoil(found, lambda c: c["annotations"].append({**c["annotations"][0], "score": 0}))

    done = export(found, tmp_path / "out", "coco", exclusive=True)

    assert (done.instances, done.hidden) == (9, 1)
