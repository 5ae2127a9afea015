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


class Silent:
    """Tells nobody."""

    def start(self, title: str, total: int) -> Callable[[str], None]:
        """Return a function that does nothing."""
        del title, total
        return lambda note: None

    def say(self, text: str) -> None:
        """Do nothing."""
        del text
