"""The steps of ``wsis run``: which command does each, and what it depends on."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from wsis._support.checks import few
from wsis._support.files import PREDICTIONS, content, digest, parse_json
from wsis.cli import _options as options
from wsis.cli._errors import COMMANDS, UsageError, printable
from wsis.cli._next import command, led
from wsis.cli._show import in_time
from wsis.plugins import nearest
from wsis.runs.project import Journal, Project

if TYPE_CHECKING:
    from wsis.contracts import Tagged


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Runs or shows the steps of a project, one after the other.

    Args:
        project: says what to do.
        place: device and cache.
        dry: only show what would be done.
        seconds: tells how long steps take; asked only if one of them is shown.
        journal: knows the folders of earlier results.
        track: draws curves of training and refining.
    """

    project: Project
    place: options.Setup
    dry: bool
    seconds: Callable[[], Mapping[str, float]]
    journal: Journal
    track: Sequence[str] = ()

    def all(self, tagged: "Tagged") -> tuple[Path, Path, list[Path]]:
        """Do what is missing; return the folders of model, predictions and exports."""
        project, own = self.project, self._place()
        miner, settings = project.chosen
        data = ["--data", project.data.label, "--root", str(project.photos)]
        sets = [word for one in project.overrides for word in ("--set", one)]
        if project.miner is not None:
            sets += ["--miner", project.miner]
        inputs: dict[str, Any] = {
            "miner": miner.label,
            "settings": settings.model_dump(mode="json"),
            "files": digest(*_files(settings.model_dump(mode="json"))),
            **_told(project, tagged),
        }
        model = self.step(
            "train",
            inputs,
            "run",
            [*data, "--recipe", project.recipe, *sets, *own, "--resume"],
            _weights,
        )
        if project.refine:
            # Neither true nor 1, which are equal.
            passes = project.passes or "enough passes"
            inputs = {"run": self._made(model), "refine": passes}
            how = [*project.passes, *data, *own, "--resume"]
            run = ["--run", str(model)]
            model = self.step("refine", inputs, "refined", [*run, *how], _weights)
        where = project.tags or project.photos
        inputs = {"run": self._made(model), **_photos(project)}
        words = [str(project.photos), "--run", str(model), "--tags", str(where)]
        if project.single:
            inputs["single"] = True
            words.append("--single")
        words += own
        found = self.step("predict", inputs, "found", words, _found)
        masks = []
        for form in project.export:
            least = f"{project.min_score:g}"
            inputs = {"found": self._made(found), "min_score": least}
            words = [str(found), "--format", form, "--min-score", least]
            one = self.step(
                "export", {"format": form, **inputs}, form, words, Path.is_dir
            )
            masks.append(one)
        self._report(found)
        return model, found, masks

    def step(
        self,
        name: str,
        inputs: Mapping[str, Any],
        base: str,
        words: list[str],
        done: Callable[[Path], bool],
    ) -> Path:
        """Do one step, unless its folder has the result of the same inputs."""
        key = f"{name} {base}" if name == "export" else name
        folder, changes = self.journal.place(key, inputs, base)
        if done(folder):
            typer.echo(printable(f"{key}: reused, {folder}"))
            return folder
        if changes:
            typer.echo(printable(f"{key}: made anew, as {_short(changes)}"))
        if not self.dry:
            self.journal.begin(key, inputs, folder)
        if name in ("train", "refine"):
            words = [*words, *self._tracked(folder)]
        resumes = folder.exists() and "--resume" in words
        self._do([name, *words, "--out", str(folder)], key, resumes=resumes)
        return folder

    def _report(self, found: Path) -> None:
        page = found / "report.html"
        if page.is_file():
            typer.echo(printable(f"report: reused, {page}"))
        else:
            self._do(["report", str(found)], "report", resumes=False)

    def _do(self, words: list[str], key: str, *, resumes: bool) -> None:
        seconds = self.seconds().get(key) if self.dry else None
        time = "" if seconds is None else f", about {in_time(seconds)}"
        state = "resumes" if resumes else "to do" if self.dry else "begins"
        typer.echo(f"{key}: {state}{time}")
        typer.echo(f"  {printable(command(words))}")
        if self.dry:
            return
        try:
            task = COMMANDS[words[0]]
            with led(), task.make_context(words[0], words[1:]) as context:
                task.invoke(context)
        except Exception:
            text = f"wsis: {key} failed; finished steps are kept: mend what the next"
            typer.echo(f"{text} line says, then type wsis run again", err=True)
            raise

    def _made(self, folder: Path) -> list[str]:
        """Return what tells a step's result from others; none that is still to do."""
        return [folder.name, str(_state(folder))]

    def _tracked(self, folder: Path) -> list[str]:
        """Return the options that draw curves, each training's in its own folder."""
        places = (
            f"{one}/{folder.name}" if one.startswith("tensorboard:") else one
            for one in self.track
        )
        return [word for one in places for word in ("--track", one)]

    def _place(self) -> list[str]:
        cache = [] if self.place.cache is None else ["--cache", str(self.place.cache)]
        auto = self.place.device == "auto"
        return [*([] if auto else ["--device", self.place.device]), *cache]


def check_formats(project: Project, file: Path, classes: Sequence[str]) -> None:
    """Refuse formats that nothing writes, and classes that a format cannot write.

    Args:
        project: names formats.
        file: where it names them; the message begins with it.
        classes: names of labels 1…C.

    Raises:
        UsageError: if there is one; of formats it names the nearest.
    """
    from wsis.report.formats import FORMATS

    for form in project.export:
        if form not in FORMATS:
            raise UsageError(
                f"{file}: no format of export is called {form!r}"
                f"{nearest(form, list(FORMATS))}; they are: {', '.join(FORMATS)}"
            )
        try:
            FORMATS[form].check(classes)
        except ValueError as error:
            raise UsageError(f"{file}: setting export: {error}") from None


def unread(tagged: "Tagged") -> list[str]:
    """Return what to do about photos that cannot be read."""
    from wsis.cli._show import Bars

    broken = []
    with Bars() as bars:
        step = bars.start("read photos", len(tagged.images))
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


def costs(
    project: Project, tagged: "Tagged", place: options.Setup
) -> tuple[dict[str, float], float, str]:
    """Return the seconds of each step, the bytes of all, and the device in words."""
    from wsis.data.images import images_in
    from wsis.runs.estimate import estimate
    from wsis.runs.pipeline import Pipeline
    from wsis.runs.refine import DETECTORS, RefineSettings
    from wsis.training.class_map import map_steps

    miner, settings = project.chosen
    pipeline = Pipeline.of(settings=settings, device=place.device, cache=place.cache)
    trained = sum(bool(image.tags.any()) for image in tagged.images)
    one = estimate(pipeline, miner, tagged, refined=bool(project.refine))
    length = [f"schedule.epochs={number}" for number in project.passes[1:]]
    refined = RefineSettings.read(DETECTORS["small"], length).paced.images(trained)
    photos = images_in([project.photos])
    others = max(0, len(photos) - len(tagged.images))
    copied = sum(path.stat().st_size for path in photos) * len(project.export)
    steps = settings.schedule.images(trained)
    mapped = min(steps, map_steps(trained))
    seconds = {
        "train": one.prepare * len(tagged.images)
        + settings.rounds * (one.step * steps + one.class_map * mapped)
        + (settings.rounds - 1) * one.predict * trained,
        "refine": one.refine * refined,
        "predict": (one.predict + one.prepare_test) * len(photos)
        + (0 if one.prepare_test else one.prepare * others),
    }
    size = (one.kept + one.drawn) * len(photos) + copied
    return seconds, size, one.device


def _told(project: Project, tagged: "Tagged") -> dict[str, str]:
    """Return names of all that training sees: photos, tags and points."""
    paths = [getattr(one.load, "path", None) for one in tagged.images]
    points = project.points
    return {
        "photos": f"{len(paths)} photos, {digest(*(p and content(p) for p in paths))}",
        "tags": digest(
            list(tagged.classes),
            [x.tags.tolist() for x in tagged.images],
            [None if x.counts is None else x.counts.tolist() for x in tagged.images],
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


def _photos(project: Project) -> dict[str, str]:
    """Return names of all that predictions are made of, besides the model.

    Tags need none, as other tags make another model.
    """
    from wsis.data.images import images_in

    paths = images_in([project.photos])
    seen = digest(*((str(path), content(path)) for path in paths))
    return {"photos": f"{len(paths)} photos, {seen}"}


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


def _weights(folder: Path) -> bool:
    """Tell whether a model is trained to its end."""
    return (folder / "model.safetensors").is_file() and bool(_state(folder))


def _found(folder: Path) -> bool:
    return (folder / PREDICTIONS).is_file()


def _state(folder: Path) -> str | None:
    """Return the digest of a model, or of predictions; None if they are not there."""
    if _found(folder):
        return content(folder / PREDICTIONS)
    for name in ("refined.json", "run.json"):
        if (folder / name).is_file():
            try:
                return str(parse_json((folder / name).read_bytes())["weights"]) or None
            except (ValueError, LookupError, TypeError):
                return None
    return None
