"""Makes proposals, features and cues of many photos ahead, on a cluster."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from wsis._support.cluster import here, workers
from wsis._support.files import Cache, differences, in_words
from wsis._support.progress import Monitor
from wsis.contracts import CueLabeller, TaggedImage
from wsis.cues.kept import Cues
from wsis.features.scale import Scale
from wsis.proposals.bags import Bag
from wsis.runs.pipeline import Pipeline


def make_ahead(
    address: str,
    pipeline: Pipeline,
    bags: Sequence[Bag],
    seed: int,
    monitor: Monitor,
) -> None:
    """Fill the cache with all that training reads, on the workers of a cluster.

    Proposals, features and the labels of cues are made photo by photo, and are those
    that this process would make. Cues are learned from all photos at once, here.

    Args:
        address: of a Dask scheduler whose workers see cache and photos under the same
            paths; a lost worker's photos are done by another.
        pipeline: makes them.
        bags: the training photos.
        seed: of the cues.
        monitor: is told of progress.

    Raises:
        ValueError: if a worker sees other photos or no cache, or would make other
            features; or if they are not finite.
    """
    # Workers elsewhere have another current folder.
    pipeline = replace(pipeline, cache=pipeline.cache.absolute())
    # Last digits of features go by the number of threads.
    threads = torch.get_num_threads()
    there = partial(workers, address, folder=pipeline.cache, threads=threads)
    given = pipeline.settings, pipeline.cache, pipeline.device, pipeline.consumed
    make = partial(_same, partial(Pipeline, *given), dict(pipeline.frozen.made_by))
    step = monitor.start("proposals and features", len(bags))
    with there(make, what="parts or photos") as those:
        keys = {id(bag.image): bag.key for bag in bags}
        for image, key in those.map(_prepared, [bag.image for bag in bags]):
            if key != keys[id(image)]:
                raise ValueError(f"a worker sees another photo as {image.name}")
            step(image.name)
    cues = pipeline.cues(bags, seed)
    if cues.labeller is None:
        return
    unknown = [bag for bag in bags if bag.tags.any() and not cues.has(bag)]
    if not unknown:
        return
    labeller = cues.learned()
    step = monitor.start("cues", len(unknown))
    label = partial(_cues, make, labeller, cues.scale, cues.cache)
    with there(label, what="cues or photos") as those:
        for image, _ in those.map(_labelled, [bag.image for bag in unknown]):
            step(image.name)


def _same(make: Callable[[], Pipeline], made_by: Any) -> Pipeline:
    """Build the pipeline on a worker.

    Raises:
        ValueError: if it makes other features there.
    """
    pipeline = make()
    if changes := differences(made_by, dict(pipeline.frozen.made_by)):
        raise ValueError(
            f"expected the features of this process on {here()}, where they come from "
            f"something else: {in_words(changes)}"
        )
    return pipeline


def _prepared(pipeline: Pipeline, image: TaggedImage) -> str:
    """Make proposals and features of a photo; return the digest of what was seen."""
    [bag] = pipeline.bags([image])
    try:
        pipeline.prepare([bag])
        return bag.key
    except FileNotFoundError as error:
        raise ValueError(
            f"{here()} does not see what it must see under the same path as this "
            f"process: {error}"
        ) from error


def _cues(
    make: Callable[[], Pipeline],
    labeller: CueLabeller | None,
    scale: Scale,
    cache: Cache | None,
) -> tuple[Pipeline, Cues]:
    pipeline = make()
    return pipeline, Cues(labeller, pipeline.frozen, scale, cache, pipeline.shared)


def _labelled(parts: tuple[Pipeline, Cues], image: TaggedImage) -> None:
    """Label the proposals of a photo; the cache keeps the labels."""
    pipeline, cues = parts
    cues(*pipeline.bags([image]))
