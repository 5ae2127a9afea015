"""Trackers draw curves while a model trains: TensorBoard, MLflow, or your own."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from wsis._support.checks import warn
from wsis._support.files import digest
from wsis.training.checkpoints import Progress
from wsis.training.schedule import Schedule

CURVES = "tensorboard"
"""Folder of TensorBoard's files beside a run."""

_EVENTS = "events.out.tfevents."
"""Begins the names of TensorBoard's files."""

EVERY = 50
"""Images after which trackers get the next figures; each pass ends with some, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """The training that a tracker is about to follow.

    Args:
        name: of the run.
        settings: all of them, as text by dotted name.
        folder: where the run is kept; None where it is not.
        resumes: whether the run in ``folder`` continues, and so its curves.
        part: name of a file, where ``folder`` keeps several trainings. Each of them
            begins anew, so that curves which the same part left unfinished go.
    """

    name: str
    settings: Mapping[str, str]
    folder: Path | None = None
    resumes: bool = False
    part: str = ""

    @property
    def key(self) -> str:
        """Tells this training from others; "" where it is not kept."""
        return "" if self.folder is None else digest(str(self._place.resolve()))

    @property
    def _place(self) -> Path:
        return Path(self.folder or "", self.part)


@runtime_checkable
class Tracker(Protocol):
    """Is told of a training while it goes on. Whatever it raises does no harm then."""

    def begin(self, training: Training) -> None:
        """Get ready, before any step; an error here ends the training at once."""
        ...

    def log(self, images: int, figures: Mapping[str, float]) -> None:
        """Take figures by name, after so many images in all, resumed ones included."""
        ...

    def end(self, *, finished: bool) -> None:
        """Close; called once, also when the training is stopped or fails."""
        ...


Trackers = Tracker | str | Sequence[Tracker | str]
"""Trackers as objects, or named: ``tensorboard:FOLDER``, ``mlflow:URI``."""


class TensorBoardTracker:
    """Writes curves for TensorBoard; ``tensorboard --logdir FOLDER`` shows them.

    Args:
        folder: of one training's event files, or of the folders of several; None takes
            the run's, ``tensorboard`` in it.

    Raises:
        ValueError: if TensorBoard is not installed.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        try:
            import tensorboard  # noqa: F401
        except ImportError as error:
            raise _missing("tensorboard", error) from error
        self.folder = None if folder is None else Path(folder)
        self._training: Training | None = None
        self._place = Path()
        self._writer: Any = None

    def begin(self, training: Training) -> None:
        """Choose the folder; nothing is written yet.

        Raises:
            ValueError: if there is no folder, or it has the curves of another training.
        """
        if self.folder is None and training.folder is None:
            raise ValueError("expected tensorboard:FOLDER, as the run has no folder")
        place = self.folder or Path(str(training.folder), CURVES)
        self._place = place / training.part
        if training.part and training.key:
            # In the run's own folder there are no others.
            mine = f"*.{training.key}" if self.folder else "*"
            for path in self._place.glob(_EVENTS + mine):
                path.unlink()
        if self._curves() and not training.resumes:
            raise ValueError(
                f"{self._place} has the curves of another training; give each its own "
                f"folder, such as tensorboard:{place / 'NAME'}"
            )
        self._training = training

    def log(self, images: int, figures: Mapping[str, float]) -> None:
        """Add a point to each curve; what a stopped training drew beyond it goes."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            begun, training = self._curves(), self._training
            suffix = "" if training is None else f".{training.key}"
            self._writer = SummaryWriter(
                str(self._place), purge_step=images, filename_suffix=suffix
            )
            if training is not None and not begun:
                rows = [("setting", "value"), ("--", "--"), *training.settings.items()]
                text = "\n".join(f"{name} | {value}" for name, value in rows)
                self._writer.add_text("settings", text)
        for name, value in figures.items():
            self._writer.add_scalar(name, value, images)
        self._writer.flush()

    def end(self, *, finished: bool) -> None:
        """Close the file."""
        del finished
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _curves(self) -> bool:
        return any(self._place.glob(f"{_EVENTS}*"))


class MLflowTracker:
    """Logs to a run of MLflow; a training that resumes continues its run.

    MLflow's usage statistics are switched off, unless ``MLFLOW_DISABLE_TELEMETRY`` says
    otherwise.

    Args:
        uri: of the store or server; None takes ``MLFLOW_TRACKING_URI``, or else
            MLflow's own default, ``mlflow.db`` in the current folder.
        experiment: its name; None takes ``MLFLOW_EXPERIMENT_NAME``, or ``wsis``.

    Raises:
        ValueError: if MLflow is not installed.
    """

    def __init__(self, uri: str | None = None, experiment: str | None = None) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        try:
            import mlflow  # noqa: F401
        except ImportError as error:
            raise _missing("mlflow", error) from error
        self.uri = uri
        self.experiment = (
            experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "wsis"
        )
        self._client: Any = None
        self._run = ""

    def begin(self, training: Training) -> None:
        """Begin a run, or find the one that the training continues by its folder."""
        from mlflow import MlflowClient
        from mlflow.entities import Param

        client = self._client = MlflowClient(tracking_uri=self.uri)
        there = client.get_experiment_by_name(self.experiment)
        place = there.experiment_id if there else None
        if place is None:
            place = self._made(client)
        key = training.key
        if training.resumes:
            wanted, newest = f"tags.wsis_folder = '{key}'", ["start_time DESC"]
            for one in client.search_runs([place], wanted, 1, 1, newest):
                self._run = one.info.run_id
                client.update_run(self._run, status="RUNNING")
                return
        tags = {"wsis_folder": key}
        self._run = client.create_run(
            place, tags=tags, run_name=training.name
        ).info.run_id
        settings = [Param(name, value) for name, value in training.settings.items()]
        for i in range(0, len(settings), 100):  # the most that MLflow takes at once
            client.log_batch(self._run, params=settings[i : i + 100])

    def _made(self, client: Any) -> str:
        """Make the experiment, or take the one that another process made meanwhile."""
        from mlflow.exceptions import MlflowException

        try:
            made: str = client.create_experiment(self.experiment)
        except MlflowException:
            there = client.get_experiment_by_name(self.experiment)
            if there is None:
                raise
            made = there.experiment_id
        return made

    def log(self, images: int, figures: Mapping[str, float]) -> None:
        """Log metrics at the step ``images``."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, images) for name, value in figures.items()]
        self._client.log_batch(self._run, metrics=metrics)

    def end(self, *, finished: bool) -> None:
        """Say whether the run is finished, or was stopped."""
        self._client.set_terminated(self._run, "FINISHED" if finished else "KILLED")


_NAMED: Mapping[str, Callable[[str | None], Tracker]] = {
    "tensorboard": TensorBoardTracker,
    "mlflow": MLflowTracker,
}


def trackers(given: Trackers) -> list[Tracker]:
    """Return trackers as objects, those that are named built.

    Raises:
        ValueError: if something is none, or its package is not installed.
    """
    several = [given] if isinstance(given, str | Tracker) else given
    found: list[Tracker] = []
    for one in several:
        name, _, place = one.partition(":") if isinstance(one, str) else ("", "", "")
        if isinstance(one, Tracker):
            found.append(one)
        elif name in _NAMED:
            found.append(_NAMED[name](place or None))
        else:
            raise ValueError(
                "expected trackers, tensorboard[:FOLDER], mlflow[:URI] or objects with "
                f"begin, log and end; got {one!r}"
            )
    return found


@contextmanager
def following(
    several: Sequence[Tracker], training: Training, tell: Callable[[str], None] = warn
) -> Iterator["Curves"]:
    """Begin trackers, and end them however the block ends.

    ``tell`` is called with what to say of one that fails later.

    Raises:
        ValueError: if one cannot begin.
    """
    curves, finished = Curves(warn=tell), False
    try:
        for one in several:
            try:
                one.begin(training)
            except Exception as error:
                raise ValueError(
                    f"{type(one).__name__} cannot begin, so this is not trained: "
                    f"{error}"
                ) from error
            curves.trackers.append(one)
        yield curves
        finished = True
    finally:
        curves.tell(lambda one: one.end(finished=finished))


@dataclass(slots=True, kw_only=True)
class Curves:
    """Turns the progress of a training into figures for trackers.

    Args:
        trackers: are told; one that fails is warned of, and told no more.
        warn: says so.
    """

    trackers: list[Tracker] = field(default_factory=list)
    warn: Callable[[str], None] = warn

    def tell(self, call: Callable[[Tracker], None]) -> None:
        """Tell every tracker something."""
        for one in list(self.trackers):
            try:
                call(one)
            except Exception as error:
                self.trackers.remove(one)
                self.warn(
                    f"{type(one).__name__} failed and is told no more, so its curves "
                    f"end here; the training goes on: {type(error).__name__}: {error}"
                )

    def of(
        self, schedule: Schedule, images: int, last: int
    ) -> Callable[[Progress], None]:
        """Return what is called with the progress, at every step before a pass ends.

        Losses are means since the figures before, or since the pass began.

        Args:
            schedule: of the training.
            images: in a pass.
            last: the images that training stops after.
        """
        seen: int | None = None
        passes, sums, count = 0, dict[str, float](), 0

        def follow(progress: Progress) -> None:
            nonlocal seen, passes, sums, count
            now = progress.step
            before, seen = now - 1 if seen is None else seen, now
            due = any(now // one > before // one for one in (EVERY, images))
            if not (self.trackers and (due or now >= last)):
                return
            if len(progress.losses) > passes:
                passes, sums, count = len(progress.losses), {}, 0
            figures = {
                f"loss/{name}": (value - sums.get(name, 0.0))
                / (progress.images - count)
                for name, value in progress.sums.items()
                if progress.images > count
            }
            dropped = len(progress.dropped)
            figures |= {
                "learning_rate": schedule.lr * schedule.factor(now - 1, images),
                "pass": now / images,
                "images/skipped": sum(progress.skipped.values()) - dropped,
                "steps/taken": progress.taken,
                "steps/dropped": dropped,
            }
            sums, count = dict(progress.sums), progress.images
            self.tell(lambda one: one.log(now, figures))

        return follow


def flat(
    values: Mapping[str, Any], said: Callable[[Any], str] = str, prefix: str = ""
) -> dict[str, str]:
    """Return nested settings as text by dotted name."""
    found: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, said, f"{prefix}{key}.")
        else:
            found[prefix + key] = said(value)
    return found


def _missing(package: str, error: ImportError) -> ValueError:
    return ValueError(
        f"tracking with {package} needs a package that cannot be imported ({error}): "
        f"pip install 'wsis[{package}]'"
    )
