import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.problems import drawn, pseudo_of, spans
from wsis.contracts import Assigner, Cascading, Targets
from wsis.mining.assignment import CascadeAssigner, OICRAssigner, Reading

CASCADE: Assigner = CascadeAssigner()
# IoU with the first: 1, 3/4, 1/2, 1/4, 1/8, 0.
LINE = spans((0, 8), (0, 6), (0, 4), (0, 2), (0, 1), (8, 9))
PSEUDO = pseudo_of((0, 3, 0.5))


def test_overlap_decides_what_a_proposal_is() -> None:
    targets = CASCADE(PSEUDO, LINE)

    assert targets.label.tolist() == [3, 3, 3, 3, 0, -1]
    assert targets.integrity.tolist() == [1, 1, 0, 0, 0, 0]
    assert targets.weight.tolist() == [0.5] * 5 + [0]
    assert targets.assignment.tolist() == [0, 0, 0, 0, -1, -1]


def test_thresholds_rise_by_branch() -> None:
    assert isinstance(CascadeAssigner(), Cascading)

    targets = CascadeAssigner(step=0.25).at(1)(PSEUDO, LINE)

    assert targets.label.tolist() == [3, 3, 3, 0, 0, -1]
    assert targets.integrity.tolist() == [1, 0, 0, 0, 0, 0]


def test_the_nearest_pseudo_instance_counts_and_of_equals_the_first() -> None:
    line = spans((0, 4), (4, 8), (3, 5), (5, 8))

    targets = CASCADE(pseudo_of((1, 2, 0.25), (0, 1, 0.5)), line)

    assert targets.assignment.tolist() == [1, 0, -1, 0]
    assert targets.label.tolist() == [1, 2, 0, 2]
    assert targets.weight.tolist() == [0.5, 0.25, 0.25, 0.25]


def test_oversized_proposals_become_background_if_asked() -> None:
    line = spans((0, 4), (0, 5), (0, 6))

    assert CASCADE(PSEUDO, line).label.tolist() == [3, 3, 3]
    assert CascadeAssigner(oversized=True)(PSEUDO, line).label.tolist() == [3, 3, 0]


@pytest.mark.parametrize(
    ("reading", "label", "weight"),
    [
        ("wetectron", [3, 3, 0, 0, 0, 0], [0.5] * 6),
        ("pcl", [3, 3, 3, 0, 0, 0], [0.5] * 5 + [0]),
        ("mist", [3, 3, 3, 0, 0, 0], [0.5] * 6),
    ],
)
def test_readings_of_the_box_assigner(
    reading: Reading, label: list[int], weight: list[float]
) -> None:
    assigner: Assigner = OICRAssigner(reading=reading)

    targets = assigner(PSEUDO, LINE)

    assert targets.label.tolist() == label
    assert targets.weight.tolist() == weight
    # The half is not above the threshold, whatever it is labelled.
    assert targets.integrity.tolist() == [1, 1, 0, 0, 0, 0]
    assert targets.assignment.tolist() == [0 if c else -1 for c in label]


def test_the_box_assigner_ignores_below_its_threshold() -> None:
    targets = OICRAssigner(reading="pcl", t_ignore=0.125)(PSEUDO, LINE)

    assert targets.weight.tolist() == [0.5] * 5 + [0]


@pytest.mark.parametrize("assigner", [CascadeAssigner(), OICRAssigner()])
def test_refuses_to_assign_to_nothing(assigner: Assigner) -> None:
    with pytest.raises(ValueError, match="at least one pseudo instance"):
        assigner(pseudo_of(), LINE)


@pytest.mark.parametrize("value", [-0.5, 1.5, float("nan")])
def test_refuses_what_is_no_fraction(value: float) -> None:
    for setting in ("t_cls", "t_iou", "step"):
        with pytest.raises(ValueError, match=f"^{setting} must be in"):
            CascadeAssigner(**{setting: value})
    for setting in ("t_cls", "t_ignore"):
        with pytest.raises(ValueError, match=f"^{setting} must be in"):
            OICRAssigner(**{setting: value})


def test_oversized_proposals_join_the_background_that_there_is() -> None:
    line = spans((0, 8), (0, 1), (0, 9), (0, 9))

    assert CascadeAssigner(oversized=True)(PSEUDO, line).label.tolist()[1] == 0


def test_thresholds_may_stay_and_nothing_be_ignored() -> None:
    still = CascadeAssigner(step=0.0)

    assert still.at(2) == still
    targets = OICRAssigner(reading="pcl", t_ignore=0.0)(PSEUDO, LINE)
    assert targets.weight.tolist() == [0.5] * 6


def test_refuses_an_integrity_that_nothing_reaches() -> None:
    with pytest.raises(ValueError, match=r"^t_iou must be in \[0, 1\), got 1.0"):
        CascadeAssigner(t_iou=1.0)


def test_refuses_branches_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"^branch must be 0 or more"):
        CascadeAssigner().at(-1)
    with pytest.raises(ValueError, match=r"^t_iou must be in"):
        CascadeAssigner().at(6)


def test_refuses_an_unknown_reading() -> None:
    # The run-time check of types, on in tests, refuses it first: with a TypeError.
    with pytest.raises((ValueError, TypeError), match="reading"):
        OICRAssigner(reading="oicr")  # type: ignore[arg-type]


@settings(max_examples=60)
@given(st.integers(0, 2**31), st.integers(1, 25), st.integers(1, 6), st.integers(0, 2))
def test_matches_the_plain_loop(seed: int, count: int, found: int, branch: int) -> None:
    _, overlaps, _ = drawn(seed, count, classes=3)
    generator = torch.Generator().manual_seed(seed)
    index = torch.randint(count, (found,), generator=generator)
    label = torch.randint(1, 4, (found,), generator=generator)
    weight = torch.rand(found, generator=generator)
    pseudo = type(PSEUDO)(index, label, weight)

    targets = CascadeAssigner().at(branch)(pseudo, overlaps)

    t_cls, t_iou = 0.25 + 0.1 * branch, 0.5 + 0.1 * branch
    expected: list[tuple[int, float, float, int]] = []
    for i in range(count):
        iou = [overlaps.iou[i, j] for j in index]
        nearest = max(range(found), key=lambda s: float(iou[s]))
        if iou[nearest] == 0:
            expected.append((-1, 0.0, 0.0, -1))
        elif iou[nearest] < t_cls:
            expected.append((0, 0.0, float(weight[nearest]), -1))
        else:
            complete = float(iou[nearest] > t_iou)
            row = (int(label[nearest]), complete, float(weight[nearest]), nearest)
            expected.append(row)
    assert _rows(targets) == expected


def _rows(targets: Targets) -> list[tuple[int, float, float, int]]:
    columns = (targets.label, targets.integrity, targets.weight, targets.assignment)
    return list(zip(*(column.tolist() for column in columns), strict=True))
