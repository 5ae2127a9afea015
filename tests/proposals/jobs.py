"""Jobs for tests of what does them; other processes import them from here."""

import os
import signal
import time
from functools import partial

import numpy as np

from tests.builders import random_proposals
from wsis._support.checks import warn
from wsis.contracts import Image, Proposals
from wsis.proposals.making import Job, Photo


def pixels() -> Image:
    return np.zeros((6, 7, 3), np.uint8)


def unreadable() -> Image:
    raise ValueError("expected a photo, got a sandwich")


def draw(number: int, delay: float, image: Image) -> Proposals:
    """Draws ``number + 1`` proposals after a while; odd ones are doubtful."""
    time.sleep(delay)
    if number % 2:
        warn("it was drawn by the left hand")
    return random_proposals(number + 1, image.shape[:2], number)


def fail(image: Image) -> Proposals:
    """Stumbles."""
    raise RuntimeError("out of\nluck")


def die(image: Image) -> Proposals:
    """Ends its process, as the system does where memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def draws(count: int, delay: float = 0.0) -> list[Job]:
    return [
        Job(Photo(name=f"{i}.jpg", load=pixels), partial(draw, i, delay))
        for i in range(count)
    ]
