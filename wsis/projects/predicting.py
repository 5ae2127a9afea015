"""Finds instances on photos and videos, and keeps them as a folder."""

from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from wsis._support.checks import UsageError, few, many, reason
from wsis._support.files import PREDICTIONS, content, write_json
from wsis._support.folders import new_folder, refuse_home, unique, way
from wsis._support.places import torch_device
from wsis._support.processes import one_thread
from wsis._support.progress import Monitor, Silent, stage
from wsis.data import known_tags
from wsis.data.annotations import classes_in
from wsis.data.images import images_in, is_video, tell_unread
from wsis.data.videos import check_installed, write_frames
from wsis.evaluation import TRUSTED, coco_data_set, results_of
from wsis.geometry.drawing import SHOWN, legible
from wsis.geometry.predictions import Predictions
from wsis.report import REVIEW, review, unplaced, write_review
from wsis.runs import load
from wsis.runs.advice import of_masks
from wsis.runs.predicting import Task, jobs_for, predict_files


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """The instances on photos, as a folder holds them.

    Args:
        folder: has ``predictions.json``, a drawing of each photo, and ``review.csv``.
        predictions: of each photo that could be read.
        skipped: photos and videos that could not.
        unplaced: classes whose masks mostly cover the photo.
    """

    folder: Path
    predictions: Mapping[Path, Predictions]
    skipped: int
    unplaced: Sequence[str]

    @property
    def said(self) -> list[str]:
        """Return what was found, in words."""
        found = self.predictions.values()
        note = f" ({self.skipped} skipped)" if self.skipped else ""
        instances = many(sum(map(len, found)), "instance")
        return [
            f"{instances} on {many(len(found), 'photo')}{note}: {self.folder}",
            f"likely ones: {sum(map(legible, found))}; these are drawn, at most {SHOWN}"
            " a photo, with scores near its best; scores only rank instances, so start "
            f"with {REVIEW}",
            *map(str, of_masks(self.unplaced)),
        ]


def predict(
    run: str | Path,
    photos: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    every: float | None = None,
    min_score: float = 0.0,
    classes: str | None = None,
    trust_tags: bool = True,
    tags: str | Path | None = None,
    single: bool = False,
    jobs: int | None = 1,
    cluster: str | None = None,
    device: str = "auto",
    cache: str | Path | None = None,
    overwrite: bool = False,
    monitor: Monitor | None = None,
) -> Found:
    """Find instances on photos with a trained run, and keep them in a folder.

    Args:
        run: folder of the run.
        photos: files, videos among them, folders of photos, or patterns.
        out: new folder; whole or not there.
        every: seconds between the frames that are taken of a video; None takes 1, 0
            takes all.
        min_score: instances below are left out.
        classes: comma-separated names; None keeps all.
        trust_tags: leave out instances of classes that a tagged photo does not have.
        tags: of the photos, as ``wsis.data.known_tags`` takes them; None takes
            ``tags.csv`` and folders that are named as classes.
        single: photos have one object of each tag.
        jobs: processes; if several, each has a single thread. None takes as many as
            cores, memory and photos allow, always of a single thread, so that the last
            digits of scores do not depend on their number.
        cluster: as ``wsis.runs.predicting.predict_files`` takes it.
        device: where the run works.
        cache: folder for proposals and features; None takes the user's.
        overwrite: replace files of the same name in ``out``.
        monitor: is told of progress.

    Raises:
        UsageError: if arguments contradict each other.
        RunError: if there is no such run.
        FileNotFoundError: if there are no such photos.
        ValueError: if tags cannot be read, or ``out`` exists.
    """
    monitor, out, run = monitor or Silent(), Path(out), Path(run)
    photos = [photos] if isinstance(photos, str | Path) else photos
    if jobs is not None and jobs < 1:
        raise UsageError(f"expected 1 process or more, got jobs={jobs}")
    paths = images_in([Path(photo) for photo in photos])
    refuse_home(out, paths)
    if any(map(is_video, paths)):
        check_installed()
    elif every is not None:
        raise UsageError("expected a video for --every, got photos alone")
    if cluster is not None and jobs not in (None, 1):
        raise UsageError("expected --jobs or --cluster, got both")
    # Workers elsewhere have another current folder.
    cache = None if cache is None else Path(cache).absolute()
    loading = partial(load, run.absolute(), device=device, cache=cache)
    trained = load(run, device=device, cache=cache)
    wanted = None if classes is None else classes_in(classes, trained.classes)
    tagged: dict[Path, dict[str, int] | None] = dict.fromkeys(paths)
    if trust_tags:
        tagged = _known(paths, photos, trained.classes, tags, monitor, single=single)
    with new_folder(out, overwrite=overwrite) as folder:
        seconds = 1.0 if every is None else every
        pictures = _pictures(list(tagged), folder / "frames", seconds, monitor)
        broken = [path for path, own in pictures.items() if not own]
        tagged = {one: tagged[path] for path, own in pictures.items() for one in own}
        names = unique([path.stem for path in tagged])
        tasks = [
            Task(path=path, picture=folder / f"{name}.png", number=number, tags=some)
            for number, (name, (path, some)) in enumerate(
                zip(names, tagged.items(), strict=True), 1
            )
        ]
        keep = partial(Predictions.filter, min_score=min_score, classes=wanted)
        if (count := jobs) is None:
            count = jobs_for(torch_device(device), len(tasks))
        step, tick = stage(monitor, "predict", len(tasks), trained.parts + 1)
        found = {}
        with (
            one_thread() if jobs is None else nullcontext(),
            closing(
                predict_files(
                    *(trained, loading, tasks, keep, count),
                    tick=tick,
                    cluster=cluster,
                    say=monitor.say,
                )
            ) as outcomes,
        ):
            for task, outcome in zip(tasks, outcomes, strict=True):
                if isinstance(outcome, Predictions):
                    found[task.path] = outcome
                else:
                    monitor.say(f"skipped: {reason(outcome)}")
                step(task.path.name)
        # Frames lie where they will in the end.
        frames = [one for one in tagged if folder in one.parents]
        digests = [content(path) for path in found]
        places = {one: out / one.relative_to(folder) for one in frames}
        tagged = {places.get(one, one): some for one, some in tagged.items()}
        found = {places.get(one, one): some for one, some in found.items()}
        tell_unread([*tagged, *broken], list(found))
        card = trained.card
        coco = coco_data_set(
            _names(list(found)),
            list(found.values()),
            card.classes,
            card.category_ids,
            {
                "supervision": list(card.supervision),
                "versions": card.versions,
                "run": way(run, out),
                TRUSTED: sum(one is not None for one in tagged.values()),
            },
            [way(path, out) for path in found],
            digests,
        )
        write_json(folder / PREDICTIONS, coco)
        write_json(folder / "results.json", results_of(coco))
        chosen = [
            None if tags is None else frozenset(tags).intersection(wanted or tags)
            for tags in map(tagged.__getitem__, found)
        ]
        doubts = review(list(found.values()), chosen)
        write_review(folder / REVIEW, [str(path) for path in found], doubts)
    return Found(
        folder=out,
        predictions=found,
        skipped=len(tagged) + len(broken) - len(found),
        unplaced=unplaced(list(found.values()), chosen),
    )


def _known(
    paths: Sequence[Path],
    given: Sequence[str | Path],
    classes: Sequence[str],
    source: str | Path | None,
    monitor: Monitor,
    *,
    single: bool,
) -> dict[Path, dict[str, int] | None]:
    """Return photos, each once, with the counts of their tags; say where from."""
    known = known_tags(paths, given, classes, source, single=single)
    tagged = {
        path: some if some is None else dict.fromkeys(some, 0) | counts
        for path, some, counts in zip(paths, known.of, known.counts, strict=True)
        if path not in known.again
    }
    if known.again:
        copies = [f"{one} is {first}" for one, first in known.again.items()]
        monitor.say(
            "copies of a photo in the folders of tags are left out "
            f"({len(copies)}): {few(copies)}"
        )
    if count := sum(one is not None for one in tagged.values()):
        monitor.say(
            f"tags: known for {count} of {len(tagged)} photos, from "
            f"{few(list(known.places))}; these get masks of their own tags only "
            "(--no-trust-tags allows every class)"
        )
    else:
        monitor.say("tags: none known; every class is allowed on every photo")
    if none := sum(one == {} for one in tagged.values()):
        monitor.say(
            f"tags: {many(none, 'photo')} of background or other classes, which get no "
            "instance"
        )
    if counted := sum(any(one.values()) for one in tagged.values() if one):
        monitor.say(f"counts: on {counted} photos; further instances are left out")
    return tagged


def _pictures(
    paths: Sequence[Path], folder: Path, every: float, monitor: Monitor
) -> dict[Path, list[Path]]:
    """Return the pictures of each path: itself, or the frames of a video, written.

    A video that cannot be read is reported and has none.
    """
    names = iter(unique([path.stem for path in paths if is_video(path)]))
    found = {}
    for path in paths:
        own = [path]
        if is_video(path):
            taken = f"a frame every {every:g} s" if every else "all frames"
            monitor.say(f"video: {path}, {taken}")
            try:
                own = write_frames(path, folder, next(names), every)
            except ValueError as error:
                own = []
                monitor.say(f"skipped: {reason(error)}")
        found[path] = own
    return found


def _names(paths: list[Path]) -> list[str]:
    """Return the photos' names, or their paths where two have the same name."""
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]
