"""A folder's card, which says what model it holds, and the weights beside it."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    field_validator,
    model_validator,
)
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from wsis._support.checks import warn, wrong_value
from wsis._support.files import (
    atomic_write,
    differences,
    digest,
    in_words,
    only_moved,
    parse_json,
    read_packed,
    sha256,
    write_json,
    write_packed,
)
from wsis._support.weights import check_finite
from wsis.contracts import Ledger, Supervision
from wsis.runs.settings import place
from wsis.training.checkpoints import Progress
from wsis.training.trackers import Training, flat

MODEL = "model.safetensors"
CHECKPOINT = "checkpoint.safetensors"
PHOTOS = "photos.json.gz"
"""The keys of the photos that were trained on, about 1 MB for 100,000."""


C = TypeVar("C", bound="BaseCard")


class RunError(ValueError):
    """A folder holds no run, a damaged one, or another one than expected."""


class BaseCard(BaseModel):
    """Everything about a trained model but its weights, kept as JSON beside them.

    Args:
        seed: of everything drawn.
        data: name of the training set.
        supervision: the labels consumed.
        versions: of what it was trained with.
        commit: of the code, where it was a clone.
        devices: that it was trained on, with the number of threads of a CPU: more than
            one if it was resumed elsewhere.
        inputs: digests of the photos, their tags, and what else was learned from.
        images: seen in training, of several rounds in the last; skipped ones included.
        skipped: images left out, by reason.
        dropped: images and steps left out as they were not finite.
        losses: mean of each loss per epoch.
        weights: SHA-256 of the weights' file; empty until training is done.
        photos: SHA-256 of the file that has a digest of each photo that was trained on;
            empty until then, and where an earlier version trained.
        revision: of the card; the first had no number.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    FILE: ClassVar[str]
    WHAT: ClassVar[str]
    AGAIN: ClassVar[str]
    IDENTITY: ClassVar[set[str]]

    seed: int
    data: str
    supervision: tuple[str, ...]
    versions: dict[str, str]
    commit: str | None = None
    devices: tuple[str, ...] = ()
    inputs: dict[str, str] = {}
    images: int = 0
    skipped: dict[str, int] = {}
    dropped: list[str] = []
    losses: list[dict[str, float]] = []
    weights: str = ""
    photos: str = ""
    revision: int = 2

    @model_validator(mode="before")
    @classmethod
    def _as_it_was_meant(cls, value: Any) -> Any:
        """Read the first revision: its EfficientNet-Lite0 padded on both sides."""
        if not isinstance(value, dict) or "revision" in value:
            return value
        match value.get("settings"):
            case {
                "backbone": {"name": "efficientnet_lite0"} as there,
                **rest,
            } if isinstance(there.get("settings") or {}, dict):
                given = {"same": False} | (there.get("settings") or {})
                settings = {**rest, "backbone": {**there, "settings": given}}
            case {"backbone": "efficientnet_lite0", **rest}:
                settings = {"same": False, "backbone": "efficientnet_lite0", **rest}
            case _:
                return value
        return {**value, "settings": settings}

    @field_validator("supervision")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(Supervision(one).value for one in value)

    @field_validator("devices")
    @classmethod
    def _spelt(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Read cards of wsis before December 2026, which said "1 threads"."""
        return tuple(one.replace(", 1 threads", ", 1 thread") for one in value)

    @property
    def ledger(self) -> Ledger:
        """The labels consumed."""
        return frozenset(Supervision(one) for one in self.supervision)

    @property
    def said(self) -> str:
        """Return how many photos were seen and the last loss, in words."""
        loss = f", loss {self.losses[-1]['total']:.3f}" if self.losses else ""
        return f"{self.images:,} photos seen, repeats included{loss}"

    def training(
        self,
        name: str,
        folder: Path | None,
        settings: Mapping[str, Any],
        *,
        resumes: bool,
    ) -> Training:
        """Return what trackers are told of the training, with all its settings."""
        told = {
            **{"model": name, "seed": self.seed, "data": self.data},
            "labels consumed": ", ".join(self.supervision),
            **settings,
        }
        name = name if folder is None else folder.resolve().name
        return Training(name=name, settings=flat(told), folder=folder, resumes=resumes)

    def write(self, folder: Path) -> None:
        """Write the card, atomically."""
        write_json(folder / self.FILE, self.model_dump(mode="json"))

    @classmethod
    def read(cls: type[C], folder: Path) -> C:
        """Read the card of a folder.

        Raises:
            RunError: if it is missing, damaged or something else.
        """
        path = folder / cls.FILE
        if not path.is_file():
            lacks = f"it has no {cls.FILE}" if folder.is_dir() else "there is none"
            raise RunError(
                f"expected {folder} to be the folder of a {cls.WHAT}, {lacks}"
            )
        try:
            return cls.model_validate(parse_json(path.read_bytes()))
        except ValidationError as error:
            problem = wrong_value(error.errors()[0])
            where = f"{place(error)}: " if place(error) else ""
            raise RunError(
                f"{path} does not describe a {cls.WHAT}: {where}{problem}"
            ) from None
        except ValueError as error:
            raise RunError(f"{path} is damaged: {error}") from None

    @classmethod
    def begun(cls, folder: Path) -> bool:
        """Tell whether there is more than the card of a run that learned nothing.

        A file counts as well.
        """
        if not folder.is_dir():
            return folder.exists()
        if {one.name for one in folder.iterdir()} - {cls.FILE}:
            return True
        try:
            return (folder / cls.FILE).exists() and bool(cls.read(folder).weights)
        except RunError:
            return True

    def begin(self: C, folder: Path, *, resume: bool = False) -> C:
        """Make the folder, or check that it holds the beginning of this run.

        A folder in which a run was begun and nothing learned is as good as none.
        Inputs are compared once they are known.

        Returns:
            The card, with the devices that the run was on before.

        Raises:
            RunError: if the folder exists and ``resume`` is False, or it holds another
                run.
        """
        if not self.begun(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self.write(folder)
            return self
        if not resume:
            raise RunError(
                f"expected a new folder, {folder} exists; choose another, or resume "
                f"its {self.WHAT}"
            )
        there = self.read(folder)
        if self.inputs and not there.inputs:
            raise RunError(
                f"{folder} holds a {self.WHAT} of an earlier version of wsis, which "
                "kept no digest of its photos; choose another folder"
            )
        found, wanted = (
            one._identity(inputs=bool(self.inputs)) for one in (there, self)
        )
        changes = differences(found, wanted)
        if not only_moved(changes):
            raise RunError(
                f"{folder} holds another {self.WHAT} ({in_words(changes)}); choose "
                "another folder"
            )
        new = [one for one in self.devices if one not in there.devices]
        if new and there.devices:
            warn(
                f"the {self.WHAT} in {folder} was begun on {', '.join(there.devices)} "
                f"and continues on {', '.join(new)}: its last digits may differ"
            )
        devices = (*there.devices, *new)
        # Written now, so that a folder that cannot be written fails before any work.
        there.model_copy(update={"devices": devices}).write(folder)
        return self.model_copy(update={"devices": devices})

    def _identity(self, *, inputs: bool) -> dict[str, Any]:
        named = {*self.IDENTITY, "versions", *(("inputs",) if inputs else ())}
        found = self.model_dump(mode="json", include=named)
        found["versions"].pop("python", None)
        return found

    def trained(self: C, progress: Progress, **more: Any) -> C:
        """Return the card of the model that ``progress`` led to."""
        return self.model_copy(
            update={
                "images": progress.step,
                "skipped": progress.skipped,
                "dropped": progress.dropped,
                "losses": progress.losses,
                **more,
            }
        )

    def save(self: C, folder: Path, model: nn.Module, photos: Sequence[str] = ()) -> C:
        """Write the weights, then the card that names them; each file atomically.

        Args:
            folder: of the card.
            model: the weights.
            photos: keys of the training photos; without, none are kept.

        Returns:
            The card as it was written.
        """
        if photos:
            write_packed(folder / PHOTOS, list(photos))
        weights = {key: value.contiguous() for key, value in model.state_dict().items()}
        with atomic_write(folder / MODEL) as temporary:
            save_file(weights, temporary)
        digests = {
            "weights": sha256(folder / MODEL),
            "photos": sha256(folder / PHOTOS) if photos else "",
        }
        card = self.model_copy(update=digests)
        card.write(folder)
        return card

    def check_weights(self, folder: Path) -> None:
        """Make sure that a folder's weights are those that the card names.

        Raises:
            RunError: if training is not finished, or they are missing or others.
        """
        path = folder / MODEL
        if not self.weights:
            raise RunError(f"the training of {folder} is not finished; resume it first")
        if not path.is_file():
            raise RunError(f"expected {path}, it is missing; {self.AGAIN}")
        if sha256(path) != self.weights:
            raise RunError(f"{path} is damaged or of another run; {self.AGAIN}")

    def read_photos(self, folder: Path) -> tuple[str, ...]:
        """Return the keys of the photos that were trained on; none if they are lost.

        A file that is not the card's is warned of.
        """
        path = folder / PHOTOS
        if not (self.photos and path.is_file()):
            return ()
        if sha256(path) != self.photos:
            warn(
                f"{path} is damaged or of another {self.WHAT}; where photos are "
                "measured that it was trained on, that is not told"
            )
            return ()
        return tuple(read_packed(path))

    def read_weights(self, folder: Path, model: nn.Module) -> None:
        """Give a model the folder's weights; nothing is unpickled.

        Raises:
            RunError: if they are another model's.
            WeightsError: if they are not finite.
        """
        path = folder / MODEL
        try:
            state = load_file(path)
            check_finite(state, str(path))
            model.load_state_dict(state)
        except (RuntimeError, SafetensorError) as error:
            text = " ".join(str(error).split())[:200]
            raise RunError(
                f"{path} does not fit this version's model, {self.AGAIN}: {text}"
            ) from None


def in_short(keys: Sequence[str]) -> str:
    """Return how many photos there are, and a digest of all their keys."""
    return f"{len(keys)} photos, {digest(*keys)}"


def check_room(folder: Path, model: nn.Module) -> None:
    """Refuse to begin what the disk has no room to keep.

    A checkpoint has the weights four times, and is written beside the one before it.

    Raises:
        RunError: if there is less room than checkpoints and weights need.
    """
    size = 10 * sum(one.numel() * one.element_size() for one in model.parameters())
    free = shutil.disk_usage(folder).free
    if free < size:
        raise RunError(
            f"expected {size / 2**20:.0f} MiB free for checkpoints and weights in "
            f"{folder}, there are {free / 2**20:.0f}"
        )
