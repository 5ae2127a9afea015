from pathlib import Path

import pytest

from wsis.data import FolderData, Pointed
from wsis.projects import Project, project_text
from wsis.projects._folders import StepFolders
from wsis.runs import SettingsError


def test_what_start_writes_is_read_back_with_all_defaults(tmp_path):
    for photos, tags, encoding in (
        (Path("my photos"), None, "utf-8"),
        (Path('a"b\\c'), Path("t.csv"), "utf-8-sig"),
    ):
        (tmp_path / "wsis.toml").write_text(project_text(photos, tags), encoding)

        found = Project.read(tmp_path / "wsis.toml")

        assert found == Project(
            photos=tmp_path / photos.as_posix(),
            tags=tags and tmp_path / tags,
            out=tmp_path / "wsis-out",
        )
        assert found.chosen[0].name == "apart"


def test_every_line_that_is_commented_out_may_be_used(tmp_path):
    text = project_text(Path("photos"))
    lines = [
        line[2:] if line.startswith("# ") and " = " in line else line
        for line in text.splitlines()
    ]

    found = Project.parse("\n".join(lines), tmp_path)

    assert found.tags == tmp_path / "tags.csv"
    assert found.chosen[0].name == "cim"
    assert found.chosen[1].source.name == "hed"
    assert found.chosen[1].schedule.iterations == 3000
    assert found.chosen[1].cues.name == "points"


def test_settings_are_those_of_set():
    text = """
    photos = "p"
    [settings]
    source.nodes = 300
    train_sides = [448, 576]
    anti_noise = true
    schedule.lr = 2e-4
    """
    found = Project.parse(text, Path())

    assert found.overrides == [
        *("source.nodes=300", "train_sides=448,576", "anti_noise=true"),
        "schedule.lr=0.0002",
    ]
    settings = found.chosen[1]
    assert settings.train_sides == (448, 576)
    assert settings.anti_noise
    assert settings.schedule.lr == 2e-4


def test_points_become_cues_unless_others_are_named():
    text = 'photos = "p"\npoints = "points.csv"\n'
    found = Project.parse(text, Path())
    other = Project.parse(f'{text}[settings]\ncues = "cam"', Path())

    assert found.overrides == ["cues=points"]
    assert other.overrides == ["cues=cam"]
    assert found.data.label == "folder:points=points.csv"


def test_the_data_set_is_the_folder_with_its_tags_and_points(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "t.csv").touch()
    text = 'photos = "photos"\ntags = "t.csv"\nsingle = true'
    plain = Project.parse(text, tmp_path)
    pointed = Project.parse('photos = "photos"\npoints = "p.csv"', tmp_path)

    table = tmp_path / "t.csv"
    data = FolderData(root=tmp_path / "photos", tags=table, single=True)
    assert plain.data.label == f"folder:tags={table}:single=true"
    assert plain.source() == data
    assert isinstance(pointed.source(), Pointed)


@pytest.mark.parametrize(
    ("value", "on", "option"),
    [("true", True, []), ("false", False, []), ("7", True, ["--epochs", "7"])],
)
def test_refine_is_on_off_or_a_number_of_passes(value, on, option):
    found = Project.parse(f'photos = "p"\nrefine = {value}', Path())

    assert bool(found.refine) == on
    assert found.passes == option


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('phtos = "p"', r"no setting is called 'phtos' \(did you mean 'photos'\?\)"),
        ("", "setting photos: field required"),
        ('photos = "p"\nrefine = -1', "refine: expected true, false, or a whole numb"),
        ('photos = "p"\nrefine = 1.5', "whole number of passes, got 1.5"),
        ('photos = "p"\nexport = "coco"', "export: expected a list, got 'coco'"),
        ("photos = 1", "setting photos: expected a path, got 1"),
        ('photos = "p"\nmin_score = 2', "setting min_score"),
        ('photos = "p"\n[settings]\nschedule.lrr = 1', "did you mean 'schedule.lr'"),
        ('photos = "p"\nminer = "cmi"', "cmi"),
        ('photos = "p"\nminer = "cim:p_sed=1"', "p_sed"),
        ('photos = "p"\n[settings]\nsorce = "lab"', "did you mean 'source'"),
        ('photos = "p"\nout = "p/out"', "out apart from the photos"),
        ('photos = "a/p"\nout = "a"', "out apart from the photos"),
        ('photos = "p"\nphotos = "q"', "expected TOML: Cannot overwrite"),
        ('photos = "p', "expected TOML"),
    ],
)
def test_refuses_a_wrong_file_by_name_and_field(tmp_path, text, says):
    path = tmp_path / "wsis.toml"
    path.write_text(text)

    with pytest.raises(SettingsError, match=says) as error:
        Project.read(path)

    assert str(path) in str(error.value)


def test_a_missing_file_says_how_to_write_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="wsis start PHOTOS"):
        Project.read(tmp_path / "wsis.toml")


def test_results_of_other_inputs_are_kept_apart_and_found_again(tmp_path):
    out = tmp_path / "out"
    journal = StepFolders(out)
    first, changes = journal.place("train", {"lr": 1}, "run")
    assert (first, changes) == (out / "run", "")
    journal.begin("train", {"lr": 1}, first)

    journal = StepFolders(out)
    assert journal.place("train", {"lr": 1}, "run") == (first, "")
    second, changes = journal.place("train", {"lr": 2}, "run")
    assert (second, changes) == (out / "run-2", "lr: 1 there, 2 asked for")
    journal.begin("train", {"lr": 2}, second)

    assert StepFolders(out).place("train", {"lr": 1}, "run") == (first, "")
    assert StepFolders(out).place("other", {}, "run")[0] == out / "run-3"


def test_folders_of_others_are_not_written_into(tmp_path):
    (tmp_path / "steps.json").write_text("{}")
    (tmp_path / "run").mkdir()

    assert StepFolders(tmp_path).place("train", {}, "run")[0] == tmp_path / "run-2"


def test_one_process_works_in_a_folder_and_sees_what_others_noted(tmp_path):
    out = tmp_path / "out"
    journal, other = StepFolders(out), StepFolders(out)

    with other.locked():
        other.begin("train", {"lr": 1}, other.place("train", {"lr": 1}, "run")[0])
        with (
            pytest.raises(ValueError, match=r"another wsis run is working in .*out"),
            journal.locked(),
        ):
            pass

    with journal.locked():
        assert journal.place("train", {"lr": 2}, "run")[0] == out / "run-2"


def test_refuses_another_folder_and_a_damaged_list(tmp_path):
    (tmp_path / "letter.txt").touch()
    with pytest.raises(SettingsError, match="holds something else"):
        StepFolders(tmp_path)

    (tmp_path / "steps.json").write_text("[1")
    with pytest.raises(SettingsError, match=r"steps.json is damaged; delete it"):
        StepFolders(tmp_path)
