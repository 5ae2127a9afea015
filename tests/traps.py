"""Masks that must not be read yet."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from tests.drawn import Squares


class Trap(Sequence):
    """Truths that fail when one is read before ``done`` has anything in it.

    It is armed when ``armed`` is set: the type checker of the tests looks into
    sequences when they are passed.
    """

    armed = False

    def __init__(self, truths, done):
        self.truths, self.done = truths, done

    def __len__(self):
        return len(self.truths)

    def __getitem__(self, index):
        assert self.done or not self.armed, "a mask was read before training had ended"
        return self.truths[index]


class Guarded(Squares):
    """Squares whose masks are a trap until ``done`` has anything in it."""

    def __init__(self, done):
        super().__init__()
        self.done = done

    def val(self):
        val = super().val()
        guarded = replace(val, truths=Trap(val.truths, self.done))
        guarded.truths.armed = True
        return guarded


class Told:
    """A monitor that empties ``done`` at the first proposal and fills it at the end.

    It counts the steps of every stage.
    """

    def __init__(self, done):
        self.done, self.steps = done, Counter()

    def say(self, text):
        del text

    def start(self, title, total):
        del total
        if title.startswith("proposals"):
            self.done.clear()
        if "predict" in title:
            self.done.append(title)
        return lambda note: self.steps.update([title])
