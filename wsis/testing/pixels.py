"""Checks of what reads photos: sources of proposals, contours and data sets."""

from collections.abc import Sequence

import numpy as np
import torch

from wsis.contracts import (
    Contours,
    DataSource,
    Image,
    ProposalSource,
    Supervision,
    Tagged,
)
from wsis.geometry.masks import areas
from wsis.testing._drawn import photo
from wsis.testing._expecting import expect, expect_protocol, same


def expect_ledger(part: object, ledger: object) -> None:
    """Expect a set of the labels that a part consumed.

    Raises:
        AssertionError: if it is something else.
    """
    fits = isinstance(ledger, frozenset) and all(
        isinstance(one, Supervision) for one in ledger
    )
    expect(fits, part, f"ledger to be a frozenset of Supervision, got {ledger!r}")


def check_source(source: ProposalSource, image: Image | None = None) -> None:
    """Check that a source gives whole proposals of the image's size, best first.

    Args:
        source: with any settings.
        image: that it has proposals of; a drawn one if not given.

    Raises:
        AssertionError: if it does not.
    """
    expect_protocol(source, ProposalSource)
    expect_ledger(source, source.ledger)
    image = photo() if image is None else image
    before = image.copy()
    found, again = source(image), source(image)
    text = f"proposals of the image's size {image.shape[:2]}, got {found.size}"
    expect(found.size == image.shape[:2], source, text)
    expect(len(found) >= 1, source, "at least one proposal")
    used = found.regions.unique()
    whole = used.equal(torch.arange(found.members.shape[1]))
    text = "regions 0…R - 1, each of at least one pixel, and a column of members each"
    expect(whole, source, text)
    expect(areas(found).min() >= 1, source, "proposals of at least one pixel")
    falling = (found.objectness.diff() <= 0).all()
    expect(falling, source, "proposals in the order of their objectness, best first")
    text = f"proposals to carry the source's ledger, got {found.ledger}"
    expect(found.ledger == source.ledger, source, text)
    expect(same(found, again), source, "the same proposals of the same image")
    expect(np.array_equal(image, before), source, "the image to stay as it is")


def check_contours(contours: Contours, image: Image | None = None) -> None:
    """Check that contours are shares, one a pixel, and the same again.

    Args:
        contours: with any settings.
        image: a drawn one if not given.

    Raises:
        AssertionError: if they are not.
    """
    expect_protocol(contours, Contours)
    expect_ledger(contours, contours.ledger)
    image = photo(24, 33) if image is None else image
    found, again = contours(image), contours(image)
    text = f"a number for each pixel of {image.shape[:2]}, got {found.shape}"
    expect(found.shape == image.shape[:2], contours, text)
    least, most = float(found.min()), float(found.max())
    text = f"numbers in [0, 1], got {least}…{most}"
    expect(0 <= least <= most <= 1, contours, text)
    expect(
        np.array_equal(found, again), contours, "the same contours of the same image"
    )


def check_dataset(source: DataSource) -> None:
    """Check that both halves of a data set fit together and are the same again.

    Photos have ids and tags of their own, the first can be read, and truths belong to
    the photos at their place.

    Raises:
        AssertionError: if they do not.
    """
    expect_protocol(source, DataSource)
    tagged = source.train()
    _check_tagged(source, tagged, "train()")
    text = "the same photos and tags again from train()"
    expect(_listed(tagged) == _listed(source.train()), source, text)
    val = source.val()
    if val is None:
        return
    _check_tagged(source, val.tagged, "val()")
    text = "the same classes in train() and val()"
    expect(tagged.classes == val.tagged.classes, source, text)
    ids = [one.image_id for one in val.truths]
    text = "val().truths to be those of val().tagged.images, one by one"
    expect(ids == [one.id for one in val.tagged.images], source, text)
    for truth in val.truths:
        where = f" (image {truth.image_id} of val())"
        labels = truth.label.tolist()
        text = f"labels in 1…{len(tagged.classes)}, got {labels}{where}"
        expect(all(1 <= one <= len(tagged.classes) for one in labels), source, text)
        lengths = {len(labels), len(truth.masks), len(truth.ignore), len(truth.area)}
        text = f"a label, mask, ignore and area for each object{where}"
        expect(len(lengths) == 1, source, text)
        sizes = {tuple(one["size"]) for one in truth.masks}
        text = f"masks of the photo's size {truth.size}, got {sorted(sizes)}{where}"
        expect(sizes <= {tuple(truth.size)}, source, text)


def _check_tagged(source: DataSource, tagged: Tagged, where: str) -> None:
    expect(isinstance(tagged, Tagged), source, f"Tagged in {where}")
    names: Sequence[str] = tagged.classes
    expect(len(set(names)) == len(names) > 0, source, f"distinct classes in {where}")
    expect(len(tagged.images) > 0, source, f"photos in {where}")
    ids = [one.id for one in tagged.images]
    expect(len(set(ids)) == len(ids), source, f"distinct ids of photos in {where}")
    for one in tagged.images:
        fits = one.tags.dtype == torch.bool and one.tags.shape == (len(names),)
        text = f"{len(names)} tags, True or False, of {one.name} in {where}"
        expect(fits, source, text)
    image = tagged.images[0].load()
    fits = image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    text = f"RGB of uint8, (H, W, 3), got {image.dtype} {image.shape} in {where}"
    expect(fits, source, text)


def _listed(tagged: Tagged) -> list[tuple[int, str, list[bool]]]:
    return [(one.id, one.name, one.tags.tolist()) for one in tagged.images]
