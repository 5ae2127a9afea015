"""Jobs for tests of what does them; other processes import them from here."""

import os
import signal
import time
from dataclasses import dataclass

import numpy as np

from tests.builders import random_proposals
from wsis.contracts import Image, Proposals
from wsis.proposals.making import Photo


def pixels() -> Image:
    return np.zeros((6, 7, 3), np.uint8)


def unreadable() -> Image:
    raise ValueError("expected a photo, got a sandwich")


@dataclass(frozen=True)
class Draw:
    """Draws ``number + 1`` proposals after a while."""

    photo: Photo
    number: int
    delay: float = 0.0

    def propose(self, image: Image) -> Proposals:
        time.sleep(self.delay)
        return random_proposals(self.number + 1, image.shape[:2], self.number)


@dataclass(frozen=True)
class Fail:
    """Stumbles."""

    photo: Photo

    def propose(self, image: Image) -> Proposals:
        raise RuntimeError("out of\nluck")


@dataclass(frozen=True)
class Die:
    """Ends its process, as the system does where memory runs out."""

    photo: Photo

    def propose(self, image: Image) -> Proposals:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def draws(count: int, delay: float = 0.0) -> list[Draw]:
    return [Draw(Photo(name=f"{i}.jpg", load=pixels), i, delay) for i in range(count)]
