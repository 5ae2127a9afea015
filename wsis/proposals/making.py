"""Makes or reads the proposals of many photos, here or in processes elsewhere."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from wsis import plugins
from wsis._support.files import digest
from wsis.contracts import Image, Proposals, ProposalSource
from wsis.data.images import read_image
from wsis.proposals.packing import pack


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """A photo that proposals are wanted of.

    Args:
        name: of its file.
        load: reads it; can be pickled.
        number: of the photo in its data set, where it has one.
    """

    name: str
    load: Callable[[], Image]
    number: int | None = None


@runtime_checkable
class Job(Protocol):
    """Gives the proposals of one photo; can be pickled."""

    @property
    def photo(self) -> Photo:
        """Which one."""

    def propose(self, image: Image) -> Proposals:
        """Its proposals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a job.

    Args:
        name: of the photo.
        key: ``digest`` of its pixels.
        packed: its proposals, as ``packing.pack`` makes them; None if it failed.
        seconds: that proposing took.
        error: why it failed.
    """

    name: str
    key: str = ""
    packed: Mapping[str, np.ndarray] | None = None
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeJob:
    """Makes the proposals of one photo.

    Args:
        photo: which one.
        source: name of the part that makes them.
        settings: of the part.
    """

    photo: Photo
    source: str
    settings: Mapping[str, Any]

    def propose(self, image: Image) -> Proposals:
        """Its proposals."""
        return _built(self.source, json.dumps(self.settings, default=str))(image)


def attempt(job: Job) -> Outcome:
    """Does a job; an error becomes an outcome, so that it stops nothing else."""
    try:
        image = job.photo.load()
        began = time.perf_counter()
        proposals = job.propose(image)
        seconds = time.perf_counter() - began
        if proposals.size != image.shape[:2]:
            raise ValueError(
                f"expected proposals of {image.shape[0]} x {image.shape[1]} pixels "
                "(height x width) as the photo has, got "
                f"{proposals.size[0]} x {proposals.size[1]}"
            )
        return Outcome(
            name=job.photo.name,
            key=digest(image),
            packed=pack(proposals),
            seconds=seconds,
        )
    except Exception as error:
        # Parts and files are other people's: whatever they raise is one photo's.
        said = " ".join(str(error).split()) or "no message"
        known = isinstance(error, ValueError | OSError)
        text = said if known else f"{type(error).__name__}: {said}"
        return Outcome(name=job.photo.name, error=text)


@lru_cache(maxsize=1)
def _built(source: str, settings: str) -> ProposalSource:
    """Built once a process, as sources may read weights."""
    part: ProposalSource = plugins.create("sources", source, json.loads(settings))
    return part


def file_photo(path: Path) -> Photo:
    """The photo in a file, upright."""
    return Photo(name=path.name, load=partial(read_image, path))
