"""The road of a project, step by step: train, refine, predict, export, report."""

import re
import shlex
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from wsis._support.checks import few
from wsis._support.files import PREDICTIONS, content, digest, parse_json
from wsis._support.places import torch_device
from wsis._support.progress import Monitor, Silent
from wsis.contracts import FromFile, Tagged
from wsis.data.images import images_in
from wsis.plugins import nearest
from wsis.projects._folders import StepFolders
from wsis.projects.predicting import predict
from wsis.projects.project import Project
from wsis.report import FORMATS, export, write_found
from wsis.report.files import PAGE
from wsis.runs.predicting import jobs_for
from wsis.runs.refine import refine
from wsis.runs.run import load_run, train
from wsis.runs.settings import SettingsError
from wsis.training.trackers import trackers


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of the road.

    Args:
        name: ``train``, ``refine``, ``predict``, ``export FORMAT`` or ``report``.
        result: the folder, or the page, that it makes.
        state: of the result: there, begun or missing.
        changes: what differs from the last result, if there is one of other inputs.
        command: that does the same, as it is typed.
        inputs: what the result depends on.
    """

    name: str
    result: Path
    state: Literal["reused", "resumes", "to do"]
    changes: str
    command: str
    inputs: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps of a project that are done, and those that are left to do.

    Args:
        project: says what to do.
        tagged: its photos.
        steps: in order.
    """

    project: Project
    tagged: Tagged
    steps: Sequence[Step]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The results of a project.

    Args:
        model: folder of the run, or of the detector that is refined from it.
        found: folder of the predictions, as ``wsis.projects.predict`` writes them.
        exports: a folder for each format.
        report: the page.
    """

    model: Path
    found: Path
    exports: Mapping[str, Path]
    report: Path


def plan(
    project: Project | str | Path,
    *,
    device: str = "auto",
    cache: str | Path | None = None,
    jobs: int | None = None,
    tracker: Sequence[str] = (),
) -> Plan:
    """Return what ``run`` would do, with the same arguments; nothing is done.

    Raises:
        SettingsError: as ``run``.
    """
    road = _Road.of(project, device, cache, jobs, tracker, Silent())
    steps = tuple(step for step, _ in road.steps())
    return Plan(project=road.project, tagged=road.tagged, steps=steps)


def run(
    project: Project | str | Path,
    *,
    device: str = "auto",
    cache: str | Path | None = None,
    jobs: int | None = None,
    tracker: Sequence[str] = (),
    monitor: Monitor | None = None,
) -> Made:
    """Go from tagged photos to masks: train, predict all photos, export and report.

    Steps that are done are reused; those whose settings or photos have changed are made
    anew in another folder. Stopped at any moment, the same call goes on.

    Args:
        project: the file ``wsis.toml``, or what it says.
        device: where models run; ``auto`` takes the fastest.
        cache: folder for proposals, features and cues; None takes the user's.
        jobs: processes that predict, of one thread each; None takes as many as cores,
            memory and photos allow. Masks and scores do not depend on it.
        tracker: draws curves, ``tensorboard:FOLDER`` or ``mlflow:URI``; a training
            has a folder of its own in FOLDER.
        monitor: is told of progress.

    Raises:
        FileNotFoundError: if there is no such file.
        SettingsError: if the file is wrong, or its folder of results is none.
        ValueError: if another process is working in that folder, or as the steps raise
            it.
    """
    monitor = monitor or Silent()
    road = _Road.of(project, device, cache, jobs, tracker, monitor)
    done: dict[str, Path] = {}
    with road.folders.locked(), closing(road.steps()) as steps:
        for step, do in steps:
            done[step.name] = step.result
            if step.state == "reused":
                monitor.say(f"{step.name}: reused, {step.result}")
                continue
            if step.changes:
                monitor.say(f"{step.name}: made anew, as {step.changes}")
            if step.inputs:
                road.folders.begin(step.name, step.inputs, step.result)
            state = "begins" if step.state == "to do" else step.state
            monitor.say(f"{step.name}: {state}")
            monitor.say(f"  {step.command}")
            try:
                do()
            except Exception:
                monitor.say(
                    f"{step.name} failed; finished steps are kept: mend what the next "
                    "line says, then run the project again"
                )
                raise
    return Made(
        model=done.get("refine", done["train"]),
        found=done["predict"],
        exports={form: done[f"export {form}"] for form in road.project.export},
        report=done["report"],
    )


def unread(tagged: Tagged, monitor: Monitor | None = None) -> list[str]:
    """Return what to do about photos that cannot be read; nothing if all can."""
    broken = []
    step = (monitor or Silent()).start("read photos", len(tagged.images))
    for image in tagged.images:
        try:
            image.load()
        except (ValueError, OSError):
            broken.append(image.name)
        step(image.name)
    if not broken:
        return []
    return [
        f"photos that cannot be read ({len(broken)}): {few(broken)}; replace them or "
        "take them out of the folder, as wsis run stops at them"
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Road:
    """Gives the steps of a project, each with what does it."""

    project: Project
    tagged: Tagged
    folders: StepFolders
    place: dict[str, Any]
    jobs: int | None
    tracker: Sequence[str]
    monitor: Monitor

    @classmethod
    def of(
        cls,
        project: Project | str | Path,
        device: str,
        cache: str | Path | None,
        jobs: int | None,
        tracker: Sequence[str],
        monitor: Monitor,
    ) -> "_Road":
        """Read and check all that can be before any work."""
        trackers(tracker)
        where = ""
        if not isinstance(project, Project):
            where = f"{project}: "
            project = Project.read(Path(project))
        folders = StepFolders(project.out)
        tagged = project.source().train()
        try:
            _check_formats(project, tagged.classes)
        except SettingsError as error:
            raise SettingsError(f"{where}{error}") from None
        return cls(
            project=project,
            tagged=tagged,
            folders=folders,
            place={"device": device, "cache": cache},
            jobs=jobs,
            tracker=tracker,
            monitor=monitor,
        )

    def steps(self) -> Generator[tuple[Step, Callable[[], object]]]:
        """Yield the steps, each with what does it.

        Each looks at the results of those before it, so they are done, if at all,
        before the next one is asked for.
        """
        project = self.project
        _, settings = project.chosen
        plain = settings.model_dump(mode="json")
        data = ["--data", project.data.label, "--root", str(project.photos)]
        sets = [word for one in project.overrides for word in ("--set", one)]
        if project.miner is not None:
            sets += ["--miner", project.miner]
        step = self._step(
            "train",
            "run",
            {
                "miner": project.chosen[0].label,
                "settings": plain,
                "files": digest(*_files(plain)),
                **_told(project, self.tagged),
            },
            [*data, "--recipe", project.recipe, *sets, *self._placed(), "--resume"],
            done=_is_trained,
        )
        yield step, partial(self._train, step.result)
        model = step.result
        if project.refine:
            # Neither true nor 1, which are equal.
            passes = project.passes or "enough passes"
            step = self._step(
                "refine",
                "refined",
                {"run": _made(model), "refine": passes},
                [
                    *("--run", str(model), *project.passes),
                    *(*data, *self._placed(), "--resume"),
                ],
                done=_is_trained,
            )
            yield step, partial(self._refine, model, step.result)
            model = step.result
        single = ["--single"] if project.single else []
        device = torch_device(self.place["device"])
        photos = images_in([project.photos])
        count = self.jobs or jobs_for(device, len(photos))
        jobs = [] if count == 1 else ["--jobs", str(count)]
        step = self._step(
            "predict",
            "found",
            {
                "run": _made(model),
                "photos": _named(photos, project.photos),
                **({"single": True} if single else {}),
            },
            [
                *(str(project.photos), "--run", str(model)),
                *("--tags", str(self._tags), *single, *jobs, *self._placed()),
            ],
            done=_is_found,
        )
        yield step, partial(self._predict, model, step.result)
        found, least = step.result, f"{project.min_score:g}"
        for form in project.export:
            step = self._step(
                f"export {form}",
                form,
                {"format": form, "found": _made(found), "min_score": least},
                [str(found), "--format", form, "--min-score", least],
                done=Path.is_dir,
            )
            yield step, partial(self._export, found, step.result, form)
        page = found / PAGE
        step = Step(
            name="report",
            result=page,
            state="reused" if page.is_file() else "to do",
            changes="",
            command=shlex.join(["wsis", "report", str(found)]),
            inputs={},
        )
        yield step, lambda: self._say(f"report: {write_found(found)}")

    def _step(
        self,
        name: str,
        base: str,
        inputs: Mapping[str, Any],
        words: Sequence[str],
        done: Callable[[Path], bool],
    ) -> Step:
        """Return a step whose result has the folder of the same inputs."""
        folder, changes = self.folders.place(name, inputs, base)
        begun = folder.exists() and "--resume" in words
        if "--resume" in words:
            words = [*words, *(w for x in self._curves(folder) for w in ("--track", x))]
        return Step(
            name=name,
            result=folder,
            state="reused" if done(folder) else "resumes" if begun else "to do",
            changes=_short(changes),
            command=shlex.join(["wsis", name.split()[0], *words, "--out", str(folder)]),
            inputs=inputs,
        )

    def _train(self, folder: Path) -> None:
        project, monitor = self.project, self.monitor
        trained = train(
            project.source(),
            project.chosen[0],
            recipe=project.recipe,
            settings=project.overrides,
            folder=folder,
            resume=True,
            monitor=monitor,
            tracker=self._curves(folder),
            **self.place,
        )
        monitor.say(f"run: {folder} ({trained.card.said})")
        for reason, count in trained.card.skipped.items():
            monitor.say(f"skipped: {count} images ({reason})")

    def _refine(self, run: Path, folder: Path) -> None:
        refined = refine(
            load_run(run, **self.place),
            self.tagged,
            self.project.refinement,
            folder=folder,
            resume=True,
            monitor=self.monitor,
            covered=lambda coverage: self.monitor.say(coverage.said),
            tracker=self._curves(folder),
        )
        self.monitor.say(f"refined: {folder} ({refined.card.said})")
        self._say(*refined.card.agreement.splitlines())

    def _predict(self, model: Path, folder: Path) -> None:
        found = predict(
            model,
            [self.project.photos],
            folder,
            tags=self._tags,
            single=self.project.single,
            jobs=self.jobs,
            monitor=self.monitor,
            **self.place,
        )
        self._say(*found.said)

    def _export(self, found: Path, folder: Path, form: str) -> None:
        done = export(found, folder, form, min_score=self.project.min_score)
        self._say(*done.notes(folder))

    def _say(self, *lines: str) -> None:
        for line in lines:
            self.monitor.say(line)

    @property
    def _tags(self) -> Path:
        return self.project.tags or self.project.photos

    def _curves(self, folder: Path) -> list[str]:
        """Return what draws the curves of a training, in a folder of its own."""
        return [
            f"{one}/{folder.name}" if one.startswith("tensorboard:") else one
            for one in self.tracker
        ]

    def _placed(self) -> list[str]:
        """Return device and cache as they are typed."""
        device, cache = self.place["device"], self.place["cache"]
        return [
            *([] if device == "auto" else ["--device", device]),
            *([] if cache is None else ["--cache", str(cache)]),
        ]


def _check_formats(project: Project, classes: Sequence[str]) -> None:
    """Refuse formats that nothing writes, and classes that a format cannot write."""
    for form in project.export:
        if form not in FORMATS:
            raise SettingsError(
                f"no format of export is called {form!r}"
                f"{nearest(form, list(FORMATS))}; they are: {', '.join(FORMATS)}"
            )
        try:
            FORMATS[form].check(classes)
        except ValueError as error:
            raise SettingsError(f"setting export: {error}") from None


def _told(project: Project, tagged: Tagged) -> dict[str, str]:
    """Return names of all that training sees: photos, tags and points."""
    loads = [one.load for one in tagged.images]
    photos = [content(one.path) if isinstance(one, FromFile) else None for one in loads]
    points = project.points
    return {
        "photos": f"{len(photos)} photos, {digest(*photos)}",
        "tags": digest(
            list(tagged.classes),
            [x.tags.tolist() for x in tagged.images],
            [None if x.counts is None else x.counts.tolist() for x in tagged.images],
            *([[x.background for x in tagged.images]] if tagged.background else []),
        ),
        **({} if points is None else {"points": content(points)}),
    }


def _files(settings: Any) -> list[str]:
    """Return digests of the files that settings name, such as weights, in order."""
    match settings:
        case Mapping():
            return _files(list(settings.values()))
        case list():
            return [digested for one in settings for digested in _files(one)]
        case str() if settings and Path(settings).is_file():
            return [content(Path(settings))]
    return []


def _named(photos: Sequence[Path], root: Path) -> str:
    """Return a name of all that predictions are made of, besides the model.

    Tags need none, as other tags make another model.
    """
    given = ((x.relative_to(root).as_posix(), content(x)) for x in photos)
    return f"{len(photos)} photos, {digest(*given)}"


_PLAIN = (
    (
        r"photos: '(\d+) photos, \w+' there, '(\d+) photos, \w+' asked for",
        r"photos have changed (\1 before, \2 now)",
    ),
    (r"(tags|points): '\w+' there, '\w+' asked for", r"\1 have changed"),
    (
        r"(?:run|found): \['(\S+)', '\w+'\] there, \['(\S+)', '\w+'\] asked for",
        r"it was made from \1, and is now from \2",
    ),
)
"""What tells inputs apart, as digests, and how to say it."""


def _short(changes: str) -> str:
    """Return changes without digests, and not too long."""
    for pattern, words in _PLAIN:
        changes = re.sub(pattern, words, changes)
    return changes if len(changes) < 400 else f"{changes[:400]} …"


def _is_trained(folder: Path) -> bool:
    """Tell whether a model is trained to its end."""
    return (folder / "model.safetensors").is_file() and bool(_state(folder))


def _is_found(folder: Path) -> bool:
    return (folder / PREDICTIONS).is_file()


def _made(folder: Path) -> list[str]:
    """Return what tells a result from others; of one that is still to do, nothing."""
    return [folder.name, str(_state(folder))]


def _state(folder: Path) -> str | None:
    """Return the digest of a model, or of predictions; None if they are not there."""
    if _is_found(folder):
        return content(folder / PREDICTIONS)
    for name in ("refined.json", "run.json"):
        if (folder / name).is_file():
            try:
                return str(parse_json((folder / name).read_bytes())["weights"]) or None
            except (ValueError, LookupError, TypeError):
                return None
    return None
