from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.builders import match
from tests.evaluation.drawing import blobs, found, truth
from wsis.evaluation import evaluate
from wsis.experiments._resampling import NAMES, draws, figures, point

CLASSES = ("a", "b", "c")


def repeated(items, counts):
    """Each of the items as often as its count says, as images of their own."""
    copies = [one for one, n in zip(items, counts, strict=True) for _ in range(n)]
    return [replace(one, image_id=i) for i, one in enumerate(copies)]


@settings(max_examples=25)
@given(st.integers(0, 2**31 - 1))
def test_the_figures_are_those_of_the_evaluation(seed):
    predictions, truths = blobs(images=5, classes=3, seed=seed)
    assume(any(bool((~one.ignore).any()) for one in truths))

    measured = point(match(predictions, truths, CLASSES))

    expected = evaluate(predictions, truths, CLASSES).metrics
    for name in NAMES:
        assert measured[name] == pytest.approx(expected[name], abs=1e-9)


@settings(max_examples=15)
@given(st.integers(0, 2**31 - 1))
def test_a_weighted_image_counts_as_so_many_images(seed):
    predictions, truths = blobs(images=5, classes=3, seed=seed)
    # Copies of an image are seen together, so no two of its scores may be equal.
    predictions = [
        replace(p, score=p.score - torch.arange(len(p)) / 1e3) for p in predictions
    ]
    counts = np.random.default_rng(seed).multinomial(5, [0.2] * 5)
    copies = repeated(truths, counts)
    assume(any(bool((~one.ignore).any()) for one in copies))

    matches = match(predictions, truths, CLASSES)
    weighted = figures(matches, np.stack([counts, np.ones(5, int)]))

    expected = evaluate(repeated(predictions, counts), copies, CLASSES).metrics
    for name in NAMES:
        assert weighted[name][0] == pytest.approx(expected[name], abs=1e-9)
        assert weighted[name][1] == pytest.approx(point(matches)[name])


def test_a_sample_without_objects_has_no_figure():
    truths = [truth((1, 0, 10), image=1), truth(image=2)]
    predictions = [found((0.9, 1, 0, 10), image=1), found((0.8, 1, 0, 4), image=2)]

    measured = figures(match(predictions, truths, ("a",)), np.array([[2, 0], [0, 2]]))

    assert measured["mAP50"][0] == 100
    assert np.isnan(measured["mAP50"][1])


def test_samples_have_as_many_images_and_depend_on_the_generator_alone():
    one, two = (draws(7, 50, torch.Generator().manual_seed(3)) for _ in range(2))

    assert (one == two).all()
    assert (one.sum(1) == 7).all()
    assert one.mean(0) == pytest.approx(np.ones(7), abs=0.5)
