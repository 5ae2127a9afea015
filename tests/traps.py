"""Masks that must not be read yet."""

from collections.abc import Sequence


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
