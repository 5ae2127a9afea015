"""The growth of an instance, told by the run that found it."""

import json

import pytest
from PIL import Image as Pillow

import wsis
from tests.drawn import FAST, Squares
from wsis._support.files import write_json
from wsis.evaluation import coco_data_set
from wsis.report import REVIEW, review, write_review
from wsis.report.found import by_doubt

pytest.importorskip("nicegui", reason="the extra 'viewer' is not installed")

from wsis.report.viewer._growth import Growth


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    """A folder of two photos, a run, and the run's predictions."""
    place = tmp_path_factory.mktemp("growth")
    data = Squares(train=4)
    run = wsis.train(
        data, settings=[*FAST, "anti_noise=true"], cache=place / "cache", device="cpu"
    )
    run.save(place / "run")
    names, found = [], []
    for image in data.train().images[:2]:
        names.append(f"{image.id}.png")
        Pillow.fromarray(image.load()).save(place / names[-1])
        found.append(run.predict(place / names[-1]))
    folder = place / "found"
    folder.mkdir()
    found = [wsis_replaced(one, i) for i, one in enumerate(found, 1)]
    ways = [f"../{name}" for name in names]
    info = {"run": "../run"}
    coco = coco_data_set(names, found, run.classes, (1, 2), info, ways)
    write_json(folder / "predictions.json", coco)
    write_review(folder / REVIEW, names, review(found, [None, None]))
    return folder


def wsis_replaced(found, number):
    from dataclasses import replace

    return replace(found, image_id=number, load=None)


def growth(folder, run=None):
    return Growth(run, folder, "cpu", folder.parent / "cache")


def test_each_branch_shows_its_nearest_pseudo_instance(predicted):
    [(photo, _), *_], _ = by_doubt(predicted)

    stages = growth(predicted).stages(photo, 0)

    *branches, last = stages
    assert [one.title for one in branches] == ["branch 0", "branch 1", "branch 2"]
    assert last.title == "prediction"
    for one in branches:
        assert one.uri.startswith("data:image/jpeg;base64,")
        assert "IoU with the mask" in one.note


def test_runs_that_moved_or_know_other_classes_are_told(predicted, tmp_path):
    [(photo, _), *_], _ = by_doubt(predicted)
    other = tmp_path / "found"
    other.mkdir()
    content = json.loads((predicted / "predictions.json").read_text())
    (other / "predictions.json").write_text(json.dumps(content))
    with pytest.raises(FileNotFoundError, match=r"has moved: wsis show .* --run RUN"):
        growth(other).stages(photo, 0)

    run = predicted.parent / "run"
    for one in content["categories"]:
        one["name"] += " of old"
    content["images"] = [
        {**one, "path": str(predicted.parent / one["file_name"])}
        for one in content["images"]
    ]
    (other / "predictions.json").write_text(json.dumps(content))
    (other / REVIEW).write_text("photo,doubt,reasons\n0.png,1,\n1.png,1,\n")
    [(renamed, _), *_], _ = by_doubt(other)
    with pytest.raises(ValueError, match=r"this one has no .* of old"):
        growth(other, run).stages(renamed, 0)
