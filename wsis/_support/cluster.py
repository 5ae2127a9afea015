"""A Dask cluster: workers elsewhere that see the same files."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Yield the client of a scheduler that has workers.

    Args:
        address: of the scheduler, such as ``tcp://10.0.0.1:8786``.

    Raises:
        ValueError: if Dask's distributed is not installed, or no worker answers.
    """
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise ValueError(
            "a cluster needs Dask's distributed: pip install 'wsis[cluster]'"
        ) from None
    try:
        client = Client(address, timeout=20)
        client.wait_for_workers(1, timeout=20)
    except (OSError, ValueError, TimeoutError) as error:
        raise ValueError(
            f"expected a Dask scheduler with workers at {address}: {error}"
        ) from error
    with client:
        yield client
