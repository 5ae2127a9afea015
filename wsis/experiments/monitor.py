"""Who is told how far a bench is."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from wsis.contracts import DataSource
from wsis.proposals.store import KeptSource
from wsis.training.network import BranchStep


@runtime_checkable
class Monitor(Protocol):
    """Is told of progress; the command line draws bars with it."""

    def start(self, title: str, total: int) -> Callable[[str], None]:
        """A stage begins; the returned function is called after each of its steps."""
        ...

    def say(self, text: str) -> None:
        """Takes a line meant for whoever waits."""
        ...


@runtime_checkable
class Watcher(Protocol):
    """Sees what every branch is taught in one run, from outside; changes nothing."""

    def __call__(self, step: BranchStep) -> None:
        """Takes account of what one branch is taught on one image."""
        ...

    def results(self) -> list[dict[str, Any]]:
        """What it saw, JSON-like."""
        ...


Watch = Callable[[DataSource, KeptSource], Watcher]
"""Makes the watcher of a run, of its data and its proposals; may read masks."""


class Silent:
    """Tells nobody."""

    def start(self, title: str, total: int) -> Callable[[str], None]:
        """Returns a function that does nothing."""
        del title, total
        return lambda note: None

    def say(self, text: str) -> None:
        """Does nothing."""
        del text
