import pytest

from tests.data.layouts import write_coco, write_voc
from wsis import CocoData, FolderData, VocData
from wsis.data import Pointed, exported_tags, images_in, read_image
from wsis.data.coco import category_ids, read_tagged


@pytest.fixture
def voc(tmp_path):
    return write_voc(tmp_path / "voc")


@pytest.fixture
def coco(tmp_path):
    root = tmp_path / "coco"
    write_coco(root)
    return root


def test_data_sets_take_paths_as_text(voc, coco, tmp_path):
    photos = tmp_path / "photos"
    (photos / "thing").mkdir(parents=True)
    for path in (coco / "train2017").iterdir():
        (photos / "thing" / path.name).write_bytes(path.read_bytes())
    points = tmp_path / "points.csv"
    points.write_text("file,x,y,class\n")

    assert VocData(root=str(voc)) == VocData(root=voc)
    assert CocoData(root=str(coco)) == CocoData(root=coco)
    folder = FolderData(root=str(photos))
    assert folder == FolderData(root=photos)
    assert folder.train().classes == ("thing",)
    given = Pointed(source=folder, file=str(points))
    assert given == Pointed(source=folder, file=points)


def test_readers_take_paths_as_text(coco):
    photos, file = coco / "train2017", coco / "annotations/instances_train2017.json"

    tagged = read_tagged(str(file), str(photos))

    assert tagged.classes == read_tagged(file, photos).classes
    assert category_ids(str(file)) == category_ids(file)
    first, *_ = images_in([str(photos)])
    assert first == images_in([photos])[0]
    assert read_image(str(first)).shape == read_image(first).shape
    assert exported_tags(str(coco)).kind == exported_tags(coco).kind
