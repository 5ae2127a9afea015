"""Watchers of training, which see what every branch is taught."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from wsis.contracts import DataSource
from wsis.proposals.store import KeptSource
from wsis.training.network import BranchStep


@runtime_checkable
class Watcher(Protocol):
    """Sees what every branch is taught in one run, from outside; changes nothing."""

    def __call__(self, step: BranchStep) -> None:
        """Take account of what one branch is taught on one image."""
        ...

    def results(self) -> list[dict[str, Any]]:
        """Return what it saw, JSON-like."""
        ...


Watch = Callable[[DataSource, KeptSource], Watcher]
"""Makes the watcher of a run, of its data and its proposals; may read masks."""
