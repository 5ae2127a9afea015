"""A trained model as a folder: its weights, and what it takes to build it again."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from wsis import plugins
from wsis._support.files import atomic_write, differences, in_words, sha256, write_json
from wsis._support.provenance import versions
from wsis.contracts import Predictions, Supervision, Tagged, TaggedImage
from wsis.features.backbones import RANDOM
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Part, Settings, place
from wsis.training.loop import Progress
from wsis.training.network import Model

MODEL = "model.safetensors"
CARD = "run.json"
CHECKPOINT = "checkpoint.safetensors"


class RunError(ValueError):
    """A folder holds no run, a damaged one, or another one than expected."""


C = TypeVar("C", bound=BaseModel)


class Card(BaseModel):
    """What ``run.json`` says: everything about a run but its weights.

    Args:
        settings: name the parts.
        miner: that taught it.
        seed: of everything drawn.
        data: name of the training set.
        classes: names of labels 1…C.
        category_ids: the training set's own numbers of these classes.
        supervision: the labels consumed.
        versions: of what it was trained with.
        images: seen in training, skipped ones included.
        skipped: images left out, by reason.
        losses: mean of each loss per epoch.
        weights: SHA-256 of the weights' file; empty until training is done.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    settings: Settings
    miner: Part
    seed: int
    data: str
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    supervision: tuple[str, ...]
    versions: dict[str, str]
    images: int = 0
    skipped: dict[str, int] = {}
    losses: list[dict[str, float]] = []
    weights: str = ""

    @classmethod
    def of(
        cls,
        pipeline: Pipeline,
        miner: Part,
        seed: int,
        tagged: Tagged,
        category_ids: tuple[int, ...] = (),
    ) -> "Card":
        """The card of a run that is about to begin; categories are 1…C by default."""
        return cls(
            settings=pipeline.settings,
            miner=miner,
            seed=seed,
            data=tagged.name,
            classes=tagged.classes,
            category_ids=category_ids or tuple(range(1, len(tagged.classes) + 1)),
            supervision=tuple(sorted(pipeline.ledger)),
            versions=versions(),
        )

    def write(self, folder: Path) -> None:
        """Writes ``run.json``, atomically."""
        write_json(folder / CARD, self.model_dump(mode="json"))

    @classmethod
    def read(cls, folder: Path) -> "Card":
        """Reads ``run.json``.

        Raises:
            RunError: if it is missing, damaged or something else.
        """
        return read_card(cls, folder / CARD, folder_of="a trained run", of="a run")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """A trained model and the pipeline that serves it.

    Args:
        card: what it is.
        model: its weights, in evaluation mode.
        pipeline: gives its proposals and features.
    """

    card: Card
    model: Model
    pipeline: Pipeline

    def predict(self, image: TaggedImage) -> Predictions:
        """The instances on one image; its tags are not looked at."""
        [bag] = self.pipeline.bags([image])
        return self.pipeline.predict(self.model, bag)


def begin(folder: Path, card: Card, *, resume: bool = False) -> None:
    """Makes the folder of a run, or checks that it holds the beginning of this one.

    A folder in which a run was begun and nothing learned is as good as none.

    Raises:
        RunError: if the folder exists and ``resume`` is False, or it holds another run.
    """
    if not begun(folder):
        folder.mkdir(parents=True, exist_ok=True)
        card.write(folder)
        return
    if not resume:
        raise RunError(
            f"expected a new folder, {folder} exists; choose another, or resume its run"
        )
    found, wanted = (
        one.model_dump(mode="json", include=_IDENTITY)
        for one in (Card.read(folder), card)
    )
    changes = differences(found, wanted)
    if changes:
        raise RunError(
            f"{folder} holds another run ({in_words(changes)}); choose another folder"
        )


def begun(folder: Path) -> bool:
    """Whether there is anything in a folder but the card of a run that learned nothing.

    A file counts as well.
    """
    if not folder.is_dir():
        return folder.exists()
    if {one.name for one in folder.iterdir()} - {CARD}:
        return True
    try:
        return (folder / CARD).exists() and bool(Card.read(folder).weights)
    except RunError:
        return True


_IDENTITY = {"settings", "miner", "seed", "data", "classes", "category_ids"}


def save_run(folder: Path, model: Model, card: Card, progress: Progress) -> None:
    """Writes the weights, then the card that names them; each file atomically."""
    written = write_weights(folder / MODEL, model)
    card.model_copy(
        update={
            "images": progress.step,
            "skipped": progress.skipped,
            "losses": progress.losses,
            "weights": written,
        }
    ).write(folder)


def load_run(folder: Path, cache: Path, device: torch.device) -> Run:
    """The model of a folder, ready to predict; nothing is unpickled.

    Args:
        folder: that ``save_run`` wrote.
        cache: for proposals and frozen features.
        device: where the model shall be.

    Raises:
        RunError: if the folder is missing, damaged, unfinished or something else.
        LookupError: if one of its parts is not installed.
        ValueError: if the backbone's weights are missing.
    """
    card = Card.read(folder)
    if not card.weights:
        raise RunError(f"the training of {folder} is not finished; resume it first")
    check_weights(folder / MODEL, card.weights, again="train again")
    consumed = frozenset(Supervision(name) for name in card.supervision)
    pipeline = Pipeline(_own_weights(card.settings), cache, device, consumed)
    model = pipeline.model(len(card.classes), card.seed)
    read_weights(folder / MODEL, model)
    return Run(card=card, model=model.eval(), pipeline=pipeline)


def _own_weights(settings: Settings) -> Settings:
    """Settings that ask for no file of weights where the model holds the backbone."""
    backbone = settings.backbone
    if settings.freeze or "weights" not in plugins.settings("backbones", backbone.name):
        return settings
    return Settings.read([f"backbone.weights={RANDOM}"], settings)


def read_card(kind: type[C], path: Path, *, folder_of: str, of: str) -> C:
    """What a folder's JSON says of it, validated.

    Args:
        kind: of card.
        path: of the file.
        folder_of: what the folder should be of, for messages.
        of: what the file should describe, for messages.

    Raises:
        RunError: if the file is missing, damaged or something else.
    """
    if not path.is_file():
        raise RunError(
            f"expected {path.parent} to be the folder of {folder_of}, it has no "
            f"{path.name}"
        )
    try:
        return kind.model_validate(json.loads(path.read_text()))
    except ValidationError as error:
        raise RunError(
            f"{path} does not describe {of}: {place(error)}: {error.errors()[0]['msg']}"
        ) from None
    except ValueError as error:
        raise RunError(f"{path} is damaged: {error}") from None


def write_weights(path: Path, model: nn.Module) -> str:
    """Writes a model's weights, atomically.

    Returns:
        The file's SHA-256.
    """
    weights = {key: value.contiguous() for key, value in model.state_dict().items()}
    with atomic_write(path) as temporary:
        save_file(weights, temporary)
    return sha256(path)


def check_weights(path: Path, expected: str, *, again: str) -> None:
    """Makes sure that a file of weights is the one that a card names.

    Args:
        path: of the file.
        expected: its SHA-256.
        again: what to do if it is not, for messages.

    Raises:
        RunError: if it is missing or another one.
    """
    if not path.is_file():
        raise RunError(f"expected {path}, it is missing; {again}")
    if sha256(path) != expected:
        raise RunError(f"{path} is damaged or of another run; {again}")


def read_weights(path: Path, model: nn.Module) -> None:
    """Gives a model the weights that ``write_weights`` wrote; nothing is unpickled.

    Raises:
        RunError: if they are another model's.
    """
    try:
        model.load_state_dict(load_file(path))
    except (RuntimeError, SafetensorError) as error:
        text = " ".join(str(error).split())[:200]
        raise RunError(f"{path} does not fit this version's model: {text}") from None
