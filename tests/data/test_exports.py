"""Tags out of every kind of folder that labelling programs write."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from wsis import InputWarning
from wsis.data import FolderData, exported_tags

WANTED = {"a.png": ["dog"], "b.png": ["dog", "cat"], "c.png": []}
"""What most folders below say."""


def photo(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng([seed, *path.name.encode()])
    Pillow.fromarray(draw.integers(0, 255, (8, 9, 3)).astype(np.uint8)).save(path)


def photos(folder, names=tuple(WANTED)):
    for name in names:
        photo(folder / name)


def coco(path, rows, **more):
    names = {"dog": 7, "cat": 3, "owl": 9}
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [
        {"id": i, "file_name": name, "width": 9, "height": 8}
        for i, name in enumerate(rows)
    ]
    annotations = [
        {"id": 10 * i + k, "image_id": i, "category_id": names[tag], **more}
        for i, own in enumerate(rows.values())
        for k, tag in enumerate(own)
    ]
    categories = [{"id": number, "name": name} for name, number in names.items()]
    content = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content))


def voc(path, name, tags):
    path.parent.mkdir(parents=True, exist_ok=True)
    objects = "".join(f"<object><name>{tag}</name></object>" for tag in tags)
    path.write_text(f"<annotation><filename>{name}</filename>{objects}</annotation>")


def task(image, *tags, **more):
    result = [
        {"type": "rectanglelabels", "value": {"rectanglelabels": [x]}} for x in tags
    ]
    return {"data": {"image": image}, "annotations": [{"result": result, **more}]}


def yolo(folder, rows):
    folder.mkdir(parents=True, exist_ok=True)
    for name, numbers in rows.items():
        text = "\n".join(f"{number} 0.5 0.5 0.2 1e-1" for number in numbers)
        (folder / f"{name}.txt").write_text(text)


def test_coco_with_photos_in_another_folder(tmp_path):
    photos(tmp_path / "images")
    coco(tmp_path / "annotations/train.json", WANTED, bbox=[1, 1, 2, 2])

    found = exported_tags(tmp_path)

    assert found.kind == "COCO"
    assert found.rows == {f"images/{name}": tags for name, tags in WANTED.items()}
    assert found.unused == ["owl"]
    assert found.places == [tmp_path / "annotations/train.json"]


def test_roboflow_has_a_coco_file_beside_the_photos_of_each_half(tmp_path):
    for half, tag in (("train", "dog"), ("valid", "cat")):
        photo(tmp_path / half / "a.png")
        coco(tmp_path / half / "_annotations.coco.json", {"a.png": [tag]})

    found = exported_tags(tmp_path)

    assert found.rows == {"train/a.png": ["dog"], "valid/a.png": ["cat"]}


@pytest.mark.parametrize("folder", ["Annotations", "."])
def test_voc(tmp_path, folder):
    photos(tmp_path / ("JPEGImages" if folder != "." else "."))
    for name, tags in WANTED.items():
        voc(tmp_path / folder / name.replace("png", "xml"), name, tags)

    found = exported_tags(tmp_path)

    assert found.kind == "PASCAL VOC"
    assert {Path(one).name: tags for one, tags in found.rows.items()} == WANTED


def test_voc_files_are_known_by_their_own_name_where_photos_were_renamed(tmp_path):
    photo(tmp_path / "a.jpg.rf.1234.png")
    voc(tmp_path / "a.jpg.rf.1234.xml", "a.jpg", ["dog"])

    assert exported_tags(tmp_path).rows == {"a.jpg.rf.1234.png": ["dog"]}


@pytest.mark.parametrize(
    ("labels", "images"), [("labels/{}", "images/{}"), ("{}/labels", "{}/images")]
)
def test_yolo_labels_are_of_the_photos_in_the_mirrored_folder(tmp_path, labels, images):
    for half, rows in (("train", {"a": [0], "b": [0, 1, 0]}), ("val", {"a": [1]})):
        photos(tmp_path / images.format(half), [f"{name}.png" for name in rows])
        yolo(tmp_path / labels.format(half), rows)
    (tmp_path / "data.yaml").write_text("names: [dog, cat, owl]\nnc: 3\n")
    (tmp_path / "README.txt").write_text("12 photos\n")

    found = exported_tags(tmp_path)

    train, val = images.format("train"), images.format("val")
    assert found.kind == "YOLO"
    assert found.rows == {
        f"{train}/a.png": ["dog"],
        f"{train}/b.png": ["dog", "cat"],
        f"{val}/a.png": ["cat"],
    }
    assert found.unused == ["owl"]


def test_yolo_beside_photos_with_a_list_of_classes(tmp_path):
    photos(tmp_path)
    yolo(tmp_path, {"a": [0], "b": [0, 1]})
    (tmp_path / "classes.txt").write_text("dog\ncat\n")

    assert exported_tags(tmp_path).rows == {"a.png": ["dog"], "b.png": ["dog", "cat"]}


@pytest.mark.parametrize("labels", ["", "labels", "labels/train"])
def test_an_empty_file_of_yolo_is_background(tmp_path, labels):
    images = labels.replace("labels", "images")
    photos(tmp_path / images)
    yolo(tmp_path / labels, {"a": [0], "b": []})
    (tmp_path / "classes.txt").write_text("dog\n")

    rows = exported_tags(tmp_path).rows

    assert sorted(rows.values()) == [["background"], ["dog"]]


def test_label_studio(tmp_path):
    photos(tmp_path / "upload")
    tasks = [
        task("/data/upload/1/0123abcd-a.png", "dog"),
        task("/data/local-files/?d=upload/b.png", "dog", "cat"),
        {"data": {"text": "hello", "image": "s3://bucket/c.png"}, "annotations": []},
    ]
    tasks[0]["annotations"].append(
        task("", "cat", was_cancelled=True)["annotations"][0]
    )
    (tmp_path / "project-1.json").write_text(json.dumps(tasks))

    found = exported_tags(tmp_path)

    assert found.kind == "Label Studio"
    assert {Path(one).name: tags for one, tags in found.rows.items()} == WANTED


def test_label_studio_choices(tmp_path):
    photo(tmp_path / "a.png")
    result = [{"type": "choices", "value": {"choices": ["dog", "cat"]}}]
    tasks = [{"data": {"image": "a.png"}, "annotations": [{"result": result}]}]
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))

    assert exported_tags(tmp_path).rows == {"a.png": ["dog", "cat"]}


def test_a_table_with_a_line_an_object(tmp_path):
    photos(tmp_path)
    (tmp_path / "_annotations.csv").write_text(
        "filename,width,height,class,xmin,ymin,xmax,ymax\n"
        "a.png,9,8,dog,1,1,2,2\nb.png,9,8,dog,1,1,2,2\nb.png,9,8,cat,1,1,2,2\n"
    )

    assert exported_tags(tmp_path).rows == {"a.png": ["dog"], "b.png": ["dog", "cat"]}


def test_a_table_with_a_column_a_class_and_one_of_sizes(tmp_path):
    photos(tmp_path)
    text = "filename,Dog, cat\na.png,1,0\nb.png,1,1\nc.png,0,0\n"
    (tmp_path / "_classes.csv").write_text(text)
    (tmp_path / "sizes.csv").write_text("file,width,height\na.png,9,8\n")

    rows = exported_tags(tmp_path).rows

    assert rows == {"a.png": ["Dog"], "b.png": ["Dog", "cat"], "c.png": []}


def test_folders_that_are_read_as_they_are(tmp_path):
    photo(tmp_path / "one/dog/a.png")
    photo(tmp_path / "two/a.png")
    (tmp_path / "two/tags.csv").write_text("file,tags\na.png,dog\n")

    assert exported_tags(tmp_path / "one").kind == "a subfolder per tag"
    assert exported_tags(tmp_path / "two").kind == "tags.csv"
    assert exported_tags(tmp_path / "one").rows is None


def test_a_subfolder_per_tag_in_each_half(tmp_path):
    photo(tmp_path / "train/dog/a.png")
    photo(tmp_path / "valid/cat/a.png", seed=1)

    found = exported_tags(tmp_path)

    assert found.rows == {"train/dog/a.png": ["dog"], "valid/cat/a.png": ["cat"]}
    assert found.kind == "a subfolder per tag in train, valid"


def test_halves_are_halves_beside_one_without_tags(tmp_path):
    photo(tmp_path / "train/dog/a.png")
    photo(tmp_path / "test/b.png")

    found = exported_tags(tmp_path)

    assert found.rows == {"train/dog/a.png": ["dog"]}
    assert found.kind == "a subfolder per tag in train"


def test_a_train_beside_other_tags_is_a_tag(tmp_path):
    photo(tmp_path / "train/second day/a.png")
    photo(tmp_path / "bus/b.png")

    assert exported_tags(tmp_path).rows is None


def test_parts_of_a_data_set_in_halves_are_no_tags(tmp_path):
    photo(tmp_path / "train/images/a.png")
    photo(tmp_path / "valid/images/a.png", seed=1)

    with pytest.raises(ValueError, match=r"got images: names of parts of a data set"):
        exported_tags(tmp_path)


def test_photos_that_are_not_there_are_counted_and_named(tmp_path):
    photo(tmp_path / "a.png")
    coco(tmp_path / "tags.json", WANTED)

    with pytest.warns(InputWarning, match=r"not there.*\(2\): b.png, c.png"):
        rows = exported_tags(tmp_path).rows

    assert rows == {"a.png": ["dog"]}


def test_photos_of_one_name_that_nothing_tells_apart_are_not_guessed(tmp_path):
    for place in ("one/a.png", "two/a.png", "b.png"):
        photo(tmp_path / place)
    coco(tmp_path / "tags.json", {"a.png": ["dog"], "b.png": ["cat"]})

    with pytest.warns(InputWarning, match=r"told from others .*\(1\): a.png"):
        assert exported_tags(tmp_path).rows == {"b.png": ["cat"]}


def test_a_file_of_an_unknown_kind_is_named(tmp_path):
    photo(tmp_path / "dog/a.png")
    (tmp_path / "boxes.json").write_text('[{"image": "a.png"}]')

    with pytest.warns(InputWarning, match=r"kind that is not known.*boxes.json"):
        assert exported_tags(tmp_path).rows is None


REFUSED = {
    "no photo": (
        {"t.json": lambda path: coco(path, {"z.png": ["dog"]})},
        r"none of 1 is there, .*: z\.png",
    ),
    "two kinds": (
        {
            "t.json": lambda path: coco(path, WANTED),
            "a.xml": lambda path: voc(path, "a.png", ["dog"]),
        },
        r"tags of one kind .* COCO \(t.json\) and PASCAL VOC \(a.xml\)",
    ),
    "predictions": (
        {"t.json": lambda path: coco(path, WANTED, score=0.5)},
        "its annotations have scores",
    ),
    "scores of VOC": (
        {
            "a.xml": "<annotation><object><name>dog</name><score>0.4</score></object>"
            "</annotation>"
        },
        r"in 1 of PASCAL VOC's files have scores: .*a\.xml; these are predictions",
    ),
    "scores in a table": (
        {"t.csv": "file,label,Confidence\na.png,dog,1.0\nb.png,cat,87%\nc.png,,\n"},
        r"t\.csv, 1 lines have scores \(confidence\): .*line 3: 87%; these are",
    ),
    "two numbers of one name": (
        {"a.txt": "0 .5 .5 1 1\n2 .5 .5 1 1", "d.yaml": "names: [disc, cat, Disc]"},
        r"d\.yaml: .* 0 and 2 are both called 'Disc', and have objects; rename",
    ),
    "fewer names than numbers": (
        {"a.txt": "0 .5 .5 1 1", "d.yaml": "names: [dog, owl]\nnc: 3"},
        r"d\.yaml: expected 3 names, as nc says, got 2; is one missing\?",
    ),
    "not JSON": ({"t.json": '{"images": ['}, "t.json is not JSON"),
    "not XML": ({"a.xml": "<annotation>"}, "a.xml: expected XML"),
    "no name": (
        {"a.xml": "<annotation><object/></annotation>"},
        "a.xml: expected a name in every object",
    ),
    "no names": (
        {"a.txt": "0 .5 .5 1 1".replace(".", "0.")},
        "names of YOLO's classes",
    ),
    "a number too high": (
        {"a.txt": "2 0.5 0.5 1 1", "data.yaml": "names: {0: dog, 1: cat}"},
        r"a.txt: expected classes of .*data.yaml, numbers from 0 to 1; got 2",
    ),
    "numbers before names": (
        {"a.txt": "0 0.5 0.5 1 1", "classes.txt": "0 dog\n1: cat\n\n"},
        r"classes\.txt: expected a name a line, got numbers .* '0 dog'; take",
    ),
    "a table without lines": ({"t.csv": "file,label\n"}, "they list none"),
    "names that are none": (
        {"a.txt": "0 0.5 0.5 1 1", "d.yaml": "names: [{id: 0, name: dog}]"},
        r"d\.yaml: expected text as each name",
    ),
    "a comma in a column's name": (
        {"t.csv": 'file,"dog, brown",cat\na.png,1,0\n'},
        r"without commas and semicolons .*, got dog, brown",
    ),
    "not YAML": (
        {"a.txt": "2 0.5 0.5 1 1", "d.yaml": "names: ["},
        "d.yaml: expected YAML",
    ),
    "JSON-MIN": (
        {"t.json": '[{"image": "a.png", "annotation_id": 1, "annotator": 1}]'},
        "is JSON-MIN",
    ),
    "Label Studio's CSV": (
        {"t.csv": 'image,label\na.png,"[{""x"": 1}]"\n'},
        r"t.csv, line 2: expected names of classes as label, got \[",
    ),
    "a broken task": (
        {"t.json": '[{"data": {"image": "a.png"}, "annotations": [3]}]'},
        "task 0",
    ),
    "a task without photo": (
        {"t.json": '[{"data": {"a": "b"}, "annotations": []}]'},
        "photo in",
    ),
    "a count": ({"t.csv": "file,label\na.png,dog:2\n"}, "dog:2; rename them, or write"),
    "a count with a wide colon": (
        {"t.csv": "file,label\na.png,dog：2\n"},
        "dog：2; rename them, or write",
    ),
    "what seems a wrong count": (
        {"t.csv": "file,label\na.png,scale:1.5\n"},
        "scale:1.5; rename them, or write",
    ),
    "a comma": (
        {"t.json": json.dumps([task("a.png", "dog, brown")])},
        "without commas and semicolons",
    ),
}


@pytest.mark.parametrize(("files", "says"), REFUSED.values(), ids=REFUSED)
def test_refuses_what_cannot_be_read(tmp_path, files, says):
    photos(tmp_path)
    for name, content in files.items():
        if callable(content):
            content(tmp_path / name)
        else:
            (tmp_path / name).write_text(content)

    with pytest.raises((ValueError, FileNotFoundError), match=says):
        exported_tags(tmp_path)


def test_the_rows_make_a_data_set(tmp_path):
    photos(tmp_path / "images")
    coco(tmp_path / "all.json", WANTED)
    table = tmp_path / "tags.txt"
    rows = exported_tags(tmp_path).rows
    lines = [f"{name},{';'.join(tags)}" for name, tags in rows.items()]
    table.write_text("\n".join(["file,tags", *lines]))

    tagged = FolderData(root=tmp_path, tags=table).train()

    assert tagged.classes == ("cat", "dog")
    assert [one.tags.tolist() for one in tagged.images] == [
        [False, True],
        [True, True],
        [False, False],
    ]


def test_numbers_of_yolo_may_begin_with_a_point(tmp_path):
    photos(tmp_path / "images", ["a.png"])
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("0 .5 -.5 .2 1.\n")
    (tmp_path / "classes.txt").write_text("dog\n")

    assert exported_tags(tmp_path).rows == {"images/a.png": ["dog"]}

    (tmp_path / "classes.txt").write_bytes("Käfer\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"classes\.txt: expected names .* in UTF-8"):
        exported_tags(tmp_path)


def test_labels_of_an_unknown_kind_are_told(tmp_path):
    photos(tmp_path / "images", ["a.png"])
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("dog 1 2 3 4\n")

    with pytest.warns(InputWarning, match=r"not read \(1\): labels/a\.txt; tags come"):
        assert exported_tags(tmp_path).kind == "a subfolder per tag"


def test_labels_of_yolo_are_read_or_refused_but_never_passed_over(tmp_path):
    photos(tmp_path / "images", ["a.png", "b.png"])
    yolo(tmp_path / "labels", {"a": [0]})
    (tmp_path / "data.yaml").write_text("names: [dog, cat]")
    odd = tmp_path / "labels/b.txt"
    for whole in ("\ufeff1 .5 .5 .2 .2\r\n", "1.000 .5 .5 .2 .2"):
        odd.write_text(whole, "utf-8")
        assert exported_tags(tmp_path).rows["images/b.png"] == ["cat"]
    for wrong in ("1,.5,.5,.2,.2", "1 .5 nan .2 .2", "0 1 1 1 1\ncat .5 .5 .2 .2"):
        odd.write_text(wrong)
        with pytest.raises(ValueError, match=r"else in 1 files: .*b\.txt: '"):
            exported_tags(tmp_path)


@pytest.mark.parametrize(
    ("line", "scored"),
    [
        ("1 .5 .5 .2 .2 .9", True),
        ("1 .1 .1 .2 .1 .2 .2", False),
        ("1 .1 .1 .2 .1 .2 .2 .9", True),
        ("1 .1 .1 .2 .1 .2 .2 .1 .2 .9", True),
        ("1 .5 .5 .2 .2 .4 .4 2", False),  # a keypoint that is seen
    ],
)
def test_boxes_and_outlines_of_yolo_with_scores_are_no_tags(tmp_path, line, scored):
    photos(tmp_path / "images", ["a.png"])
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text(line)
    (tmp_path / "data.yaml").write_text("names: [dog, cat]\nnc: 2")

    if scored:
        with pytest.raises(ValueError, match=r"in 1 of .* scores: .*a\.txt; these are"):
            exported_tags(tmp_path)
    else:
        assert exported_tags(tmp_path).rows == {"images/a.png": ["cat"]}


def test_the_nearest_names_of_yolo_count(tmp_path):
    for folder, names in (("one", "dog\ncat"), ("two", "cat\ndog"), ("", "owl\nbat")):
        photos(tmp_path / folder / "images", ["a.png"])
        yolo(tmp_path / folder / "labels", {"a": [0]})
        (tmp_path / folder / "classes.txt").write_text(names)

    assert exported_tags(tmp_path).rows == {
        "images/a.png": ["owl"],
        "one/images/a.png": ["dog"],
        "two/images/a.png": ["cat"],
    }

    (tmp_path / "one/data.yaml").write_text("names: [cat, dog]")
    with pytest.raises(ValueError, match=r"one list .*one/labels/a\.txt, .* differ"):
        exported_tags(tmp_path)


@pytest.mark.parametrize(
    "names", ["[no, on]", "{0: no, 1: on}", "{'0': no, '1': on}", "[no, 'on']"]
)
def test_names_in_yaml_are_as_they_are_written(tmp_path, names):
    photos(tmp_path / "images", ["a.png", "b.png"])
    yolo(tmp_path / "labels", {"a": [0], "b": [1]})
    (tmp_path / "data.yaml").write_text(f"names: {names}")

    rows = exported_tags(tmp_path).rows

    assert rows == {"images/a.png": ["no"], "images/b.png": ["on"]}


def test_objects_of_a_class_without_a_name_are_refused(tmp_path):
    photos(tmp_path / "images", ["a.png"])
    yolo(tmp_path / "labels", {"a": [1]})
    (tmp_path / "classes.txt").write_text("dog\n\ncat\n")

    with pytest.raises(ValueError, match=r"expected classes of .*; got 1"):
        exported_tags(tmp_path)


def test_values_of_label_studio_may_be_texts_and_taxonomies(tmp_path):
    photos(tmp_path, ["a.png", "b.png"])
    values = {"choices": "dog"}, {"taxonomy": [["animal", "cat"]]}
    tasks = [
        {
            "data": {"image": name},
            "annotations": [{"result": [{"from_name": "animal", "value": value}]}],
        }
        for name, value in zip(("a.png", "b.png"), values, strict=True)
    ]
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))

    assert exported_tags(tmp_path).rows == {"a.png": ["dog"], "b.png": ["cat"]}

    for one in tasks:
        one["predictions"] = [one["annotations"].pop()]
    never_opened = [{x: one[x] for x in ("data", "predictions")} for one in tasks]
    message = r"none of 2 tasks .* predictions are none"
    for some in (tasks, never_opened):
        (tmp_path / "tasks.json").write_text(json.dumps(some))
        with pytest.raises(ValueError, match=message):
            exported_tags(tmp_path)


@pytest.mark.parametrize(("yes", "no"), [("TRUE", "FALSE"), ("1.0", "0.0"), ("x", "")])
def test_columns_of_classes_have_yes_and_no_in_any_spelling(tmp_path, yes, no):
    photos(tmp_path, ["a.png", "b.png"])
    rows = f"file,dog,cat\na.png,{yes},{no}\nb.png,{no},{yes}\n"
    (tmp_path / "classes.csv").write_text(rows)

    assert exported_tags(tmp_path).rows == {"a.png": ["dog"], "b.png": ["cat"]}


@pytest.mark.parametrize(
    ("text", "tags", "says"),
    [
        (
            "file,label,label2,Class\na.png,dog,cat,1\nb.png,cat,,2\n",
            {"a.png": ["dog"], "b.png": ["cat"]},
            r"x\.csv: .* not read \(2\): label2, class; label is\. Write all",
        ),
        (
            "file,dog,is_train,Valid,train\na.png,1,1,0,1\n",
            {"a.png": ["dog", "is_train", "train"]},
            r"x\.csv: .* are classes \(2\): is_train, Valid; remove",
        ),
    ],
)
def test_columns_that_may_be_tags_or_none_are_told(tmp_path, text, tags, says):
    photos(tmp_path)
    (tmp_path / "x.csv").write_text(text)

    with pytest.warns(InputWarning, match=says):
        assert exported_tags(tmp_path).rows == tags


def test_files_that_give_a_photo_different_tags_are_told(tmp_path):
    photos(tmp_path)
    coco(tmp_path / "new.json", WANTED)
    coco(tmp_path / "old.json", {"a.png": ["dog"], "b.png": ["cat"]})

    told = r"different tags have all .* \(1\): b\.png \(new\.json, old\.json\); move"
    with pytest.warns(InputWarning, match=told):
        assert exported_tags(tmp_path).rows == WANTED


def test_people_and_questions_of_label_studio_that_differ_are_told(tmp_path):
    photos(tmp_path)
    tasks = [task(name, "dog") for name in WANTED]
    tasks[1]["annotations"] += task("", "dog", "dog")["annotations"]
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps(tasks))
    assert exported_tags(tmp_path).rows["b.png"] == ["dog"]

    tasks[1]["annotations"] += task("", "cat")["annotations"]
    path.write_text(json.dumps(tasks))
    told = r"that people gave different tags have all .* \(1\): b\.png; keep"
    with pytest.warns(InputWarning, match=told):
        assert exported_tags(tmp_path).rows["b.png"] == ["dog", "cat"]

    del tasks[1]
    tasks[0]["annotations"][0]["result"].append(
        {"from_name": "quality", "value": {"choices": ["blurred"]}}
    )
    path.write_text(json.dumps(tasks))
    told = r"questions are tags \(2\): rectanglelabels \(dog\), quality \(blurred\);"
    with pytest.warns(InputWarning, match=told):
        assert exported_tags(tmp_path).rows["a.png"] == ["dog", "blurred"]


def test_tables_and_files_that_are_not_read_are_named(tmp_path):
    photos(tmp_path, ["a.png", "b.png"])
    (tmp_path / "species.csv").write_text("path,species\na.png,dog\n")
    (tmp_path / "tags.xlsx").write_text("PK")
    told = r"not read \(2\): species\.csv, tags\.xlsx; .* a column"
    with pytest.warns(InputWarning, match=told):
        exported_tags(tmp_path)

    voc(tmp_path / "a.xml", "a.png", ["dog"])
    (tmp_path / "b.json").write_text('{"shapes": [{"label": "cat"}]}')
    with pytest.warns(InputWarning, match=r"not read \(1\): b\.json"):
        assert exported_tags(tmp_path).rows == {"a.png": ["dog"]}


def test_voc_files_may_name_their_photo_with_another_suffix(tmp_path):
    photos(tmp_path, ["a.png", "b.png"])
    voc(tmp_path / "a.xml", "a.PNG", ["dog"])
    voc(tmp_path / "b.xml", "b.jpg", ["cat"])

    assert exported_tags(tmp_path).rows == {"a.png": ["dog"], "b.png": ["cat"]}


@pytest.mark.parametrize("name", ["", "id", "Index", "Unnamed: 0"])
def test_a_column_that_numbers_the_lines_is_no_class(tmp_path, name):
    photos(tmp_path)
    rows = "0,a.png,1,0\n1,b.png,1,1\n"
    (tmp_path / "t.csv").write_text(f"{name},file,dog,cat\n{rows}")

    found = exported_tags(tmp_path)

    assert found.rows == {"a.png": ["dog"], "b.png": ["dog", "cat"]}


def test_objects_that_were_deleted_give_no_tag(tmp_path):
    photos(tmp_path)
    rest = "<object><name>cat</name><deleted>0</deleted></object></annotation>"
    gone = "<annotation><object><name>dog</name><deleted>1</deleted></object>"
    (tmp_path / "a.xml").write_text(gone + rest)

    assert exported_tags(tmp_path).rows == {"a.png": ["cat"]}


def test_a_voc_file_that_names_another_photo_is_told(tmp_path):
    photos(tmp_path)
    voc(tmp_path / "a.xml", "b.png", ["dog"])
    voc(tmp_path / "c.xml", "gone.png", ["cat"])

    with pytest.warns(InputWarning, match=r"another photo .*\(1\): a\.xml \(b\.png\)"):
        found = exported_tags(tmp_path)

    assert found.rows == {"a.png": ["dog"], "c.png": ["cat"]}
