"""Tags out of what labelling programs export; boxes and outlines are not read."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from wsis._support.checks import few, warn
from wsis._support.files import parse_json
from wsis.data._listing import SUFFIXES, listing, results_in
from wsis.data._tables import PHOTO, TAG, header, read_rows
from wsis.data._tags import BACKGROUND, clean, seems_counted
from wsis.data.annotations import (
    PREDICTED,
    SCORES,
    AnnotationFile,
    has_score,
    is_score,
    read_xml,
)
from wsis.data.folder import HALVES, check_tags, few_in, table_in
from wsis.data.images import check_folder
from wsis.data.names import alike, from_end, plain

Row = tuple[str, Sequence[str]]
"""The name of a photo in a file, and the photo's tags."""


@dataclass(frozen=True, slots=True)
class _Told:
    """The content of a file: rows, and the classes that it lists."""

    rows: Sequence[Row]
    classes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedTags:
    """The tags in a folder of photos.

    Args:
        kind: in words, such as ``COCO`` or ``a subfolder per tag``.
        places: the files that told.
        rows: tags of each photo, by its path from the folder; None where ``FolderData``
            reads the folder as it is.
        unused: classes that the files list, and no photo has.
    """

    kind: str
    places: Sequence[Path] = ()
    rows: Mapping[str, Sequence[str]] | None = None
    unused: Sequence[str] = ()


def exported_tags(root: str | Path) -> ExportedTags:
    """Return the tags in a folder, whoever wrote them.

    Read are ``tags.csv`` and a subfolder per tag, also within ``train``, ``valid`` and
    ``test``; and the exports of labelling programs: COCO, PASCAL VOC, YOLO, Label
    Studio, and tables with a line an object or a column a class. The classes of boxes
    and outlines become tags. Warns of photos that are listed and not there.

    Raises:
        FileNotFoundError: if there is no such folder, or an export has no photo there.
        ValueError: if an export cannot be read, or several do not agree.
    """
    root = Path(root)
    check_folder(root)
    if table_in(root) is not None:
        return ExportedTags(kind="tags.csv")
    files = _Files(root)
    found = {kind: some for kind, read in _READERS.items() if (some := read(files))}
    if len(found) > 1:
        kinds = [f"{kind} ({few_in(root, some)})" for kind, some in found.items()]
        raise ValueError(
            f"expected tags of one kind in {root}, found "
            f"{' and '.join(kinds)}; move the others out of the folder"
        )
    rest = [x for x in files.of(".txt") if "labels" in x.relative_to(root).parts]
    rest = [*files.of(".json", ".xml"), *rest]
    if not (found or any(one.is_dir() for one in root.iterdir())):
        rest += files.of(".csv", ".jsonl", ".ods", ".tsv", ".xls", ".xlsx")
    known = {path for some in found.values() for path in some}
    if rest := [one for one in rest if one not in known and not _is_points(one)]:
        warn(
            f"{root}: files of a kind that is not known are not read ({len(rest)}): "
            f"{few_in(root, rest)}; tags come from COCO, PASCAL VOC, YOLO, Label "
            "Studio, folders, and tables with a column file and a column tags, or one "
            "of 0 and 1 for each class"
        )
    for kind, some in found.items():
        return _placed(kind, root, some)
    return _of_halves(root) or ExportedTags(kind="a subfolder per tag")


def _of_halves(root: Path) -> ExportedTags | None:
    """Return tags of a subfolder each within the halves of a data set, if it has any.

    A folder called train is a half, too, only where all others are, or several.
    """
    top = [one for one in listing(root, deep=False).folders if listing(one).photos]
    halves = sorted(one for one in top if plain(one.name) in HALVES)
    rows = {
        photo.relative_to(root).as_posix(): [clean(folder.name, str(folder))]
        for half in halves
        for folder in listing(half, deep=False).folders
        for photo in listing(folder).photos
    }
    if not rows or (len(halves) == 1 and len(top) > 1):
        return None
    check_tags(root, list(dict.fromkeys(tag for [tag] in rows.values())))
    within = [
        one.name for one in halves if any(x.startswith(f"{one.name}/") for x in rows)
    ]
    return ExportedTags(kind=f"a subfolder per tag in {', '.join(within)}", rows=rows)


class _Files:
    """The files of a folder at any depth: found and parsed once.

    Hidden files are left out, and wsis's own results, of which ``listing`` tells.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        there = sorted(
            one
            for one in root.rglob("*")
            if not any(x.startswith(".") for x in one.relative_to(root).parts)
            and one.is_file()
        )
        own = {one.parent for one in there if results_in(one.parent)} - {root}
        self._all = [one for one in there if own.isdisjoint(one.parents)]

    def of(self, *suffixes: str) -> list[Path]:
        """Return those of some suffixes."""
        return [one for one in self._all if one.suffix.lower() in suffixes]

    @cached_property
    def json(self) -> dict[Path, Any]:
        """The content of those that are JSON."""
        found = {}
        for path in self.of(".json"):
            try:
                found[path] = parse_json(path.read_bytes())
            except ValueError as error:
                raise ValueError(
                    f"expected annotations, {path} is not JSON: {error}; if it has "
                    "none, move it out of the folder"
                ) from None
        return found


def _placed(kind: str, root: Path, told: Mapping[Path, _Told]) -> ExportedTags:
    """Return the tags by photos of the folder, found again by the names in a file."""
    photos = listing(root).photos
    named: dict[str, list[Path]] = defaultdict(list)
    for photo in photos:
        # YOLO's and VOC's files are named like the photo, without its suffix.
        for name in {photo.name, photo.stem}:
            named[from_end(name)[0]].append(photo)
    tags: dict[Path, dict[str, None]] = {}
    of_files: dict[Path, dict[Path, set[str]]] = defaultdict(dict)
    missing: list[str] = []
    rows_of = [(file, *row) for file, one in told.items() for row in one.rows]
    for file, name, own in rows_of:
        place = _find(named, root, file, name)
        if place is None:
            missing.append(name)
        else:
            cleaned = [clean(one, str(file)) for one in own]
            tags.setdefault(place, {}).update(dict.fromkeys(cleaned))
            of_files[place].setdefault(file, set()).update(cleaned)
    if not rows_of:
        raise ValueError(
            f"expected photos in the {kind} files of {root} ({few_in(root, told)}), "
            "they list none"
        )
    if not tags:
        raise FileNotFoundError(
            f"expected photos of the {kind} files in {root} ({few_in(root, told)}), "
            f"none of {len(missing)} is there, or to be told from others of that name: "
            f"{few(missing)}"
        )
    if missing:
        warn(
            f"{root}: photos that the {kind} files list are not there, or not to be "
            f"told from others of that name ({len(missing)}): {few(missing)}"
        )
    differ = [
        f"{place.relative_to(root).as_posix()} ({few_in(root, files)})"
        for place, files in of_files.items()
        if len(set(map(frozenset, files.values()))) > 1
    ]
    if differ:
        warn(
            f"{root}: photos that several files give different tags have all of them "
            f"({len(differ)}): {few(differ)}; move wrong files out of the folder"
        )
    wrong = sorted(
        {
            one
            for some in tags.values()
            for one in some
            if re.search("[;,]", one) or seems_counted(one)
        }
    )
    if wrong:
        raise ValueError(
            f"expected classes without commas and semicolons in {root}, and without "
            f"a number behind a colon, got {few(wrong)}; rename them, or write tags "
            "with counts, such as dog:2, into tags.csv"
        )
    rows = {one.relative_to(root).as_posix(): list(some) for one, some in tags.items()}
    used = {plain(one) for some in rows.values() for one in some}
    listed = dict.fromkeys(one for file in told.values() for one in file.classes)
    unused = [one for one in listed if plain(one) not in used]
    return ExportedTags(kind=kind, places=list(told), rows=rows, unused=unused)


def _find(
    named: Mapping[str, Sequence[Path]], root: Path, file: Path, name: str
) -> Path | None:
    """Return the photo of a name that a file gives; None if it is not clear."""
    last, *folders = from_end(name)
    # Label Studio puts eight digits before the names of photos that were uploaded.
    some = named.get(last) or named.get(re.sub(r"^[0-9a-f]{8}-", "", last)) or ()
    near = file.parent.relative_to(root).parts

    def likeness(photo: Path) -> tuple[int, int]:
        there = photo.relative_to(root).parent
        return alike(folders, from_end(there.as_posix())), alike(near, there.parts)

    likes = [likeness(photo) for photo in some]
    best = [one for one, like in zip(some, likes, strict=True) if like == max(likes)]
    return best[0] if len(best) == 1 else None


# --- Kinds of files ----------------------------------------------------------------


def _coco(files: _Files) -> dict[Path, _Told]:
    keys = {"images", "annotations", "categories"}
    found = {}
    for path, content in files.json.items():
        if isinstance(content, dict) and keys <= content.keys():
            file = AnnotationFile.read(path)
            found[path] = _Told(list(file.tags().items()), list(file.categories))
    return found


def _label_studio(files: _Files) -> dict[Path, _Told]:
    found: dict[Path, _Told] = {}
    for path, tasks in files.json.items():
        if not (isinstance(tasks, list) and tasks and isinstance(tasks[0], dict)):
            continue
        if {"annotation_id", "annotator"} <= tasks[0].keys():
            raise ValueError(
                f"expected Label Studio's export as JSON, {path} is JSON-MIN; export "
                "the project again as JSON"
            )
        if "data" in tasks[0] and not tasks[0].keys().isdisjoint(_ANSWERS):
            given = [_task(path, i, one) for i, one in enumerate(tasks)]
            rows = [
                (name, [tag for some in by for tags in some.values() for tag in tags])
                for name, by in given
            ]
            _tell_answers(path, given)
            if not any(tags for _, tags in rows):
                raise ValueError(
                    f"expected tags in {path}, none of {len(rows)} tasks has an "
                    "annotation with labels, choices or a taxonomy; predictions are "
                    "none: accept them in Label Studio, or tag the photos"
                )
            found[path] = _Told(rows)
    return found


_ANSWERS = "annotations", "predictions"
"""Keys of Label Studio's tasks; those that were never opened there lack the first."""

_Answers = Mapping[tuple[str, bool], Sequence[str]]
"""Tags of an annotation by question, and whether it asks for no objects."""


def _task(path: Path, index: int, task: Any) -> tuple[str, list[_Answers]]:
    """Return the photo of a task of Label Studio, and what each annotation says."""
    given: list[_Answers] = []
    try:
        values = [one for one in task["data"].values() if isinstance(one, str)]
        for one in task.get("annotations", ()):
            if one.get("was_cancelled"):
                continue
            answers: dict[tuple[str, bool], list[str]] = defaultdict(list)
            for result in one["result"]:
                for key, some in result.get("value", {}).items():
                    whole = key in ("choices", "taxonomy")
                    if whole or key.endswith("labels"):
                        question = str(result.get("from_name", key)), whole
                        answers[question] += [
                            # A taxonomy gives the way to a tag.
                            str(tag[-1] if isinstance(tag, list) else tag)
                            for tag in ([some] if isinstance(some, str) else some)
                        ]
            given.append(answers)
    except (KeyError, TypeError, AttributeError, IndexError):
        raise ValueError(
            f"{path}: expected task {index} as Label Studio exports it: data, and "
            "annotations with result"
        ) from None
    names = [name for one in values if (name := _of_address(one))]
    if not names:
        raise ValueError(
            f"{path}: expected a photo in the data of task {index}, found none"
        )
    return names[0], given


def _tell_answers(path: Path, given: Sequence[tuple[str, Sequence[_Answers]]]) -> None:
    """Warn of photos that people tagged differently, and of several questions."""
    differ = [
        name
        for name, by in given
        if len({frozenset(x for some in one.values() for x in some) for one in by}) > 1
    ]
    if differ:
        warn(
            f"{path}: photos that people gave different tags have all of them "
            f"({len(differ)}): {few(differ)}; keep one annotation of each"
        )
    asked: dict[tuple[str, bool], dict[str, None]] = defaultdict(dict)
    for _, by in given:
        for one in by:
            for question, tags in one.items():
                asked[question].update(dict.fromkeys(tags))
    if len(asked) > 1 and any(whole for _, whole in asked):
        shown = [f"{name} ({few(list(tags))})" for (name, _), tags in asked.items()]
        warn(
            f"{path}: answers to several questions are tags ({len(shown)}): "
            f"{few(shown)}; remove those that tell no class from the project"
        )


def _of_address(text: str) -> str | None:
    """Return the path of a photo in an address or a path; None if it has none."""
    parts = urlsplit(text)
    path = parse_qs(parts.query).get("d", [unquote(parts.path)])[0]
    return path if Path(path).suffix.lower() in SUFFIXES else None


def _voc(files: _Files) -> dict[Path, _Told]:
    found: dict[Path, _Told] = {}
    there = {photo.name for photo in files.of(*SUFFIXES)}
    scored, other = [], []
    for path in files.of(".xml"):
        top = read_xml(path)
        if top.tag == "annotation":
            # LabelMe's files list what was deleted, too.
            objects = [
                one for one in top.findall("object") if one.findtext("deleted") != "1"
            ]
            tags = [(one.findtext("name") or "").strip() for one in objects]
            if any(has_score(one) for one in objects):
                scored.append(str(path))
            if not all(tags):
                raise ValueError(f"{path}: expected a name in every object")
            name = (top.findtext("filename") or "").strip()
            # Programs that rename photos leave the old name in the file.
            own = name if Path(name).stem == path.stem and name in there else path.stem
            found[path] = _Told([(own, tags)])
            if name in there and own != name:
                other.append(f"{path.name} ({name})")
    if other:
        warn(
            f"{files.root}: PASCAL VOC files that name another photo are of the photo "
            f"that is named like them ({len(other)}): {few(other)}"
        )
    if scored:
        raise ValueError(
            f"expected tags, objects in {len(scored)} of PASCAL VOC's files have "
            f"scores: {few(scored)}; {PREDICTED}"
        )
    return found


_NUMBERS = re.compile(
    r"\d+(\.0*)?(\s+-?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?){4,}\s*", re.IGNORECASE
)
"""A line of YOLO's: the number of a class, then a box or an outline."""

_LISTS = "classes.txt", "obj.names", "labels.txt", "_darknet.labels"


def _yolo(files: _Files) -> dict[Path, _Told]:
    lines: dict[Path, list[str]] = {}
    other: list[tuple[Path, str]] = []
    stems = {photo.with_suffix("") for photo in files.of(*SUFFIXES)}
    for path in files.of(".txt"):
        text = path.read_text(encoding="utf-8-sig", errors="replace").strip()
        some = text.splitlines()
        if wrong := [line for line in some if not _NUMBERS.fullmatch(line)]:
            other.append((path, wrong[0]))
        elif (
            some
            or "labels" in path.relative_to(files.root).parts
            or path.with_suffix("") in stems
        ):
            lines[path] = some
    if not any(lines.values()):
        return {}
    _check_labels(files, lines, other)
    lists = _yolo_lists(files)
    found: dict[Path, _Told] = {}
    used: dict[Path, dict[int, str]] = {}
    for path, some in lines.items():
        names, told = _nearest_list(lists, path, files.root)
        numbers = [int(float(line.split()[0])) for line in some]
        if strange := [one for one in numbers if not names.get(one)]:
            raise ValueError(
                f"{path}: expected classes of {told}, numbers from {min(names)} to "
                f"{max(names)}; got {strange[0]}"
            )
        used.setdefault(told, {}).update({one: names[one] for one in numbers})
        # labels/train/a.txt is of images/train/a.jpg, or lies beside its photo.
        parts = [
            "images" if x == "labels" else x for x in path.relative_to(files.root).parts
        ]
        photo = Path(*parts).with_suffix("").as_posix()
        # Of YOLO's own, an empty file is a photo that shows none of the classes.
        row = photo, [names[one] for one in numbers] or [BACKGROUND]
        found[path] = _Told([row], [one for one in names.values() if one])
    for told, names in used.items():
        first: dict[str, int] = {}
        for i, name in sorted(names.items()):
            if (known := first.setdefault(plain(name), i)) != i:
                raise ValueError(
                    f"{told}: expected a name for each class, {known} and {i} are both "
                    f"called {name!r}, and have objects; rename one"
                )
    return found


def _check_labels(
    files: _Files,
    lines: Mapping[Path, Sequence[str]],
    other: Sequence[tuple[Path, str]],
) -> None:
    """Refuse files of labels that are not read as YOLO's, and predictions.

    Raises:
        ValueError: if a file that is named like a photo has other lines, or a box has
            a score.
    """
    stems = {photo.stem for photo in files.of(*SUFFIXES)}
    folders = {path.parent for path in lines}
    wrong = [
        f"{path}: {line[:40]!r}"
        for path, line in other
        if path.stem in stems
        and (path.parent in folders or path.parent.name == "labels")
    ]
    if wrong:
        raise ValueError(
            "expected a number of a class and a box or an outline in every line of "
            f"YOLO's files, got something else in {len(wrong)} files: {few(wrong)}"
        )
    scored = [
        str(path)
        for path, some in lines.items()
        if any(_is_scored(line.split()) for line in some)
    ]
    if scored:
        raise ValueError(
            f"expected tags, boxes or outlines in {len(scored)} of YOLO's files have "
            f"scores: {few(scored)}; {PREDICTED}"
        )


def _is_scored(numbers: Sequence[str]) -> bool:
    """Tell whether a line of YOLO's ends with a score.

    Behind the class, boxes and outlines have an even count of numbers; so a score makes
    the line even. A box with keypoints may be so, too, if each tells whether it is seen
    by a third number: 0, 1 or 2.
    """
    keypoints, rest = divmod(len(numbers) - _BOX, 3)
    seen = {float(one) for one in numbers[_BOX + 2 :: 3]}
    posed = keypoints > 0 and not rest and seen <= {0, 1, 2}
    return len(numbers) % 2 == 0 and not posed


_BOX = 5
"""Numbers of a box in a line of YOLO's, with that of its class."""


_Names = tuple[dict[int, str], Path]
"""Names of YOLO's classes by number, and the file that tells them."""


def _yolo_lists(files: _Files) -> list[_Names]:
    """Return all lists of names; of one folder, YAML goes first."""
    found: list[_Names] = []
    for path in files.of(".yaml", ".yml"):
        try:
            # As they are written: YAML takes no, on and 007 for something else.
            content = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(
                f"{path}: expected YAML: {' '.join(str(error).split())}"
            ) from None
        content = content if isinstance(content, dict) else {}
        if str(content.get("predicted")).casefold() == "true":
            raise ValueError(
                f"expected tags, {path} says that its labels are predicted, and they "
                "may be wrong: wsis export --accepted writes what is right; or check "
                "all of them, and take the line predicted out"
            )
        names = content.get("names")
        if isinstance(names, list):
            names = dict(enumerate(names))
        if isinstance(names, dict) and all(str(i).isdecimal() for i in names):
            if odd := [one for one in names.values() if not isinstance(one, str)]:
                raise ValueError(f"{path}: expected text as each name, got {odd[0]}")
            named = {int(i): one.strip() for i, one in names.items()}
            count = content.get("nc")
            if count is not None and count not in {
                str(len(named)),
                str(max(named, default=-1) + 1),
            }:
                raise ValueError(
                    f"{path}: expected {count} names, as nc says, got {len(named)}; "
                    "is one missing? Then the numbers behind it have wrong names"
                )
            found.append((named, path))
    for path in (one for one in files.of(*_SUFFIXES) if one.name in _LISTS):
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path}: expected names of classes in UTF-8: {error}; save it so, or: "
                "iconv -f WINDOWS-1252 -t UTF-8"
            ) from None
        names = {i: one.strip() for i, one in enumerate(text.splitlines())}
        filled = [(i, one) for i, one in names.items() if one]
        if filled and all(re.match(rf"{i}[\s:,;.=]", one) for i, one in filled):
            raise ValueError(
                f"{path}: expected a name a line, got numbers before them, as in "
                f"{filled[0][1]!r}; take them out"
            )
        found.append((names, path))
    if not found:
        raise ValueError(
            f"expected the names of YOLO's classes in {files.root}: data.yaml with "
            "names, or classes.txt with a name a line"
        )
    return found


def _nearest_list(lists: Sequence[_Names], label: Path, root: Path) -> _Names:
    """Return the list of names in the folder nearest to a file of labels.

    Raises:
        ValueError: if several are as near and have other names.
    """
    near = label.parent.relative_to(root).parts

    def likeness(one: _Names) -> tuple[int, int]:
        there = one[1].parent.relative_to(root).parts
        same = [a == b for a, b in zip(near, there, strict=False)]
        shared = same.index(False) if False in same else len(same)
        return shared, shared - len(there)

    best = [one for one in lists if likeness(one) == max(map(likeness, lists))]
    if others := [path for names, path in best if names != best[0][0]]:
        raise ValueError(
            f"expected one list of names for {label}, {best[0][1]} and "
            f"{few([*map(str, others)])} differ; move the wrong ones out of the folder"
        )
    return best[0]


_SUFFIXES = tuple({Path(one).suffix for one in _LISTS})


def _tables(files: _Files) -> dict[Path, _Told]:
    found: dict[Path, _Told] = {}
    for path in files.of(".csv"):
        names = {one.casefold(): one for one in header(path)}
        photo = next((one for one in names if one in PHOTO), None)
        tag = next((one for one in names if one in TAG), None)
        if photo is None or _is_points(path):
            continue
        if tag is not None:
            others = [
                one
                for one in names
                if one != tag and re.sub(r"[ _-]?\d+$", "", one) in TAG
            ]
            if others:
                warn(
                    f"{path}: columns that may hold tags, too, are not read "
                    f"({len(others)}): {few(others)}; {tag} is. Write all tags of a "
                    "photo there, separated by ;"
                )
            scores = [one for one in names if one in SCORES]
            found[path] = _Told(list(_a_line_an_object(path, photo, tag, scores)))
        elif (told := _a_column_a_class(path, photo, names)) is not None:
            found[path] = told
    return found


def _a_line_an_object(
    path: Path, photo: str, tag: str, scores: Sequence[str]
) -> Iterator[Row]:
    rows = list(read_rows(path, (photo, tag, *scores), others=True))
    scored = [
        f"{where}: {row[one]}"
        for where, row in rows
        for one in scores
        if is_score(row[one])
    ]
    if scored:
        raise ValueError(
            f"expected tags in {path}, {len(scored)} lines have scores "
            f"({', '.join(scores)}): {few(scored)}; {PREDICTED}"
        )
    for where, row in rows:
        if row[tag][:1] in ("[", "{"):
            raise ValueError(
                f"{where}: expected names of classes as {tag}, got {row[tag][:40]}; "
                "export the project as JSON instead"
            )
        tags = [clean(one, where) for one in re.split("[;,]", row[tag])]
        yield row[photo], [one for one in tags if one]


def _a_column_a_class(path: Path, photo: str, names: Mapping[str, str]) -> _Told | None:
    """Return a table with 0 or 1 in the column of each class; None of another one."""
    classes = [one for one in names if one != photo and one not in _NUMBERED]
    rows = [row for _, row in read_rows(path, tuple(names))]
    cells = {row[one].casefold() for row in rows for one in classes}
    if not cells & _YES or cells - _YES - _NO:
        return None
    halves = {f"is {one}" for one in HALVES} | HALVES - {"train"}
    if odd := [names[one] for one in classes if plain(one) in halves]:
        warn(
            f"{path}: columns that are named like halves of a data set are classes "
            f"({len(odd)}): {few(odd)}; remove them if they are none"
        )
    told = [
        (row[photo], [names[one] for one in classes if row[one].casefold() in _YES])
        for row in rows
    ]
    return _Told(told, [names[one] for one in classes])


_NUMBERED = "", "id", "index", "unnamed: 0"
"""Columns that number a table's lines, as pandas writes them."""

_YES, _NO = {"1", "1.0", "true", "yes", "x"}, {"0", "0.0", "false", "no", ""}
"""Cells of a class's column: whether a photo has it."""


def _is_points(path: Path) -> bool:
    return path.suffix.lower() == ".csv" and {"x", "y"} <= {
        one.casefold() for one in header(path)
    }


_READERS: Mapping[str, Callable[[_Files], Mapping[Path, _Told]]] = {
    "COCO": _coco,
    "Label Studio": _label_studio,
    "PASCAL VOC": _voc,
    "YOLO": _yolo,
    "table": _tables,
}
