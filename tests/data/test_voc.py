import re
import shutil

import numpy as np
import pytest
import torchvision
from PIL import Image as Pillow
from pycocotools import mask as rle
from scipy.io import savemat

from tests.data import layouts
from tests.data.layouts import DOG, PERSON, drawn, write_sbd, write_voc, xml
from wsis import InputWarning, plugins
from wsis.contracts import DataSource, Traceable
from wsis.data import voc
from wsis.data.names import VOC_NAMES, voc_colour
from wsis.data.voc import VocData


def names(tagged):
    return [image.name.removesuffix(".jpg") for image in tagged.images]


def labels(image):
    return (image.tags.nonzero().flatten() + 1).tolist()


def annotation(root, name):
    return root / "VOC2012" / "Annotations" / f"{name}.xml"


def test_training_photos_come_with_the_classes_of_their_xml(tmp_path):
    root = write_voc(tmp_path)
    annotation(root, "2007_000001").write_text(xml(drawn(1)[1], ["sofa", "sofa"]))

    tagged = VocData(root=root).train()

    assert tagged.classes == VOC_NAMES
    assert tagged.name == "voc2012-train"
    assert names(tagged) == ["2007_000000", "2007_000001", "2007_000002"]
    assert [image.id for image in tagged.images] == [2007000000, 2007000001, 2007000002]
    assert labels(tagged.images[0]) == [DOG, PERSON]
    assert labels(tagged.images[1]) == [VOC_NAMES.index("sofa") + 1]
    assert tagged.images[0].load().shape == (*layouts.SIZE, 3)


@pytest.mark.parametrize("inside", ["..", ".", "VOC2012"])
def test_the_root_may_be_the_devkit_its_place_or_the_year(tmp_path, inside):
    root = write_voc(tmp_path) / inside

    assert len(VocData(root=root).train().images) == 3


def test_objects_are_those_of_the_palette_and_void_is_none(tmp_path):
    annotated = VocData(root=write_voc(tmp_path)).val()

    assert names(annotated.tagged) == ["2007_000003", "2007_000004"]
    for seed, truth in zip((3, 4), annotated.truths, strict=True):
        objects = drawn(seed)[1]
        assert truth.size == layouts.SIZE
        assert truth.label.tolist() == [DOG, PERSON]
        assert truth.ignore.tolist() == [False, False]
        for number, mask in enumerate(truth.masks, 1):
            assert np.array_equal(rle.decode(mask), objects == number)
        assert truth.area.tolist() == [22 * 30, 22 * 30]
    assert annotated.truths[0].image_id == annotated.tagged.images[0].id


def test_difficult_objects_are_tags_but_neither_found_nor_missed(tmp_path):
    root = write_voc(tmp_path)
    for name, seed in (("2007_000003", 3), ("2007_000000", 0)):
        text = xml(drawn(seed)[1], ["dog", "person"], difficult=[2])
        annotation(root, name).write_text(text)

    data = VocData(root=root)

    assert labels(data.train().images[0]) == [DOG, PERSON]
    assert data.val().truths[0].ignore.tolist() == [False, True]
    counted = plugins.create("datasets", "voc", {"root": root, "difficult": "count"})
    assert counted.val().truths[0].ignore.tolist() == [False, False]


@pytest.mark.parametrize("right", ["?", "0"])
def test_a_difficult_object_without_a_whole_box_excuses_none(tmp_path, right):
    root = write_voc(tmp_path)
    text = xml(drawn(3)[1], ["dog", "person"], difficult=[1, 2])
    broken = re.sub(r"<xmax>\d+", f"<xmax>{right}", text, count=1)
    annotation(root, "2007_000003").write_text(broken)

    truth = VocData(root=root).val().truths[0]

    assert truth.ignore.tolist() == [False, True]


def test_sbd_adds_photos_but_none_of_val(tmp_path):
    data = VocData(root=write_voc(tmp_path, train=2, val=2, sbd=2))
    tagged = data.train()

    assert tagged.name == "voc2012-trainaug"
    assert names(tagged) == ["2007_000000", "2007_000001", "2007_000004", "2007_000005"]
    assert [labels(image) for image in tagged.images] == [[DOG, PERSON]] * 4
    plain = VocData(root=data.root, train_set="train").train()
    assert names(plain) == ["2007_000000", "2007_000001"]


def test_objects_of_sbd_stand_in_where_voc_has_none(tmp_path):
    root = write_voc(tmp_path, train=1, val=1)
    write_sbd(tmp_path / "else", {"2007_000001": 1})
    for kind in ("SegmentationObject", "SegmentationClass"):
        (root / "VOC2012" / kind / "2007_000001.png").unlink()
    data = VocData(root=root, sbd=tmp_path / "else")

    [truth] = data.val().truths

    assert truth.label.tolist() == [DOG, PERSON]
    assert np.array_equal(rle.decode(truth.masks[0]), drawn(1)[1] == 1)


def test_a_list_of_trainaug_of_ones_own_is_taken(tmp_path):
    root = write_voc(tmp_path)
    lists = root / "VOC2012" / "ImageSets" / "Segmentation"
    (lists / "trainaug.txt").write_text("2007_000002\n2007_000000\n")

    assert names(VocData(root=root).train()) == ["2007_000002", "2007_000000"]


def test_the_objects_of_the_training_photos_are_for_evaluation(tmp_path):
    data = VocData(root=write_voc(tmp_path))

    assert isinstance(data, Traceable)
    truths = data.train_truths()
    assert [truth.image_id for truth in truths] == [i.id for i in data.train().images]
    assert np.array_equal(rle.decode(truths[1].masks[0]), drawn(1)[1] == 1)


def test_without_masks_there_is_no_validation_half(tmp_path):
    root = write_voc(tmp_path)
    for kind in ("SegmentationObject", "SegmentationClass"):
        shutil.rmtree(root / "VOC2012" / kind)
    data = VocData(root=root)

    assert data.val() is None
    assert len(data.train().images) == 3
    with pytest.raises(FileNotFoundError, match="3 of 3 masks are not in"):
        data.train_truths()


def test_training_opens_no_mask(tmp_path, monkeypatch):
    root = write_voc(tmp_path, sbd=1)
    monkeypatch.setattr(voc, "_indices", lambda path: pytest.fail(f"opened {path}"))
    monkeypatch.setattr(voc.SBD, "objects", lambda *args: pytest.fail("opened inst"))

    for image in VocData(root=root).train().images:
        assert labels(image) == [DOG, PERSON]
        image.load()


def test_torchvision_downloads_when_told(tmp_path, monkeypatch):
    calls = []

    def voc_segmentation(root, **options):
        calls.append(options)
        write_voc(tmp_path / "there")

    def sbd_dataset(root, **options):
        calls.append(options)
        write_sbd(tmp_path / "there" / "SBD", {})

    monkeypatch.setattr(torchvision.datasets, "VOCSegmentation", voc_segmentation)
    monkeypatch.setattr(torchvision.datasets, "SBDataset", sbd_dataset)

    with pytest.raises(FileNotFoundError, match="download=true downloads it"):
        VocData(root=tmp_path / "there")
    assert calls == []
    tagged = VocData(root=tmp_path / "there", download=True).train()

    assert calls == [
        {"year": "2012", "image_set": "train", "download": True},
        {"image_set": "train", "download": True},
    ]
    assert len(tagged.images) == 3


def test_a_failed_download_is_told(tmp_path, monkeypatch):
    def fails(*args, **options):
        raise OSError("no network")

    monkeypatch.setattr(torchvision.datasets, "VOCSegmentation", fails)

    with pytest.raises(FileNotFoundError, match=r"could not download VOC .*no network"):
        VocData(root=tmp_path, download=True)


def test_it_is_a_data_source(tmp_path):
    assert isinstance(VocData(root=write_voc(tmp_path)), DataSource)


@pytest.mark.parametrize(
    ("broken", "half", "error", "message"),
    [
        ("JPEGImages/2007_000001.jpg", "train", FileNotFoundError, "1 of 3 photos"),
        ("Annotations/2007_000001.xml", "train", FileNotFoundError, "the classes on"),
        ("SegmentationObject/2007_000003.png", "val", FileNotFoundError, "1 of 2 mask"),
        ("ImageSets/Segmentation/val.txt", "val", FileNotFoundError, "are: train"),
    ],
)
def test_missing_files_are_named(tmp_path, broken, half, error, message):
    root = write_voc(tmp_path)
    (root / "VOC2012" / broken).unlink()

    with pytest.raises(error, match=message):
        getattr(VocData(root=root), half)()


def test_damaged_annotations_are_named(tmp_path):
    root = write_voc(tmp_path)
    annotation(root, "2007_000000").write_text("<annotation>")
    with pytest.raises(ValueError, match=r"2007_000000\.xml: expected XML"):
        VocData(root=root).train()
    annotation(root, "2007_000000").write_text(xml(drawn(0)[1], ["dgo"]))
    with pytest.raises(ValueError, match="a class of VOC, got 'dgo'"):
        VocData(root=root).train()
    annotation(root, "2007_000000").write_text(xml(drawn(0)[1], ["Dog"]))
    annotation(root, "2007_000001").write_text(xml(drawn(0)[1], ["potted plants"]))
    near = (
        r"2 problems.*'Dog' \(did you mean 'dog'.*plants' \(did you mean 'pottedplant'"
    )
    with pytest.raises(ValueError, match=near):
        VocData(root=root).train()
    masks = root / "VOC2012" / "SegmentationObject" / "2007_000003.png"
    cut = bytearray(masks.read_bytes())
    cut[cut.index(b"IDAT") - 8 :] = bytes(40)
    for content in (b"none", bytes(cut)):
        masks.write_bytes(content)
        # Not through ``val()``, whose truths the run-time check of types would ask for.
        with pytest.raises(ValueError, match=r"2007_000003\.png: expected a PNG"):
            VocData(root=root)._objects("2007_000003")


def test_damaged_files_of_sbd_are_named(tmp_path):
    root = write_voc(tmp_path, sbd=1)
    (tmp_path / "SBD" / "cls" / "2007_000005.mat").write_bytes(b"none")

    with pytest.raises(ValueError, match=r"2007_000005\.mat: not a Matlab file"):
        VocData(root=root).train()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"Segmentation": np.full((4, 6), 300.0)}, "whole numbers of 0…255 as Segm"),
        ({"Segmentation": np.full((4, 6), np.nan)}, "whole numbers of 0…255 as Segm"),
        ({"Segmentation": np.ones((2, 4, 6), np.uint8)}, r"Segmentation of \(H, W\)"),
        ({"Segmentation": "text"}, "expected numbers as Segmentation"),
        ({"Categories": 1.5}, "whole numbers of 0…255 as Categories"),
    ],
)
def test_objects_of_sbd_that_do_not_fit_are_refused(tmp_path, entry, message):
    write_sbd(tmp_path, {"a": 1})
    whole = {"Segmentation": np.ones((4, 6), np.uint8), "Categories": 8}
    savemat(tmp_path / "inst" / "a.mat", {"GTinst": whole | entry})

    with pytest.raises(ValueError, match=rf"a\.mat: .*{message}"):
        voc.SBD(tmp_path).objects("a")

    savemat(tmp_path / "inst" / "a.mat", {"GTinst": np.ones(3)})
    with pytest.raises(ValueError, match=r"a\.mat: expected a structure GTinst"):
        voc.SBD(tmp_path).objects("a")


def test_trainaug_without_sbd_says_what_to_do(tmp_path):
    data = VocData(root=write_voc(tmp_path), train_set="trainaug")

    with pytest.raises(FileNotFoundError, match="train_set=train"):
        data.train()
    with pytest.raises(FileNotFoundError, match="no folders cls and inst"):
        VocData(root=data.root, sbd=tmp_path)


def test_photos_listed_twice_are_taken_once(tmp_path):
    root = write_voc(tmp_path)
    path = root / "VOC2012" / "ImageSets" / "Segmentation" / "val.txt"
    # As Windows writes it: with a byte order mark, and blank lines.
    path.write_bytes(
        "\ufeff2007_000004\r\n\r\n 2007_000003 \r\n2007_000004\r\n".encode()
    )

    with pytest.warns(InputWarning, match=r"val.txt lists 1 photos several .*_000004"):
        annotated = VocData(root=root).val()

    assert names(annotated.tagged) == ["2007_000004", "2007_000003"]
    assert [truth.image_id for truth in annotated.truths] == [2007000004, 2007000003]


def test_difficult_is_0_or_1(tmp_path):
    root = write_voc(tmp_path)
    text = xml(drawn(0)[1], ["dog", "person"])
    wrong = text.replace("<difficult>0", "<difficult>no", 1)
    annotation(root, "2007_000000").write_text(wrong)

    with pytest.raises(ValueError, match=r"000000\.xml: .* 0 or 1 as .*, got 'no'"):
        VocData(root=root).train()


def test_turned_photos_are_read_in_the_size_of_their_mask(tmp_path):
    root = write_voc(tmp_path, val=1)
    path = root / "VOC2012" / "JPEGImages" / "2007_000003.jpg"
    exif = Pillow.Exif()
    exif[0x0112] = 6
    with Pillow.open(path) as photo:
        turned = photo.transpose(Pillow.Transpose.ROTATE_90)
    turned.save(path, exif=exif)

    [image] = VocData(root=root).val().tagged.images

    assert image.load().shape == (*layouts.SIZE, 3)
    exif[0x0112] = 3
    turned.transpose(Pillow.Transpose.ROTATE_270).save(path, exif=exif)
    with pytest.warns(InputWarning, match=r"read as stored: .*set upright=true"):
        VocData(root=root).val()
    Pillow.new("RGB", (9, 9)).save(path)
    with pytest.raises(ValueError, match=r"60 x 80 as annotated, it has 9 x 9"):
        VocData(root=root).val()


def test_a_photo_that_does_not_fit_its_mask_is_refused(tmp_path):
    root = write_voc(tmp_path)
    path = root / "VOC2012" / "JPEGImages" / "2007_000003.jpg"
    exif = Pillow.Exif()
    exif[0x0112] = 6
    Pillow.open(path).save(path, exif=exif)

    with pytest.raises(ValueError, match=r"1 of 2 photos .* with upright=true: 2007_0"):
        VocData(root=root, upright=True).val()


def test_lists_and_xml_of_another_encoding_are_named(tmp_path):
    root = write_voc(tmp_path)
    annotation(root, "2007_000000").write_text('<?xml version="1.0" encoding="x-no"?>')
    with pytest.raises(ValueError, match=r"000000\.xml: expected XML: .*x-no"):
        VocData(root=root).train()
    path = root / "VOC2012" / "ImageSets" / "Segmentation" / "train.txt"
    path.write_bytes("kä".encode("latin-1"))
    with pytest.raises(ValueError, match=r"train\.txt: expected names .* in UTF-8"):
        VocData(root=root).train()


def test_masks_without_the_objects_of_the_xml_are_refused(tmp_path):
    root = write_voc(tmp_path)
    masks = root / "VOC2012/SegmentationObject"
    inside = np.array(Pillow.open(masks / "2007_000004.png")) > 0
    for value in (0, 255):  # nothing, and void
        Pillow.fromarray((inside * value).astype(np.uint8)).save(
            masks / "2007_000004.png"
        )
        # Not through ``val()``, as above.
        with pytest.raises(
            ValueError, match=r"lists 2 objects, the mask of 2007_0+4 h"
        ):
            VocData(root=root)._truth("2007_000004", 1, [])


def test_masks_and_xml_that_disagree_are_told(tmp_path):
    root = write_voc(tmp_path, val=1)
    objects = drawn(3)[1]
    path = annotation(root, "2007_000003")

    def truth(*names, difficult=(), told=()):
        path.write_text(xml(objects, names, difficult))
        return VocData(root=root)._truth("2007_000003", 1, list(told))

    told = r"3\.xml lists other objects than .* show: cat \(1 and 0\), dog \(0 and 1\)"
    with pytest.warns(InputWarning, match=told):
        assert truth("person", "cat").label.tolist() == [DOG, PERSON]
    with pytest.warns(InputWarning, match=r"show: person \(0 and 1\); the masks count"):
        truth("dog")
    truth("dog", told=["2007_000001"])  # one photo is enough
    with pytest.raises(ValueError, match=r"bird .*; no class agrees: are the pixels"):
        truth("bird", "cat")
    # Difficult objects may have no mask.
    objects = np.where(np.eye(*objects.shape), 3, objects)
    assert len(truth("dog", "person", "cat", difficult=[3]).label) == 2


def test_classes_numbered_otherwise_than_in_voc_are_refused(tmp_path):
    root = write_voc(tmp_path, val=1)
    classes = root / "VOC2012/SegmentationClass/2007_000003.png"
    picture = Pillow.open(classes)
    colours = [part for i in range(256) for part in voc_colour(i)]
    picture.putpalette(colours)
    picture.save(classes)
    assert len(VocData(root=root).val().truths[0].label) == 2

    (root / "VOC2012/labelmap.txt").write_text("# x\nbackground:0,0,0::\ncat:1,1,1::\n")
    with pytest.raises(
        ValueError, match=r"labelmap\.txt: .* got 'cat' as number 1, wh"
    ):
        VocData(root=root).val()

    colours[3 * DOG : 3 * DOG + 3] = voc_colour(PERSON)
    picture.putpalette(colours)
    picture.save(classes)
    with pytest.raises(ValueError, match=r"number 12 have the colour of 15 in VOC; sa"):
        VocData(root=root)._objects("2007_000003")


def test_objects_with_scores_are_no_tags(tmp_path):
    root = write_voc(tmp_path)
    path = annotation(root, "2007_000000")
    path.write_text(path.read_text().replace("<name>", "<score>.3</score><name>", 1))

    with pytest.raises(
        ValueError, match=r"000000\.xml: .* one with a score; these are"
    ):
        VocData(root=root).train()
