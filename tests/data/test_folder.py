import os
import shutil
import unicodedata
import warnings
import zlib

import pytest
from PIL import Image as Pillow

from wsis._support.checks import InputWarning
from wsis.contracts import DataSource
from wsis.data.exports import exported_tags
from wsis.data.folder import FolderData
from wsis.data.halves import summary


def photos(root, *names):
    """Photos of one colour each, of which no two are the same."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        colour = zlib.crc32(name.encode()).to_bytes(4, "big")[:3]
        Pillow.new("RGB", (8, 6), tuple(colour)).save(root / name)
    return root


def tags(tagged):
    return {
        image.name: [tagged.classes[i] for i in image.tags.nonzero().flatten()]
        for image in tagged.images
    }


def test_a_csv_names_files_and_tags(tmp_path):
    photos(tmp_path, "a.png", "sub/b.png", "c.png")
    text = 'file,tags\na.png,dog; sofa\nsub/b.png,"cat, dog"\nc.png,\n'
    (tmp_path / "tags.csv").write_text(text)

    tagged = FolderData(root=tmp_path).train()

    assert tagged.classes == ("cat", "dog", "sofa")
    assert tags(tagged) == {
        "a.png": ["dog", "sofa"],
        "sub/b.png": ["cat", "dog"],
        "c.png": [],
    }
    assert tagged.name == tmp_path.name
    assert tagged.images[0].load().shape == (6, 8, 3)


def test_spreadsheets_may_part_columns_by_semicolons(tmp_path):
    photos(tmp_path, "a.png")
    path = tmp_path / "mine.csv"
    path.write_text("File;Tags\na.png;dog,sofa\n", "utf-8-sig")

    found = tags(FolderData(root=tmp_path, tags=path).train())
    assert found == {"a.png": ["dog", "sofa"]}


@pytest.mark.parametrize("columns", ["file_name,tags", "Filename;Label", "image,class"])
def test_columns_have_the_names_that_people_give_them(tmp_path, columns):
    photos(tmp_path, "a.png")
    row = "a.png;dog" if ";" in columns else "a.png,dog"
    (tmp_path / "tags.csv").write_text(f"{columns}\n{row}\n")

    assert tags(FolderData(root=tmp_path).train()) == {"a.png": ["dog"]}


def test_two_columns_of_tags_are_refused(tmp_path):
    photos(tmp_path, "a.png")
    (tmp_path / "tags.csv").write_text("file,tag,label\na.png,dog,cat\n")

    with pytest.raises(ValueError, match="expected the columns file,tags"):
        FolderData(root=tmp_path).train()


def test_a_subfolder_is_a_tag(tmp_path):
    photos(tmp_path, "dog/1.png", "dog/2.png", "cat/1.png", ".hidden/1.png")

    with pytest.warns(InputWarning, match=r"hidden photos .* \(1\): .hidden/1.png"):
        tagged = FolderData(root=tmp_path).train()

    assert tags(tagged) == {
        "cat/1.png": ["cat"],
        "dog/1.png": ["dog"],
        "dog/2.png": ["dog"],
    }


@pytest.mark.parametrize("table", [False, True])
def test_background_is_no_class(tmp_path, table):
    photos(tmp_path, "cat/a.png", "Background/b.png")
    if table:
        rows = "file,tags\ncat/a.png,cat\nBackground/b.png,background\n"
        (tmp_path / "tags.csv").write_text(rows)

    tagged = FolderData(root=tmp_path).train()

    assert tagged.classes == ("cat",)
    found = {one.name: (one.background, one.tags.tolist()) for one in tagged.images}
    assert found == {"cat/a.png": (False, [True]), "Background/b.png": (True, [False])}
    assert tagged.epoch == 1
    assert "background: 1" in summary(tagged)
    assert "without tags" not in summary(tagged)


def test_background_beside_other_tags_is_told(tmp_path):
    photos(tmp_path, "a.png", "b.png")
    rows = "file,tags\na.png,cat;background\nb.png,dog\n"
    (tmp_path / "tags.csv").write_text(rows)

    with pytest.warns(InputWarning, match=r"have the others \(1\): a.png"):
        tagged = FolderData(root=tmp_path).train()

    assert tags(tagged) == {"a.png": ["cat"], "b.png": ["dog"]}
    assert not any(one.background for one in tagged.images)


def test_background_alone_is_refused(tmp_path):
    photos(tmp_path, "background/a.png")

    with pytest.raises(ValueError, match="found none beside background"):
        FolderData(root=tmp_path).train()


def test_the_photos_held_back_are_a_seeded_share(tmp_path):
    photos(tmp_path, *(f"dog/{i}.png" for i in range(10)))

    data = FolderData(root=tmp_path, held_out=0.3)
    train = set(tags(data.train()))

    assert len(train) == 7
    assert set(tags(FolderData(root=tmp_path, held_out=0.3).train())) == train
    other = FolderData(root=tmp_path, held_out=0.3, seed=1)
    assert set(tags(other.train())) != train
    assert isinstance(data, DataSource)


def test_holding_all_photos_back_is_refused(tmp_path):
    photos(tmp_path, "dog/1.png", "dog/2.png")

    with pytest.raises(ValueError, match=r"held_out=0\.9 leaves none of 2 photos"):
        FolderData(root=tmp_path, held_out=0.9).train()


def test_there_is_no_half_with_masks(tmp_path):
    photos(tmp_path, "dog/1.png", "dog/2.png")
    data: DataSource = FolderData(root=tmp_path, held_out=0.5)

    assert data.val() is None


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", ValueError, "expected the columns file,tags"),
        ("name,tags\na.png,dog\n", ValueError, "expected the columns file,tags"),
        ("file,tags\na.png\n", ValueError, "line 2: expected file,tags"),
        (
            "file,tags\na.png,dog,sofa\n",
            ValueError,
            "line 2: .*or write them in quotes",
        ),
        ("file,tags\na.png,dog\na.png,cat\n", ValueError, "line 3: a.png is listed"),
        ("file,tags\na.png,dog\n./a.png,cat\n", ValueError, "line 3: a.png is listed"),
        ('file,tags\na.png,"dog\nb.png,cat\n', ValueError, "is a quote not closed"),
        (
            'file,tags\na.png,"dog\nb.png,"cat\n',
            ValueError,
            "after line 1: expected CSV",
        ),
        ("file,tags\na.png,do\x00g\n", ValueError, r"'do\\x00g'"),
        ("file,tags\na.png,dog\nb.png,Dog\n", ValueError, "'dog' and 'Dog'"),
        ("sep=;\nfile;tags\na.png\n", ValueError, "line 3: expected file,tags"),
        ("file,tags,tags\na.png,dog,cat\n", ValueError, "each once"),
        ("file,tags,\na.png,dog,cat\n", ValueError, "line 2: expected file,tags;"),
        ("file,tags,,more\na.png,dog,,\n", ValueError, "each once, got"),
        ("f\x00i\x00le,tags\n", ValueError, "UTF-16 without a mark"),
        ("file,tags\na.png,\nb.png,\n", ValueError, "photos with tags"),
        ("file,tags\nz.png,dog\n", FileNotFoundError, "1 of 1 photos.*z.png"),
    ],
)
def test_wrong_csvs_are_refused(tmp_path, text, error, message):
    photos(tmp_path, "a.png", "b.png")
    (tmp_path / "tags.csv").write_text(text)

    with pytest.raises(error, match=message):
        FolderData(root=tmp_path).train()


def test_other_columns_are_refused(tmp_path):
    (tmp_path / "tags.csv").write_text("file,tags,points\na.png,dog,3\n")

    with pytest.raises(ValueError, match=r"columns file,tags .*got 'file,tags,points'"):
        FolderData(root=tmp_path).train()


def test_other_bytes_are_refused(tmp_path):
    (tmp_path / "tags.csv").write_bytes("file,tags\nä.png,dog\n".encode("latin-1"))

    with pytest.raises(ValueError, match="a CSV in UTF-8"):
        FolderData(root=tmp_path).train()


def told(data):
    """The training half of a data set, and the warnings about it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return data.train(), [str(one.message) for one in caught]


BOTH = {"cat/a.png": ["cat", "dog"], "dog/b.png": ["dog"]}


@pytest.mark.parametrize(
    "again",
    [
        lambda photo, other: other.symlink_to(photo),
        lambda photo, other: os.link(photo, other),
        lambda photo, other: shutil.copy(photo, other),
        lambda photo, other: Pillow.open(photo).save(other.with_suffix(".bmp")),
    ],
    ids=["link", "hard link", "bytes", "pixels"],
)
def test_a_photo_in_two_subfolders_is_one_with_both_tags(tmp_path, again):
    photos(tmp_path, "cat/a.png", "dog/b.png")
    again(tmp_path / "cat/a.png", tmp_path / "dog/other name.png")

    with pytest.warns(
        InputWarning, match=r"used once.* \(1\): dog/other name.* is cat"
    ):
        assert tags(FolderData(root=tmp_path).train()) == BOTH


def test_a_photo_in_two_lines_has_the_tags_of_both_and_is_on_one_side(tmp_path):
    names = [f"{i}.png" for i in range(6)]
    photos(tmp_path, *names)
    for name in names:
        shutil.copy(tmp_path / name, tmp_path / f"copy of {name}")
    lines = [f"{name},cat\ncopy of {name},dog\n" for name in names]
    (tmp_path / "tags.csv").write_text("file,tags\n" + "".join(lines))

    for seed in range(5):
        tagged, said = told(FolderData(root=tmp_path, held_out=0.5, seed=seed))
        assert len(tagged.images) == 3
        assert all(image.tags.all() for image in tagged.images)
        assert len(said) == 1
        assert "(6): copy of 0.png is 0.png" in said[0]


def test_photos_of_other_pixels_are_others(tmp_path):
    photos(tmp_path, "cat/a.png")
    for i in range(3):
        photo = Pillow.new("L", (8, 6))
        photo.putpixel((i, 0), 255)
        (tmp_path / "dog").mkdir(exist_ok=True)
        photo.save(tmp_path / f"dog/{i}.bmp")

    assert len(FolderData(root=tmp_path).train().images) == 4


def test_photos_anywhere_are_used_or_counted(tmp_path):
    photos(
        tmp_path, "square/a.png", "square/session 2/b.png", "disc/c.png", "loose.png"
    )
    Pillow.new("RGB", (9, 9)).save(tmp_path / "disc/d.jfif", "JPEG")
    Pillow.new("RGB", (9, 8)).save(tmp_path / "disc/e", "PNG")
    (tmp_path / "disc/f.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    (tmp_path / "disc/g.png").symlink_to("not-fetched/g.png")
    (tmp_path / "disc/round").symlink_to(tmp_path)
    (tmp_path / "disc/notes.txt").write_text("no photo")
    (tmp_path / "empty").mkdir()

    tagged, said = told(FolderData(root=tmp_path))

    assert tags(tagged) == {
        "disc/c.png": ["disc"],
        "disc/d.jfif": ["disc"],
        "disc/e": ["disc"],
        "square/a.png": ["square"],
        "square/session 2/b.png": ["square"],
    }
    assert sorted(one.removeprefix(f"{tmp_path}: ") for one in said) == [
        "links back to a folder that holds them are left out (1): disc/round",
        "links that lead nowhere are left out (1): disc/g.png; fetch their files",
        "photos in deeper folders have the tag of the outermost (1): square/session "
        "2/b.png",
        "photos in no tag's subfolder are left out (1): loose.png",
        "photos that Pillow does not read are left out (1): disc/f.heic; convert to "
        "JPEG, for instance with: magick photo.heic photo.jpg",
        "subfolders without a photo are left out (1): empty",
    ]


def test_images_and_masks_are_no_versions(tmp_path):
    names = (f"{one}/{tag}/a.png" for one in ("images", "masks") for tag in "xy")
    photos(tmp_path, *names)

    with pytest.raises(ValueError, match=r"got images, masks with folders inside"):
        FolderData(root=tmp_path).train()


@pytest.mark.parametrize("outer", [("raw", "augmented"), ("2023", "batch_2")])
def test_folders_of_versions_are_no_tags(tmp_path, outer):
    for version in outer:
        names = "cat/a.png", "dog/b.png", "loose.png"
        photos(tmp_path, *(f"{version}/{name}" for name in names))

    tagged, said = told(FolderData(root=tmp_path))

    assert tagged.classes == ("cat", "dog")
    assert tags(tagged)[f"{outer[0]}/cat/a.png"] == ["cat"]
    assert "as several of these hold the same (2): cat, dog; if they" in said[0]
    assert "photos in no tag's subfolder are left out (2)" in said[1]


@pytest.mark.parametrize(
    ("paths", "hint"),
    [
        (["cat/day/a.png", "dog/day/b.png"], ", though several hold the same (day)"),
        (["2023/cat/a.png", "2024/dog/b.png"], ""),
        (["animals/cat/a.png", "animals/dog/b.png"], "; is {root}/animals the root?"),
    ],
)
def test_the_outermost_folder_is_the_tag_elsewhere(tmp_path, paths, hint):
    photos(tmp_path, *paths)

    tagged, said = told(FolderData(root=tmp_path))

    assert tags(tagged) == {one: [one.split("/")[0]] for one in paths}
    assert f"outermost{hint.format(root=tmp_path)} (2): {paths[0]}" in said[0]


def test_results_beside_the_tags_are_no_tag(tmp_path):
    photos(tmp_path, "cat/a.png", "dog/b.png", "found/c.png", "out/coco/images/d.png")
    for one in ("found/predictions.json", "out/steps.json", "out/coco/instances.json"):
        (tmp_path / one).write_text('{"images": [], "annotations": 1, "categories": 2}')

    tagged, said = told(FolderData(root=tmp_path))

    assert tags(tagged) == {"cat/a.png": ["cat"], "dog/b.png": ["dog"]}
    assert sorted(one.removeprefix(f"{tmp_path}: ") for one in said) == [
        "folders of drawings by wsis predict are left out (1): found",
        "folders of results of wsis run are left out (1): out",
    ]
    assert exported_tags(tmp_path).kind == "a subfolder per tag"


def test_a_linked_folder_gives_its_photos_to_both_tags(tmp_path):
    photos(tmp_path, "cat/a.png", "dog/b.png")
    (tmp_path / "dog/more").symlink_to("../cat")

    tagged, said = told(FolderData(root=tmp_path))

    assert tags(tagged) == BOTH
    assert len(said) == 2


def test_halves_are_no_tags(tmp_path):
    photos(tmp_path, "train/cat/1.png", "val/cat/2.png")

    with pytest.raises(ValueError, match=r"got .*train.* is .*train.* the root\?"):
        FolderData(root=tmp_path).train()
    (tmp_path / "all").mkdir()
    for half in ("train", "val"):
        (tmp_path / half).rename(tmp_path / "all" / half)
    (tmp_path / "all").rename(tmp_path / "images")
    with pytest.raises(ValueError, match=r"got images .* is .*/images the root\?"):
        FolderData(root=tmp_path).train()


@pytest.mark.parametrize(
    "names", [("train", "test"), ("Valid", "training"), ("images", "masks"), ("train",)]
)
def test_parts_of_a_data_set_are_no_tags(tmp_path, names):
    photos(tmp_path, *(f"{one}/1.png" for one in names))

    with pytest.raises(ValueError, match=r"of parts of a data set; move .* tags\.csv"):
        FolderData(root=tmp_path).train()

    photos(tmp_path, "bus/1.png")
    tagged, said = told(FolderData(root=tmp_path))
    assert sorted(tagged.classes) == sorted([*names, "bus"])
    strange = [one for one in names if one != "train"]
    assert [bool(one) for one in said] == [True] * bool(strange)
    assert all(f"data set are tags ({len(strange)}): " in one for one in said)


def test_pictures_that_are_named_like_masks_are_told(tmp_path):
    photos(tmp_path, "cat/a.png", "cat/a_mask.png", "cat/a-seg 1.png", "cat/b_mask.png")
    photos(tmp_path, "mask/a.png", "no_mask/b.png", "no_mask/masks/c.png")

    _, said = told(FolderData(root=tmp_path))

    [text] = [one for one in said if "named like masks" in one]
    assert text.endswith("(3): cat/a-seg 1.png, cat/a_mask.png, no_mask/masks/c.png")


def test_photos_and_tables_that_are_not_read_are_told(tmp_path):
    photos(tmp_path, "a.png", "deeper/b.png", "c.png")
    (tmp_path / "Tags.CSV").write_text("file,tags\na.png,dog\n")

    with pytest.warns(
        InputWarning, match=r"not list are left out \(2\): c.png, deeper/b"
    ):
        assert tags(FolderData(root=tmp_path).train()) == {"a.png": ["dog"]}

    (tmp_path / "Tags.CSV").rename(tmp_path / "labels.csv")
    _, said = told(FolderData(root=tmp_path))
    assert any("tables that are not read: labels.csv" in one for one in said)


def csv(root, *rows):
    """A data set of photos 0.png, 1.png, … of these tags."""
    photos(root, *(f"{i}.png" for i in range(len(rows))))
    lines = [f"{i}.png,{tags}\n" for i, tags in enumerate(rows)]
    (root / "tags.csv").write_text("file,tags\n" + "".join(lines), "utf-8")
    return FolderData(root=root)


@pytest.mark.parametrize(
    "other",
    [
        unicodedata.normalize("NFD", "k\u00e4fer"),
        "\ufeffk\u00e4fer",
        "k\u00e4\u00adfer",
        "\u200ek\u00e4fer\u200b",
        " k\u00e4fer\u00a0",
    ],
)
def test_signs_that_nobody_sees_make_no_other_tag(tmp_path, other):
    assert csv(tmp_path, "k\u00e4fer", other).train().classes == ("k\u00e4fer",)


@pytest.mark.parametrize("other", ["polar-bear", "polar_bear", "Polar Bear"])
def test_two_spellings_of_a_tag_are_refused(tmp_path, other):
    with pytest.raises(ValueError, match=f"'polar bear' and '{other}' .0.png, 1.png"):
        csv(tmp_path, "polar bear", other).train()


def test_spellings_that_look_alike_are_told_by_their_signs(tmp_path):
    with pytest.raises(ValueError, match=r"\(U\+0020\) and .* \(U\+00A0\)"):
        csv(tmp_path, "polar bear", "polar\u00a0bear").train()
    with pytest.raises(ValueError, match=r"'cat' \(ASCII\) and .* \(U\+0441\)"):
        csv(tmp_path, "cat", "\u0441at").train()


def test_several_spaces_are_one(tmp_path):
    assert csv(tmp_path, "polar bear", "polar  bear").train().classes == ("polar bear",)


def test_tags_are_words_of_any_language(tmp_path):
    words = [
        "polar\u00a0bear",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 family",
        "\u06a9\u062a\u0627\u0628\u200c\u062e\u0627\u0646\u0647",
        "\u767d\u3000\u718a",
        "rock 'n' roll",
    ]

    assert csv(tmp_path, *words).train().classes == tuple(sorted(words))


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("\"['dog', 'sofa']\"", "line 2: expected tags without brackets"),
        ("'dog'", "line 2: expected tags without quotes, got 'dog'"),
        ("\u201cdog\u201d", "line 2: expected tags without quotes"),
    ],
)
def test_lists_and_quotes_are_no_tags(tmp_path, cell, message):
    with pytest.raises(ValueError, match=message):
        csv(tmp_path, cell).train()


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("dog|sofa", r"look like several; .* \(1\): dog\|sofa \(0.png\)"),
        ("dog sofa", r"look like several; .* \(1\): dog sofa \(0.png\)"),
        ("dog and sofa", "look like several"),
        ("nan", "are read as classes"),
        ("no_dog", r"deny or doubt others .* \(1\): no_dog \(0\.png\)"),
        ("sofa ?", "deny or doubt others"),
        ("Empty", "are read as classes"),
        ("no", r"are read as classes; write background .* \(1\): no \(0"),
        ("hot%20dog", r"look garbled, .* \(1\): hot%20dog \(0\.png\)"),
        ("dog&amp", "look garbled"),
        ("k\u00c3\u00a4fer", "look garbled, by another encoding"),
        ("0", r"are numbers are read as names of classes; .* \(1\): 0 \(0\.png\)"),
        ("[dog", "hold quotes or brackets"),
        ("dogs", r"an accent, a space, .* \(2\): dogs \(0.png\), dog \(1.png\)"),
        ("sof\u00e1", "differ in an accent"),
        ("so fa", "differ in an accent, a space"),
    ],
)
def test_doubtful_tags_are_told(tmp_path, cell, message):
    with pytest.warns(InputWarning, match=message):
        csv(tmp_path, cell, "dog", "sofa").train()


def test_photos_are_found_in_either_unicode_form(tmp_path):
    composed = "k\u00e4fer/\u00e9.png"
    apart = unicodedata.normalize("NFD", composed)
    photos(tmp_path, apart)
    (tmp_path / "tags.csv").write_text(f"file,tags\n{composed},dog\n", "utf-8")

    [image] = FolderData(root=tmp_path).train().images

    assert image.name == apart
    assert image.load().shape == (6, 8, 3)


@pytest.mark.parametrize(
    "content",
    [
        "\ufefffile,tags\na.png,dog\n".encode(),
        b"sep=;\r\nFile;TAGS\r\na.png;dog\r\n;\r\n",
        b"file;tags;;\r\na.png;dog;; \r\n;;;\r\n",
        "file\ttags\r\na.png\tdog\r\n".encode("utf-16"),
        b'"file","tags"\na.png,dog\n,\n',
    ],
)
def test_tables_of_spreadsheets_are_read(tmp_path, content):
    photos(tmp_path, "a.png")
    (tmp_path / "tags.csv").write_bytes(content)

    assert tags(FolderData(root=tmp_path).train()) == {"a.png": ["dog"]}


def test_folders_without_tags_are_refused(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/a.heic").write_bytes(b"heic")
    message = r"expected photos \(.*, found none; .* left out \(1\): cat/a\.heic; conv"
    with pytest.raises(ValueError, match=message):
        FolderData(root=tmp_path).train()
    shutil.rmtree(tmp_path / "cat")
    photos(tmp_path, "a.png", "b.png")
    with pytest.raises(ValueError, match=r"found photos without tags \(2\)"):
        FolderData(root=tmp_path).train()
    with pytest.raises(FileNotFoundError, match="a folder of photos"):
        FolderData(root=tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="a CSV of tags"):
        FolderData(root=tmp_path, tags=tmp_path / "none.csv")
    with pytest.raises(ValueError, match=r"in \[0, 1\), got 1"):
        FolderData(root=tmp_path, held_out=1.0)


def test_two_tables_of_tags_are_refused(tmp_path):
    photos(tmp_path, "a.png")
    for name in ("tags.csv", "Tags.CSV"):
        (tmp_path / name).write_text("file,tags\na.png,dog\n")

    with pytest.raises(ValueError, match=r"one tags\.csv .*got Tags\.CSV, tags\.csv"):
        FolderData(root=tmp_path).train()
    assert FolderData(root=tmp_path, tags=tmp_path / "tags.csv").train().images


def test_a_subfolder_without_visible_signs_is_no_tag(tmp_path):
    photos(tmp_path, "\u200b/a.png", "dog/b.png")

    with pytest.raises(ValueError, match=r"invisible signs \(U\+200B\)"):
        FolderData(root=tmp_path).train()


def counts(tagged):
    """The counts of photos that have any, by class."""
    return {
        image.name: {
            name: count
            for name, count in zip(tagged.classes, image.counts.tolist(), strict=True)
            if count
        }
        for image in tagged.images
        if image.counts is not None
    }


def test_tags_may_count(tmp_path):
    photos(tmp_path, "a.png", "b.png", "c.png")
    text = "file,tags\na.png,dog:2; ns:cat :3\nb.png,dog：1; dog\nc.png,ns:cat\n"
    (tmp_path / "tags.csv").write_text(text, "utf-8")

    tagged = FolderData(root=tmp_path, counts=True).train()

    assert tagged.classes == ("dog", "ns:cat")
    assert tags(tagged)["b.png"] == ["dog"]
    assert counts(tagged) == {"a.png": {"dog": 2, "ns:cat": 3}, "b.png": {"dog": 1}}
    with pytest.warns(InputWarning, match=r"read as counts.*\(3\): dog:2 \(a.png\)"):
        assert counts(FolderData(root=tmp_path).train()) == counts(tagged)


def test_numbers_may_be_part_of_the_names(tmp_path):
    photos(tmp_path, "a.png", "b.png")
    text = "file,tags\na.png,version:1\nb.png,version:0\n"
    (tmp_path / "tags.csv").write_text(text)

    tagged = FolderData(root=tmp_path, counts=False).train()

    assert tagged.classes == ("version:0", "version:1")
    assert counts(tagged) == {}


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("dog:0", r"line 2: expected a count from 1 to 1000 .*got dog:0.*counts=false"),
        ("dog:-1", r"got dog:-1"),
        ("dog:2.5", r"got dog:2\.5"),
        ("dog:20000", r"got dog:20000"),
        ("dog:2;dog:3", r"line 2: expected one count of dog, got 2 and 3"),
    ],
)
def test_wrong_counts_are_refused(tmp_path, cell, message):
    photos(tmp_path, "a.png")
    (tmp_path / "tags.csv").write_text(f"file,tags\na.png,{cell}\n")

    with pytest.raises(ValueError, match=message):
        FolderData(root=tmp_path).train()


@pytest.mark.parametrize("tag", ["dog:two", "dog x2", "dog (2)", "dog=2"])
def test_counts_written_in_another_way_are_doubted(tmp_path, tag):
    photos(tmp_path, "a.png", "b.png")
    (tmp_path / "tags.csv").write_text(f"file,tags\na.png,dog\nb.png,{tag}\n")

    with pytest.warns(InputWarning, match=r"look like counts.*write a count as dog:2"):
        assert FolderData(root=tmp_path).train().classes == ("dog", tag)


def test_copies_that_are_counted_differently_are_refused(tmp_path):
    photos(tmp_path, "a.png")
    shutil.copy(tmp_path / "a.png", tmp_path / "b.png")
    (tmp_path / "tags.csv").write_text("file,tags\na.png,dog:2\nb.png,dog:3\n")

    with pytest.raises(ValueError, match=r"b\.png, which is a\.png: .*one count"):
        FolderData(root=tmp_path).train()


def test_single_is_one_object_of_each_tag(tmp_path):
    photos(tmp_path, "dog/a.png", "cat/b.png")

    tagged = FolderData(root=tmp_path, single=True).train()

    assert counts(tagged) == {"cat/b.png": {"cat": 1}, "dog/a.png": {"dog": 1}}
    (tmp_path / "tags.csv").write_text("file,tags\ndog/a.png,dog:2\ncat/b.png,cat:1\n")
    with pytest.raises(ValueError, match=r"counts more \(1\): dog:2 \(dog/a.png\)"):
        FolderData(root=tmp_path, single=True).train()


def test_numbers_of_subfolders_are_part_of_the_tag(tmp_path):
    photos(tmp_path, "dog:2/a.png")

    with pytest.warns(InputWarning, match=r"part of the tag \(1\): dog:2"):
        tagged = FolderData(root=tmp_path).train()

    assert tagged.classes == ("dog:2",)
