import numpy as np
import pytest

from tests.builders import random_proposals
from tests.proposals.jobs import Draw, Fail, draws, pixels, unreadable
from tests.proposals.test_packing import assert_same
from wsis._support.files import digest
from wsis.proposals.making import MakeJob, Photo, attempt
from wsis.proposals.packing import unpack
from wsis.proposals.region_tree import RegionTree
from wsis.proposals.workers import here


def test_an_outcome_has_the_photos_proposals():
    [first, second] = here(draws(2))

    assert (first.name, second.name) == ("0.jpg", "1.jpg")
    assert first.key == digest(pixels())
    assert first.error == ""
    found = unpack(second.packed, "", frozenset())
    assert_same(found, random_proposals(2, (6, 7), 1))


def test_a_source_is_built_by_name_and_settings():
    image = np.random.default_rng(0).integers(0, 255, (32, 40, 3), np.uint8)
    photo = Photo(name="a.jpg", load=lambda: image)
    job = MakeJob(photo=photo, source="region_tree", settings={"nodes": "7"})

    outcome = attempt(job)

    expected = RegionTree(nodes=7)(image)
    assert_same(unpack(outcome.packed, "", frozenset()), expected)
    assert outcome.seconds > 0


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (Draw(Photo(name="a", load=unreadable), 1), "expected a photo, got a sandwich"),
        (Fail(Photo(name="a", load=pixels)), "RuntimeError: out of luck"),
        (
            MakeJob(photo=Photo(name="a", load=pixels), source="tre", settings={}),
            "no source is called 'tre'",
        ),
    ],
)
def test_what_fails_says_why_and_stops_nothing(job, message):
    [failed, fine] = here([job, *draws(1)])

    assert message in failed.error
    assert failed.packed is None
    assert fine.packed is not None


def test_proposals_of_another_size_are_an_error():
    class Small:
        photo = Photo(name="a", load=pixels)

        def propose(self, image):
            return random_proposals(3, (2, 3))

    assert "proposals of 6 x 7 pixels (height x width) as the photo has, got 2 x 3" in (
        attempt(Small()).error
    )
