"""Decisions beside predictions: kept at once, read again, exported."""

import csv
import json

import pytest

from wsis import InputWarning
from wsis.data.coco import CocoData
from wsis.data.exports import exported_tags
from wsis.data.folder import FolderData
from wsis.data.points import with_points
from wsis.report import export
from wsis.report._decisions import (
    ACCEPTED,
    DECISIONS,
    OPEN,
    POINTS,
    REJECTED,
    Decisions,
    Spot,
)
from wsis.report.formats import photos_of


@pytest.fixture
def photos(found):
    """One/a.png with two dogs, two/a.png with a cat and a dog, b.png with nothing."""
    return photos_of(found, None)[0]


def test_decisions_are_read_again_and_can_be_taken_back(found, photos):
    decisions = Decisions(found, photos)
    assert decisions.of(0) == [OPEN, OPEN]
    assert not (found / DECISIONS).exists()

    decisions.decide(0, 0, ACCEPTED)
    decisions.decide(0, 1, REJECTED)
    decisions.decide(1, 0, ACCEPTED)
    decisions.decide(1, 0, OPEN)

    again = Decisions(found, photos)
    assert [again.of(i) for i in range(3)] == [[ACCEPTED, REJECTED], [OPEN, OPEN], []]
    assert not again.read()


def test_two_that_decide_at_once_lose_nothing(found, photos):
    one, other = Decisions(found, photos), Decisions(found, photos)
    one.decide(0, 0, ACCEPTED)
    other.decide(0, 1, REJECTED)
    one.point(2, Spot(x=1.0, y=2.0, name="owl"))
    other.point(2, Spot(x=3.0, y=4.25, name="dog"))

    assert one.read()
    for decisions in (one, other, Decisions(found, photos)):
        assert decisions.of(0) == [ACCEPTED, REJECTED]
        assert [(s.x, s.y, s.name) for s in decisions.spots(2)] == [
            (1, 2, "owl"),
            (3, 4.2, "dog"),
        ]
    with (found / POINTS).open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["file", "x", "y", "class"],
            ["../b.png", "1", "2", "owl"],
            ["../b.png", "3", "4.2", "dog"],
        ]


def test_damaged_lines_are_told_and_spoil_no_other(found, photos):
    Decisions(found, photos).decide(0, 0, ACCEPTED)
    with (found / DECISIONS).open("a") as file:
        file.write('[1]\n{"photo": "b.png", "class": "owl", "is": "accepted"}\n{"ph')

    with pytest.warns(InputWarning, match=r"damaged .* out \(3\): line 2, line 3, l"):
        decisions = Decisions(found, photos)
    assert decisions.of(0) == [ACCEPTED, OPEN]
    with pytest.warns(InputWarning, match=r"\(3\)"):
        decisions.decide(0, 1, REJECTED)
    assert decisions.of(0) == [ACCEPTED, REJECTED]


def test_other_masks_do_not_inherit_decisions(found, photos):
    Decisions(found, photos).decide(1, 1, ACCEPTED)
    path = found / "predictions.json"
    content = json.loads(path.read_text())
    for one in content["annotations"]:
        if one["image_id"] == 2:
            one["segmentation"] = [[0, 0, 9, 0, 9, 9]]
    path.write_text(json.dumps(content))

    with pytest.warns(InputWarning, match=r"not among .* \(1\): two/a.png \(dog\)"):
        decisions = Decisions(found, photos_of(found, None)[0])
    assert decisions.of(1) == [OPEN, OPEN]


def test_points_are_cues_of_the_photos_whatever_their_data_set_calls_them(
    found, photos, tmp_path
):
    Decisions(found, photos).point(1, Spot(x=12.0, y=7.5, name="<b>cat</b>"))
    (tmp_path / "tags.csv").write_text(
        "file,tags\ntwo/a.png,dog;<b>cat</b>\none/a.png,dog\nb.png,owl\n"
    )
    with pytest.warns(InputWarning, match="folders of drawings .* are left out"):
        tagged = FolderData(root=tmp_path).train()

    pointed = with_points(tagged, found / POINTS)

    points = {one.name: one.points for one in pointed.images if one.points}
    assert list(points) == ["two/a.png"]
    assert points["two/a.png"].xy.tolist() == [[12, 7.5]]
    [label] = points["two/a.png"].label.tolist()
    assert pointed.classes[label - 1] == "<b>cat</b>"


def test_points_stay_in_their_photo_and_go_without_a_trace(found, photos):
    decisions = Decisions(found, photos)
    with pytest.raises(ValueError, match=r"a point in b.png, 30 x 20 pixels, got 30, "):
        decisions.point(2, Spot(x=30.0, y=2.0, name="owl"))
    spot = Spot(x=29.9, y=0.0, name="owl")
    decisions.point(2, spot)
    decisions.point(2, spot, there=False)

    assert Decisions(found, photos).spots(2) == []
    assert not (found / POINTS).exists()


@pytest.mark.parametrize("kind", ["coco", "yolo"])
def test_accepted_instances_alone_are_exported(found, photos, tmp_path, kind):
    decisions = Decisions(found, photos)
    decisions.decide(0, 1, ACCEPTED)
    decisions.decide(0, 0, REJECTED)
    decisions.decide(1, 1, ACCEPTED)

    source = found if kind == "coco" else found / "predictions.json"
    done = export(source, tmp_path / "out", kind, accepted=True)

    assert (done.photos, done.instances, done.undecided) == (2, 2, 1)
    if kind == "coco":
        file, images = tmp_path / "out/annotations.json", tmp_path / "out/images"
        content = json.loads(file.read_text())
        own = [photo.found.masks[1] for photo in photos[:2]]
        assert [one["segmentation"]["counts"] for one in content["annotations"]] == [
            mask["counts"].decode() for mask in own
        ]
        # Checked by somebody, they are no predictions: neither reader warns.
        data = CocoData(images=images, train_json=file, val_json=file)
        assert [bool(one.tags.any()) for one in data.train().images] == [True, True]
        assert [len(one.label) for one in data.val().truths] == [1, 1]
    else:
        labels = tmp_path / "out/labels/train"
        assert sorted(one.name for one in labels.iterdir()) == ["a-2.txt", "a.txt"]
    assert exported_tags(tmp_path / "out").kind == kind.upper()


def test_an_export_tells_of_objects_without_a_mask(found, photos, tmp_path):
    decisions = Decisions(found, photos)
    decisions.decide(0, 0, ACCEPTED)
    decisions.point(0, Spot(x=3.0, y=3.0, name="owl"))

    with pytest.warns(InputWarning, match=r"points .* have no mask.*\(1\): one/a.png"):
        export(found, tmp_path / "out", "coco", accepted=True)


def test_an_export_without_decisions_is_refused(found, photos, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"decisions.jsonl .*: wsis show"):
        export(found, tmp_path / "out", "coco", accepted=True)
    Decisions(found, photos).decide(0, 0, REJECTED)
    with pytest.raises(ValueError, match=r"no instance .* is accepted; .* wsis show"):
        export(found, tmp_path / "out", "coco", accepted=True)
    assert not (tmp_path / "out").exists()
