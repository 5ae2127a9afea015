"""Who is told how far a bench is."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable


@runtime_checkable
class Monitor(Protocol):
    """Is told of progress; the command line draws bars with it."""

    def start(self, title: str, total: int) -> Callable[[str], None]:
        """A stage begins; the returned function is called after each of its steps."""
        ...


class Silent:
    """Tells nobody."""

    def start(self, title: str, total: int) -> Callable[[str], None]:
        """Returns a function that does nothing."""
        del title, total
        return lambda note: None
