import pytest

from wsis._support.folders import new_folder, unique


def test_a_folder_appears_when_it_is_whole(tmp_path):
    with new_folder(tmp_path / "out") as folder:
        (folder / "a.txt").write_text("a")
        assert not (tmp_path / "out").exists()

    assert (tmp_path / "out" / "a.txt").read_text() == "a"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_of_a_failure(tmp_path, error):
    def fail():
        with new_folder(tmp_path / "out") as folder:
            (folder / "a.txt").write_text("a")
            raise error

    with pytest.raises(error):
        fail()

    assert list(tmp_path.iterdir()) == []


def test_overwriting_replaces_files_of_the_same_name_and_keeps_others(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    (tmp_path / "b.txt").write_text("other")

    with new_folder(tmp_path, overwrite=True) as folder:
        (folder / "a.txt").write_text("new")

    assert (tmp_path / "a.txt").read_text() == "new"
    assert (tmp_path / "b.txt").read_text() == "other"
    assert len(list(tmp_path.iterdir())) == 2


def test_what_exists_is_refused(tmp_path):
    file = tmp_path / "file"
    file.write_text("")

    for path, overwrite in ((tmp_path, False), (file, True)):
        with (
            pytest.raises(FileExistsError, match="expected a new folder"),
            new_folder(path, overwrite=overwrite),
        ):
            pass
    assert list(tmp_path.iterdir()) == [file]


def test_names_are_told_apart():
    assert unique(["a", "b", "a", "A", "a-2"]) == ["a", "b", "a-2", "A-3", "a-2-2"]
