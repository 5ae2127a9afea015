"""The tags of photos to predict, wherever people keep them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

from wsis._support.checks import few, warn
from wsis.data._listing import listing
from wsis.data._same import first_alike
from wsis.data._tags import is_background, tallied
from wsis.data.annotations import AnnotationFile
from wsis.data.folder import read_tags, table_in
from wsis.data.images import readings
from wsis.data.names import from_end, plain


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTags:
    """The classes on photos, as their tags tell.

    Args:
        of: of each photo, in order; None where no tag is known.
        counts: of each photo, how many objects of a class it has, where that is told.
        places: the files and folders that told.
        again: photos that folders of tags hold several times, all but the first, each
            with the first.
    """

    of: Sequence[frozenset[str] | None]
    counts: Sequence[dict[str, int]]
    places: Sequence[str]
    again: Mapping[Path, Path]


def known_tags(
    photos: Sequence[str | Path],
    given: Iterable[str | Path],
    classes: Sequence[str],
    source: str | Path | None = None,
    *,
    single: bool = False,
) -> KnownTags:
    """Return the tags of photos as classes of a model; other tags are none of them.

    Without ``source``, a photo has the tags that the nearest ``tags.csv``, in its
    folder or one above, lists for it; else that of the outermost folder, from those
    given on, that has the name of a class. A photo that occurs several times, as
    ``FolderData`` sees it, has all its tags. One that is listed without tags counts as
    not tagged; one of background has no class. ``dog:2`` counts dogs, unless the model
    has a class of that name.

    Args:
        photos: files, videos among them.
        given: the files and folders that they were found by.
        classes: names of the model's classes.
        source: a CSV, a json in COCO's format, or a tagged folder.
        single: whether a photo has one object of each of its tags.

    Raises:
        FileNotFoundError: if there is no ``source``.
        ValueError: if tags cannot be read, contradict each other in a count, or
            ``single``, or ``source`` has none of the photos'.
    """
    paths = [Path(photo) for photo in photos]
    bases = list(dict.fromkeys(_base(Path(one).absolute()) for one in given))
    found = _Found(classes)
    if source is None:
        found.around(paths, bases)
    else:
        found.stated(Path(source), paths, bases)
    tags = found.merged(paths)
    if source is not None and not any(tags):
        raise ValueError(
            f"expected tags of the photos in {source}, it has none of {len(photos)}, "
            f"or names that several have: {few([str(photo) for photo in photos])}"
        )
    known = {plain(name): name for name in classes}
    unknown = (one for some in tags for one in some if plain(one) not in known)
    others = Counter(one for one in unknown if not is_background(one))
    if others:
        warn(
            f"tags that are no class of the run allow no instance ({len(others)}): "
            f"{few([f'{tag} (on {count} photos)' for tag, count in others.items()])}; "
            f"its classes are {few(classes)}"
        )
    of = [
        frozenset(known[plain(x)] for x in some if plain(x) in known) if some else None
        for some in tags
    ]
    counts = [
        {
            known[plain(x)]: n or 1
            for x, n in some.items()
            if (n or single) and plain(x) in known
        }
        for some in tags
    ]
    if single:
        several = [
            f"{photo} ({few([f'{name} {n}' for name, n in count.items() if n > 1])})"
            for photo, count in zip(photos, counts, strict=True)
            if max(count.values(), default=0) > 1
        ]
        if several:
            raise ValueError(
                "single says that photos have one object of each tag, tags count more "
                f"on {len(several)}: {few(several)}; leave one of them out"
            )
    return KnownTags(
        of=of,
        counts=counts,
        places=sorted(found.places) if any(tags) else [],
        again=found.again,
    )


class _Found:
    """Tags by photo, while they are collected."""

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = {plain(name) for name in classes}
        self.tags: dict[str, dict[str, int]] = {}
        self.files: dict[str, Path] = {}
        self.places: set[str] = set()
        self.sorted: set[str] = set()
        self.again: dict[Path, Path] = {}

    def add(self, photo: Path, tags: Mapping[str, int], place: Path) -> None:
        """Add tags of a photo; one that is listed without any is known as well."""
        key = _key(photo)
        both = [*self.tags.get(key, {}).items(), *tags.items()]
        self.tags[key] = tallied(both, f"{place}, {photo.name}")
        self.files.setdefault(key, photo)
        self.places.add(str(place))

    def around(self, photos: Sequence[Path], bases: Sequence[Path]) -> None:
        """Look at tables in and above the photos' folders, then at folders' names."""
        tables: dict[Path, dict[str, dict[str, int]]] = {}
        rest = []
        for photo in photos:
            key = _key(photo)
            for folder in photo.absolute().parents:
                if folder not in tables:
                    own = not {folder, *folder.parents}.isdisjoint(bases)
                    tables[folder] = self._table(folder, own=own)
                if (row := tables[folder].get(key)) is not None:
                    self.add(photo, row, folder / "tags.csv")
                    break
            else:
                rest.append(photo)
        if rest:
            keys = {_key(photo) for photo in photos}
            for folder, rows in tables.items():
                gone = [x for x in rows if x not in keys and not Path(x).is_file()]
                _tell_lost(folder / "tags.csv", [Path(x).name for x in gone], rest)
        listed = set(self.tags)
        roots = [self._root(photo.absolute(), bases) for photo in rest]
        for root in dict.fromkeys(root for root in roots if root is not None):
            self.folders(root, listed)

    def _root(self, photo: Path, bases: Sequence[Path]) -> Path | None:
        """Return the folder around the outermost one that is named as a class."""
        for base in bases:
            if base in photo.parents:
                # From the base itself, whose relative path is ".", down to the photo.
                for one in reversed(photo.relative_to(base).parents):
                    if self._is_class((base / one).name):
                        return (base / one).parent
        return None

    def folders(self, root: Path, listed: Iterable[str] = ()) -> None:
        """Add the photos of all folders named as classes, but those in a table.

        Beside such folders, one called background is of photos that show none.
        """
        for folder in root.iterdir():
            known = self._is_class(folder.name) or is_background(folder.name)
            if folder.is_dir() and known:
                inside = listing(folder)
                for photo in (*inside.photos, *inside.left_out["video"]):
                    if _key(photo) not in listed:
                        self.add(photo, {folder.name: 0}, root)
                        self.sorted.add(_key(photo))

    def stated(
        self, source: Path, photos: Sequence[Path], bases: Sequence[Path]
    ) -> None:
        """Add the photos of a table, an annotation file or a tagged folder."""
        if not source.exists():
            raise FileNotFoundError(f"expected tags, there is no {source}")
        table = table_in(source) if source.is_dir() else source
        if table is None:
            self.folders(source)
            return
        if table.suffix.lower() == ".json":
            told = AnnotationFile.read(table).tags()
            rows = {name: dict.fromkeys(tags, 0) for name, tags in told.items()}
        else:
            rows = read_tags(table, self._is_class)
        keys = {_key(photo): photo for photo in photos}
        names = Counter(from_end(photo.name)[0] for photo in photos)
        alone = {
            name: one for one in photos if names[name := from_end(one.name)[0]] == 1
        }
        again = Counter(from_end(name)[0] for name in rows)
        lost = []
        for name, tags in rows.items():
            places = [_inside(base, name) for base in (table.parent, *bases)]
            there = next((x for one in places if (x := _file(one, keys))), None)
            if there is None and again[from_end(name)[0]] == 1:
                there = alone.get(from_end(name)[0])
            if there is not None:
                self.add(there, tags, source)
            else:
                lost.append(name)
        without = [one for key, one in keys.items() if key not in self.tags]
        if self.tags:
            _tell_lost(source, lost, without)

    def merged(self, photos: Sequence[Path]) -> list[dict[str, int]]:
        """Return the tags of photos, with those of the same photo elsewhere."""
        keys = {_key(photo) for photo in photos}
        others = [path for key, path in self.files.items() if key not in keys]
        every = [one for one in (*photos, *others) if one.is_file()]
        if not any(self.tags.values()):
            return [{} for _ in photos]
        reads = readings(Path(), [(str(one.absolute()), None) for one in every], True)
        first = dict(zip(every, first_alike(reads), strict=True))
        tags: dict[int, dict[str, int]] = defaultdict(dict)
        for one, place in first.items():
            both = [*tags[place].items(), *self.tags.get(_key(one), {}).items()]
            tags[place] = tallied(both, str(one))
        for one in photos:
            alike = every[first[one]] if one in first else one
            if alike != one and {_key(alike), _key(one)} <= self.sorted:
                self.again[one] = alike
        return [tags[first[one]] if one in first else {} for one in photos]

    def _table(self, folder: Path, *, own: bool) -> dict[str, dict[str, int]]:
        """Return the rows of a folder's ``tags.csv`` by photo; none if there is none.

        One that cannot be read is refused among the photos; above them it may be of
        something else, and is left out with a warning.
        """
        try:
            path = table_in(folder)
            rows = {} if path is None else read_tags(path, self._is_class)
        except (ValueError, OSError) as error:
            if own:
                raise
            if isinstance(error, ValueError):
                warn(f"the tags in {folder} are not used: {error}")
            return {}
        return {_key(_inside(folder, name)): tags for name, tags in rows.items()}

    def _is_class(self, name: str) -> bool:
        return plain(name) in self.classes


def _base(given: Path) -> Path:
    """Return a folder that is given, or that of a file or around a pattern."""
    return next(one for one in (given, *given.parents) if one.is_dir())


def _tell_lost(source: Path, names: Sequence[str], without: Sequence[Path]) -> None:
    """Warn of tags that belong to no photo, where photos lack tags."""
    if names and without:
        warn(
            f"{source}: tags of photos that are not there, or not to be told from "
            f"others of that name ({len(names)}): {few(names)}; photos that have no "
            f"tags there ({len(without)}): {few([str(one) for one in without])}"
        )


def _file(path: Path, keys: Mapping[str, Path]) -> Path | None:
    """Return a file that is there, or a photo of that name in another Unicode form."""
    return path if path.is_file() else keys.get(_key(path))


def _key(path: Path) -> str:
    """Return the real path of a file in one Unicode form."""
    return normalize("NFC", str(path.resolve()))


def _inside(folder: Path, name: str) -> Path:
    """Return where a table of a folder sees a photo; it may be of Windows."""
    path = folder / name
    return path if path.exists() else folder / name.replace("\\", "/")
