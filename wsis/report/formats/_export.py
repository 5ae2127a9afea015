"""Writes the predictions of a file in the format of another program, by its name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image as Pillow

from wsis._support.checks import many, warn
from wsis._support.folders import new_folder
from wsis.data.annotations import classes_in
from wsis.report._decisions import decided
from wsis.report.formats._coco import coco, cvat
from wsis.report.formats._labelstudio import labelstudio
from wsis.report.formats._photos import Photo, Style, photos_of, write_names
from wsis.report.formats._voc import check_voc, voc
from wsis.report.formats._yolo import yolo

Write = Callable[[Sequence[Photo], Sequence[str], Style, Path], None]
"""Takes photos, the names of classes 1…C, the style and the folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A way to write predictions.

    Args:
        write: does it.
        exclusive: a pixel has room for one instance only.
        check: refuses names of classes 1…C that it cannot write.
    """

    write: Write
    exclusive: bool = False
    check: Callable[[Sequence[str]], None] = lambda classes: None


def _overlays(
    photos: Sequence[Photo], classes: Sequence[str], style: Style, folder: Path
) -> None:
    """Write a picture of each photo with its likeliest instances."""
    del classes, style
    for photo in photos:
        picture = Pillow.fromarray(photo.found.draw())
        picture.save(folder / f"{photo.stem}.png")


FORMATS: Mapping[str, Format] = {
    "coco": Format(write=coco),
    "yolo": Format(write=yolo),
    "voc": Format(write=voc, exclusive=True, check=check_voc),
    "labelstudio": Format(write=labelstudio),
    "cvat": Format(write=cvat),
    "overlays": Format(write=_overlays),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """Counts what an export holds.

    Args:
        photos: all of the file, those without instances included.
        instances: written.
        empty: photos on which no instance is left.
        hidden: instances that lost all their pixels to better ones.
        renamed: photos that have another name than before.
        undecided: photos left out, as no instance on them is accepted.
    """

    photos: int
    instances: int
    empty: int
    hidden: int
    renamed: int
    undecided: int = 0

    @property
    def said(self) -> str:
        """Return how much was written, in words."""
        return f"{many(self.instances, 'instance')} on {many(self.photos, 'photo')}"

    def notes(self, out: Path) -> list[str]:
        """Return all that is worth telling of an export in a folder, in words."""
        found = [f"{self.said}: {out}"]
        if self.undecided:
            found.append(f"photos left out, nothing accepted on them: {self.undecided}")
        if self.empty:
            found.append(f"photos without an instance: {self.empty}")
        if self.hidden:
            found.append(f"instances left out, behind better ones: {self.hidden}")
        if self.renamed:
            names = out / "photos.csv"
            found.append(f"photos with other names: {self.renamed}, {names}")
        return found


def export(
    source: str | Path,
    out: str | Path,
    kind: str,
    *,
    images: str | Path | None = None,
    min_score: float = 0.0,
    classes: str | None = None,
    exclusive: bool = False,
    accepted: bool = False,
    style: Style | None = None,
) -> Exported:
    """Write predictions, and copies of their photos, into a new folder.

    Every photo is written, also where no instance is left on it. Names of photos are
    made safe, and no two are alike; ``photos.csv`` lists the original ones.

    Args:
        source: ``predictions.json`` of ``wsis predict``, or its folder.
        out: the new folder; whole or not there.
        kind: the format, of ``FORMATS``.
        images: folder of the photos; None takes the places that the file tells.
        min_score: instances below are left out.
        classes: comma-separated names; None keeps all. The others stay listed.
        exclusive: leave a pixel to its best instance alone.
        accepted: only instances that are accepted in ``decisions.jsonl`` beside the
            predictions, and photos that have one, without scores, as they are no mere
            predictions; warns of points for missed objects, which have no mask.
        style: of the masks.

    Raises:
        FileExistsError: if ``out`` exists.
        FileNotFoundError: if the predictions or photos are missing.
        LookupError: if there is no such format or class.
        ValueError: if the file is damaged, or has more than the format takes.
    """
    if kind not in FORMATS:
        raise LookupError(f"expected a format among {', '.join(FORMATS)}, got {kind!r}")
    source, out = Path(source), Path(out)
    if out.exists():
        raise FileExistsError(f"expected a new folder, {out} exists")
    form = FORMATS[kind]
    photos, names = photos_of(source, None if images is None else Path(images))
    form.check(names)
    undecided = 0
    if accepted:
        decisions = decided(source if source.is_dir() else source.parent, photos)
        undecided, photos = len(photos), decisions.accepted()
        undecided -= len(photos)
    wanted = None if classes is None else classes_in(classes, names)
    chosen: list[Photo] = []
    hidden = 0
    best = max((p.found.score.max().item() for p in photos if len(p.found)), default=0)
    for photo in photos:
        found = photo.found.filter(min_score=min_score, classes=wanted)
        if exclusive or form.exclusive:
            before, found = len(found), found.exclusive()
            hidden += before - len(found)
        chosen.append(replace(photo, found=replace(found, load=photo.read)))
    count = sum(len(photo.found) for photo in chosen)
    if accepted and not photos:
        raise ValueError(
            f"no instance of {source} is accepted; accept some with: wsis show {source}"
        )
    if not count:
        warn(
            f"no instance of {source} is left to export; the best score in the file is "
            f"{best:.3g}"
        )
    style = style or Style()
    with new_folder(out) as folder:
        form.write(chosen, names, replace(style, scores=not accepted), folder)
        write_names(folder, chosen)
    return Exported(
        photos=len(chosen),
        instances=count,
        empty=sum(not len(photo.found) for photo in chosen),
        hidden=hidden,
        renamed=sum(Path(photo.name).stem != photo.stem for photo in chosen),
        undecided=undecided,
    )
