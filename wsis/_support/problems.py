"""Looks for several problems before it tells of any."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

TOLD = 10
"""Problems in a message, at most."""


class Problems(ValueError):
    """Several problems, which were found before any work: the errors in order."""

    def __init__(self, found: Sequence[Exception]) -> None:
        super().__init__(found)
        self.found = list(found)

    def __str__(self) -> str:
        texts = [f"({i}) {error}" for i, error in enumerate(self.found, 1)]
        more = f"; and {len(texts) - TOLD} more" if len(texts) > TOLD else ""
        said = "; ".join(texts[:TOLD])
        return f"{len(texts)} problems, found before any work: {said}{more}"


class Checks:
    """Goes through checks, and tells in the end what all of them found."""

    def __init__(self) -> None:
        self._found: dict[str, Exception] = {}

    def of(self, check: Callable[..., T], *given: Any) -> T | None:
        """Return what a check returns; None if it finds a problem."""
        try:
            return check(*given)
        except (ValueError, LookupError, OSError, ImportError) as error:
            self.add(error)
        return None

    def add(self, error: Exception) -> None:
        """Take note of a problem; one that is known already is no other."""
        for one in error.found if isinstance(error, Problems) else [error]:
            self._found.setdefault(str(one), one)

    def tell(self) -> None:
        """Raise the problem that was found, or all of them as one; none is no error.

        Raises:
            Problems: if there are several.
        """
        found = list(self._found.values())
        if found:
            raise found[0] if len(found) == 1 else Problems(found)
