"""The page of predictions, from the files that wsis predict writes."""

import json
import re

import pytest
import torch

from wsis.geometry.masks import encode
from wsis.report import REVIEW, ReportError, write_found


def test_every_photo_is_shown_by_doubt_and_every_class_counted(found):
    page = write_found(found).read_text()

    names = re.findall(r"<figcaption>(.+?)<br>", page)
    assert names == ["b.png", "two/a.png", "one/a.png"]
    assert page.count("data:image/jpeg;base64,") == 3
    assert "doubt 1.00: no instance of owl" in page
    rows = re.findall(r'<th scope="row">(.+?)</th>(.+?)</tr>', page)
    cells = {name: re.findall("<td>(.+?)</td>", rest) for name, rest in rows}
    assert cells["dog"] == ["2", "0.60", "0.80"]
    assert cells["&lt;b&gt;cat&lt;/b&gt;"] == ["1", "0.60", "0.60"]
    assert cells["owl"] == ["0", "–", "–"]


def test_masks_that_cover_their_photos_are_told(found):
    assert 'class="warning"' not in write_found(found).read_text()

    content = json.loads((found / "predictions.json").read_text())
    [mask] = encode(torch.ones(1, 20, 30, dtype=torch.bool))
    whole = {**mask, "counts": mask["counts"].decode()}
    one = content["annotations"][0]
    content["annotations"] = [
        {**one, "id": i, "image_id": i, "segmentation": whole, "area": 600}
        for i in (1, 2, 3)
    ]
    (found / "predictions.json").write_text(json.dumps(content))

    page = write_found(found).read_text()

    [told] = re.findall('<p class="warning">(.+?)</p>', page)
    assert told.startswith("Masks of dog cover most of the photo on most photos: ")


def test_refuses_a_folder_without_a_list_or_with_another_one(found):
    (found / REVIEW).write_text("photo,doubt,reasons\nz.png,1,\n")
    with pytest.raises(ReportError, match=r"lists z.png, which was not predicted"):
        write_found(found)

    (found / REVIEW).write_text("a,b\n1,2\n")
    with pytest.raises(ReportError, match="expected photo, doubt and reasons"):
        write_found(found)

    (found / REVIEW).write_bytes("photo,doubt,reasons\nä.png,1,\n".encode("latin-1"))
    with pytest.raises(ReportError, match=r"expected UTF-8 in .*review.csv; save it"):
        write_found(found)

    (found / REVIEW).unlink()
    with pytest.raises(ReportError, match=r"review.csv, there is none"):
        write_found(found)


def test_a_photo_that_the_list_lacks_comes_last(found):
    lines = (found / REVIEW).read_text().splitlines()
    (found / REVIEW).write_text("\n".join([lines[0], *lines[2:]]))

    page = write_found(found).read_text()

    names = re.findall(r"<figcaption>(.+?)<br>", page)
    assert names == ["two/a.png", "one/a.png", "b.png"]
    assert "doubt –: not in review.csv" in page
