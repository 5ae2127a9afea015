import pytest
from PIL import Image as Pillow

from wsis.contracts import DataSource
from wsis.data.folder import FolderData


def photos(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Pillow.new("RGB", (8, 6)).save(root / name)
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


def test_a_subfolder_is_a_tag(tmp_path):
    photos(tmp_path, "dog/1.png", "dog/2.png", "cat/1.png", ".hidden/1.png")

    assert tags(FolderData(root=tmp_path).train()) == {
        "cat/1.png": ["cat"],
        "dog/1.png": ["dog"],
        "dog/2.png": ["dog"],
    }


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
        ("file,tags\na.png,\n", ValueError, "photos with tags"),
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


def test_folders_without_tags_are_refused(tmp_path):
    with pytest.raises(ValueError, match="found neither"):
        FolderData(root=tmp_path).train()
    with pytest.raises(FileNotFoundError, match="a folder of photos"):
        FolderData(root=tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="a CSV of tags"):
        FolderData(root=tmp_path, tags=tmp_path / "none.csv")
    with pytest.raises(ValueError, match=r"in \[0, 1\), got 1"):
        FolderData(root=tmp_path, held_out=1.0)
