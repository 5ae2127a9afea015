"""A folder's card, which says what model it holds, and the weights beside it."""

from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from wsis._support.files import (
    atomic_write,
    differences,
    in_words,
    parse_json,
    sha256,
    write_json,
)
from wsis.contracts import Ledger, Supervision
from wsis.runs.settings import place
from wsis.training.loop import Progress

MODEL = "model.safetensors"
CHECKPOINT = "checkpoint.safetensors"


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
        images: seen in training, skipped ones included.
        skipped: images left out, by reason.
        losses: mean of each loss per epoch.
        weights: SHA-256 of the weights' file; empty until training is done.
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
    images: int = 0
    skipped: dict[str, int] = {}
    losses: list[dict[str, float]] = []
    weights: str = ""

    @property
    def ledger(self) -> Ledger:
        """The labels consumed."""
        return frozenset(Supervision(one) for one in self.supervision)

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
            raise RunError(
                f"expected {folder} to be the folder of a {cls.WHAT}, it has no "
                f"{cls.FILE}"
            )
        try:
            return cls.model_validate(parse_json(path.read_text(encoding="utf-8")))
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise RunError(
                f"{path} does not describe a {cls.WHAT}: {place(error)}: {problem}"
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

    def begin(self, folder: Path, *, resume: bool = False) -> None:
        """Make the folder, or check that it holds the beginning of this run.

        A folder in which a run was begun and nothing learned is as good as none.

        Raises:
            RunError: if the folder exists and ``resume`` is False, or it holds another
                run.
        """
        if not self.begun(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self.write(folder)
            return
        if not resume:
            raise RunError(
                f"expected a new folder, {folder} exists; choose another, or resume "
                f"its {self.WHAT}"
            )
        found, wanted = (
            one.model_dump(mode="json", include=self.IDENTITY)
            for one in (self.read(folder), self)
        )
        changes = differences(found, wanted)
        if changes:
            raise RunError(
                f"{folder} holds another {self.WHAT} ({in_words(changes)}); choose "
                "another folder"
            )

    def trained(self: C, progress: Progress, **more: Any) -> C:
        """Return the card of the model that ``progress`` led to."""
        return self.model_copy(
            update={
                "images": progress.step,
                "skipped": progress.skipped,
                "losses": progress.losses,
                **more,
            }
        )

    def save(self: C, folder: Path, model: nn.Module) -> C:
        """Write the weights, then the card that names them; each file atomically.

        Returns:
            The card as it was written.
        """
        weights = {key: value.contiguous() for key, value in model.state_dict().items()}
        with atomic_write(folder / MODEL) as temporary:
            save_file(weights, temporary)
        card = self.model_copy(update={"weights": sha256(folder / MODEL)})
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

    def read_weights(self, folder: Path, model: nn.Module) -> None:
        """Give a model the folder's weights; nothing is unpickled.

        Raises:
            RunError: if they are another model's.
        """
        path = folder / MODEL
        try:
            model.load_state_dict(load_file(path))
        except (RuntimeError, SafetensorError) as error:
            text = " ".join(str(error).split())[:200]
            raise RunError(
                f"{path} does not fit this version's model: {text}"
            ) from None
