"""Trained models: they predict photos and are measured by masks."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from jaxtyping import Bool
from PIL import Image as Pillow
from torch import Tensor, nn

from wsis._support.checks import few
from wsis._support.progress import Monitor, Silent
from wsis.contracts import Annotated, DataSource, Image, TaggedImage
from wsis.data.annotations import known_classes
from wsis.data.halves import for_classes, tell_shared
from wsis.data.images import pixels_of, read_all, read_image
from wsis.evaluation import Evaluation, evaluate
from wsis.geometry.frame import Framed, photo_key
from wsis.geometry.predictions import Predictions
from wsis.runs._card import in_short
from wsis.runs.settings import dataset
from wsis.training.checkpoints import Progress

if TYPE_CHECKING:
    from wsis.runs.refine.refined import Refined, RefinedCard
    from wsis.runs.run import Card, Run

T = TypeVar("T", bound="Trained")

Tick = Callable[[str], None]
"""Is called with what was done."""

Picture = TaggedImage | str | Path | np.ndarray | Pillow.Image
"""A photo: a file, RGB pixels, a Pillow image, or one of a data set."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Trained(ABC):
    """A trained model that finds instances.

    Args:
        card: what it is.
        model: its weights, in evaluation mode.
        photos: keys of the photos that it was trained on, digests of their pixels;
            empty where an earlier version trained.
    """

    card: "Card | RefinedCard"
    model: nn.Module
    photos: Sequence[str] = ()

    def __repr__(self) -> str:
        card = self.card
        return (
            f"{type(self).__name__}({self.name} on {card.data}, seed {card.seed}: "
            f"{len(self.classes)} classes ({few(self.classes)}), {card.said}; consumed "
            f"{', '.join(card.supervision)})"
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of labels 1…C."""
        return self.card.classes

    @property
    def name(self) -> str:
        """Its name in tables."""
        return self.card.name

    @property
    @abstractmethod
    def parts(self) -> int:
        """The parts of the work on one image that ``find`` tells of, at most."""

    @abstractmethod
    def find(
        self,
        image: TaggedImage,
        allowed: Bool[Tensor, " C"] | None = None,
        tick: Tick = lambda done: None,
    ) -> Predictions:
        """Return the instances on one image, of the classes allowed.

        A large photo is worked on in its frame (``wsis.geometry.frame``); masks are of
        the photo's own size.

        Args:
            image: of a data set; its tags are not looked at.
            allowed: the classes that instances may have; None allows all.
            tick: is called after each part of the work.
        """

    def save(self: T, folder: str | Path) -> T:
        """Write weights, keys of photos and card into a folder, for ``wsis.load``.

        Returns:
            The model as it was saved.

        Raises:
            RunError: if the folder holds another model.
        """
        place = Path(folder)
        self.card.begin(place, resume=True)
        card = self.card.save(place, self.model, self.photos)
        return replace(self, card=card)

    def push_to_hub(
        self, repo: str, *, private: bool | None = None, token: str | None = None
    ) -> str:
        """Upload weights, card and a description to the Hugging Face Hub.

        Everything in ``run.json`` goes along: names of classes and data set, settings
        with the paths of weights and stores, devices. Digests of the training photos do
        not.

        Args:
            repo: ``user/name``; it is made if there is none.
            private: whether only its owner sees a new repository; None leaves that to
                the owner's settings.
            token: of the owner; None takes that of ``hf auth login``.

        Returns:
            The address of the commit.

        Raises:
            RunError: if the hub refuses it or does not answer.
        """
        from wsis.runs._hub import push

        return push(self, repo, private=private, token=token)

    @staticmethod
    def from_pretrained(
        name: str | Path,
        *,
        revision: str | None = None,
        token: str | None = None,
        **given: Any,
    ) -> "Run | Refined":
        """Return a model from a folder or the Hugging Face Hub; nothing is unpickled.

        Args:
            name: a folder, or ``user/name`` of a repository, which is downloaded and
                kept by huggingface_hub.
            revision: branch, tag or commit of the repository.
            token: for a private repository; None takes that of ``hf auth login``.
            **given: further arguments of ``wsis.load``.

        Raises:
            RunError: as ``wsis.load``, and if there is no such repository.
        """
        from wsis.runs._hub import fetch
        from wsis.runs.refine.refined import RefinedCard
        from wsis.runs.run import Card, load

        folder = Path(name)
        if not folder.is_dir():
            names = (Card.FILE, RefinedCard.FILE)
            folder = fetch(str(name), names, revision, token)
        return load(folder, **given)

    def predict(
        self,
        photo: Picture,
        *,
        tags: Iterable[str] | Mapping[str, int] | None = None,
        tick: Tick = lambda done: None,
    ) -> Predictions:
        """Return the instances on one photo, best first.

        A photo whose longer side has more than ``wsis.geometry.frame.LONGEST`` pixels
        is shrunk to it; masks and boxes are of the photo's own size.

        Args:
            photo: a file, RGB pixels (H, W, 3) of uint8, a Pillow image, or an image of
                a data set, whose tags are not looked at.
            tags: the classes on the photo, where they are known: no instance is of
                another class. None allows all. With counts, as ``{"dog": 2}``, a class
                has as many instances at most, the best; 0 leaves all. A text is one
                class.
            tick: is called with what was done after each of ``parts``.

        Raises:
            FileNotFoundError: if there is no such file.
            LookupError: if a tag is no class of the model.
            ValueError: if it is not a photo, or a count is no whole number from 0 on.
        """
        image = as_image(photo, len(self.classes))
        allowed = None
        if tags is not None:
            known = known_classes(tags, self.classes)
            allowed = torch.tensor([name in known for name in self.classes])
        found = self.find(image, allowed, tick)
        found = replace(found, classes=self.classes, load=image.load)
        if isinstance(tags, Mapping):
            found = found.at_most(
                {known_classes([x], self.classes)[0]: n for x, n in tags.items()}
            )
        return found

    def predict_all(
        self, annotated: Annotated, monitor: Monitor | None = None
    ) -> list[Predictions]:
        """Return the predictions of all images of a data set's half, in order.

        Raises:
            ValueError: if photos cannot be read; names all.
        """
        images = annotated.tagged.images
        step, found = (monitor or Silent()).start("predict", len(images)), []
        for image in images:
            try:
                photo = Framed.of(image.load())
            except (ValueError, OSError):
                read_all([one.load for one in images])
                raise
            found.append(self.find(replace(image, load=photo)))
            step(image.name)
        return found

    def tell_trained_on(
        self, images: Sequence[TaggedImage], keys: Sequence[str]
    ) -> int:
        """Return how many photos the model was trained on, and warn of them.

        Of a model that an earlier version trained, only all of its photos are known.

        Args:
            images: photos to measure on.
            keys: of each, as ``photos``.
        """
        seen = self.photos
        if not seen and in_short(keys) == self.card.inputs.get("photos"):
            seen = keys
        return tell_shared(images, keys, seen, "measured")

    def evaluate(
        self, data: DataSource | Annotated | str, monitor: Monitor | None = None
    ) -> Evaluation:
        """Measure the model on the validation half of ``data``.

        Classes are matched by name. A class that the data lack has no figure, and
        objects of classes that the model lacks are left out, with a warning. Another
        warning tells which photos were trained on.

        Raises:
            ValueError: if the data have no masks, or none of the model's classes.
        """
        data = data if isinstance(data, Annotated) else dataset(data)
        val = data if isinstance(data, Annotated) else data.val()
        if val is None:
            raise ValueError(
                "expected validation photos with masks to measure by, "
                f"{type(data).__name__} has none"
            )
        val = for_classes(val, self.classes, "the model")
        images, keys = val.tagged.images, list[str]()
        step = (monitor or Silent()).start("read photos", len(images))

        def read(image: TaggedImage) -> None:
            keys.append(photo_key(image.load()))
            step(image.name)

        read_all([partial(read, one) for one in images])
        self.tell_trained_on(images, keys)
        return evaluate(self.predict_all(val, monitor), val.truths, self.classes)


def as_image(photo: Picture, classes: int) -> TaggedImage:
    """Return a photo as an image of a data set, read and without tags.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a photo.
    """
    if isinstance(photo, TaggedImage):
        return photo
    name, pixels = _read(photo)
    tags = torch.zeros(classes, dtype=torch.bool)
    return TaggedImage(id=1, name=name, tags=tags, load=Framed.of(pixels))


def _read(photo: Picture) -> tuple[str, Image]:
    if isinstance(photo, str | Path):
        return Path(photo).name, read_image(Path(photo))
    if isinstance(photo, Pillow.Image):
        return "picture", pixels_of(photo)
    if not isinstance(photo, np.ndarray):
        came = type(photo).__name__
    elif photo.dtype == np.uint8 and photo.shape[2:] == (3,) and photo.size:
        return "array", photo
    else:
        came = f"an array of shape {photo.shape} and type {photo.dtype}"
    raise ValueError(
        "expected a photo: a path, a Pillow image, or RGB pixels as an array of shape "
        f"(H, W, 3) and type uint8; got {came}"
    )


def counting(
    monitor: Monitor,
    title: str,
    total: int,
    then: Callable[[Progress], None] = lambda progress: None,
) -> Callable[[Progress], None]:
    """Begin a stage; the returned function tells of the images seen since last time."""
    step, seen = monitor.start(title, total), 0

    def tell(progress: Progress) -> None:
        nonlocal seen
        for _ in range(progress.step - seen):
            step("")
        seen = progress.step
        then(progress)

    return tell
