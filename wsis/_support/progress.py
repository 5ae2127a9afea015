"""Who is told how far a piece of work is."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable


@runtime_checkable
class Monitor(Protocol):
    """Is told of progress; the command line draws bars with it."""

    def start(self, title: str, total: int) -> Callable[[str], None]:
        """Begin a stage; the returned function is called after each of its steps."""
        ...

    def say(self, text: str) -> None:
        """Take a line meant for whoever waits."""
        ...


@runtime_checkable
class Parted(Protocol):
    """A ``Monitor`` that is also told of progress within a step."""

    def parted(
        self, title: str, total: int, parts: int
    ) -> tuple[Callable[[str], None], Callable[[str], None]]:
        """Begin a stage whose steps have so many parts at most.

        Returns:
            A function called after each step, and one called after each of its parts.
        """
        ...


def stage(
    monitor: Monitor, title: str, total: int, parts: int
) -> tuple[Callable[[str], None], Callable[[str], None]]:
    """Begin a stage as ``Parted`` does; whoever takes no parts is told of steps."""
    if isinstance(monitor, Parted):
        return monitor.parted(title, total, parts)
    return monitor.start(title, total), lambda note: None


class Silent:
    """Tells nobody."""

    def start(self, title: str, total: int) -> Callable[[str], None]:
        """Return a function that does nothing."""
        del title, total
        return lambda note: None

    def say(self, text: str) -> None:
        """Do nothing."""
        del text
