import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import random_proposals, strips
from wsis.contracts import Proposals, Supervision
from wsis.proposals._packing import PARTS, pack, unpack

LEDGER = frozenset({Supervision.MASKS})


def assert_same(found: Proposals, expected: Proposals) -> None:
    for name in ("regions", "members", "objectness"):
        one, other = getattr(found, name), getattr(expected, name)
        assert torch.equal(one, other)
        assert one.dtype == other.dtype


def test_regions_are_runs_in_reading_order():
    packed = pack(strips((0, 4), (2, 6)))

    assert set(packed) == set(PARTS)
    assert packed["labels"].tolist() == [0, 1, 2, 3]
    assert packed["lengths"].tolist() == [2, 2, 2, 4]
    assert packed["members"].tolist() == [[0b11000000], [0b01100000]]
    assert packed["labels"].dtype == np.int16


@given(st.integers(0, 2**31 - 1), st.integers(1, 30), st.integers(1, 20))
@settings(max_examples=20)
def test_comes_back_to_the_last_bit(seed, count, width):
    proposals = random_proposals(count, (7, width), seed)

    found = unpack(pack(proposals), "here", LEDGER)

    assert_same(found, proposals)
    assert found.source == "here"
    assert found.ledger == LEDGER


def test_more_regions_than_int16_has_numbers():
    proposals = random_proposals(24, (250, 200))
    assert proposals.members.shape[1] > 2**15

    assert_same(unpack(pack(proposals), "", frozenset()), proposals)


@pytest.mark.parametrize("size", [(1, 1), (200, 300)])
def test_no_proposal_and_one_region(size):
    proposals = Proposals(
        regions=torch.zeros(size, dtype=torch.long),
        members=torch.zeros(0, 1, dtype=torch.bool),
        objectness=torch.zeros(0),
        source="none",
    )

    assert_same(unpack(pack(proposals), "", frozenset()), proposals)


def test_a_label_map_that_an_earlier_version_kept_is_read():
    proposals = random_proposals(12, (9, 11))
    earlier = {
        "regions": proposals.regions.to(torch.int16).numpy(),
        "members": np.packbits(proposals.members.numpy(), axis=1),
        "count": np.array(proposals.members.shape[1]),
        "objectness": proposals.objectness.numpy(),
    }

    assert_same(unpack(earlier, "", frozenset()), proposals)
