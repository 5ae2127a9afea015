from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from jaxtyping import Float
from skimage.color import rgb2lab

from tests.proposals.test_region_tree import drawing
from wsis.contracts import Image, Ledger, Supervision
from wsis.heads import MaskPool
from wsis.plugins import SettingError
from wsis.proposals.contours import (
    LabContours,
    contours_of,
    derivative,
    lab_gradient,
)
from wsis.proposals.evidence import PixelEvidence
from wsis.proposals.grouping import Grouping
from wsis.proposals.region_tree import RegionTree
from wsis.runs.settings import Part


def step(height: float) -> np.ndarray:
    """Dark on the left, lighter by ``height`` from column 20 on."""
    lab = np.zeros((30, 40, 3))
    lab[:, 20:, 0] = height
    return lab


def test_contours_are_where_colours_change():
    contour = lab_gradient(step(50), sigma=1.0)

    assert contour.shape == (30, 40)
    assert set(contour.argmax(1)) <= {19, 20}
    assert np.allclose(contour[:, :10], 0)


def test_strength_is_proportional_to_the_change():
    assert np.allclose(lab_gradient(step(50)), 5 * lab_gradient(step(10)))


def test_direction_does_not_matter():
    lab = np.random.default_rng(0).random((12, 15, 3))

    assert np.allclose(lab_gradient(lab.transpose(1, 0, 2)), lab_gradient(lab).T)


def test_derivative_of_a_slope_is_its_steepness():
    slope = np.arange(40.0)[None, None].repeat(30, 1) * 3

    assert np.allclose(derivative(slope, 1, 1.0)[..., 8:-8], 3, atol=1e-3)
    assert np.allclose(derivative(slope, 0, 1.0), 0)


def test_lab_contours_are_the_gradients_share_of_a_certain_one():
    image = np.zeros((30, 40, 3), np.uint8)
    image[:, 20:] = 60

    weak = LabContours()(image)

    assert np.allclose(weak, lab_gradient(rgb2lab(image)) / 50)
    image[:, :20], image[:, 20:] = (0, 0, 255), (255, 255, 0)
    assert LabContours(sigma=0.5)(image).max() == 1
    assert LabContours().ledger == frozenset()


def test_lab_contours_refuse_a_negative_sigma():
    with pytest.raises(ValueError, match="sigma must be positive, got -1"):
        LabContours(sigma=-1.0)


@dataclass(frozen=True)
class Columns:
    """Contours at every few columns."""

    every: int = 8

    @property
    def ledger(self) -> Ledger:
        return frozenset({Supervision.POINTS})

    def __call__(self, image: Image) -> Float[np.ndarray, "H W"]:
        found = np.zeros(image.shape[:2])
        found[:, :: self.every] = 1
        return found


@pytest.mark.parametrize(
    "source",
    [
        partial(Grouping, count=20, side=64),
        partial(RegionTree, nodes=20, pairs=0, side=64),
    ],
)
def test_sources_take_contours_as_objects(source):
    by_name = source(contours="lab")(drawing())
    same = source(contours=LabContours())(drawing())
    own = source(contours=Columns())

    assert by_name.regions.equal(same.regions)
    assert by_name.members.equal(same.members)
    assert own.ledger == {Supervision.POINTS}
    assert own(drawing()).ledger == own.ledger
    assert not own(drawing()).regions.equal(same.regions)


def test_evidence_takes_contours_as_an_object():
    proposals = RegionTree(nodes=20, pairs=0)(drawing())

    named = PixelEvidence()(drawing(), proposals)

    assert PixelEvidence(contours=LabContours())(drawing(), proposals).equal(named)
    assert not PixelEvidence(contours=Columns())(drawing(), proposals).equal(named)


def test_a_class_of_contours_is_refused():
    with pytest.raises(ValueError, match="expected contours by name, or an object"):
        contours_of(Columns)


def test_contours_as_objects_are_told_apart_and_built_again():
    part = Part.of(RegionTree(contours=Columns(every=4)), "sources")
    other = Part.of(RegionTree(contours=Columns(every=5)), "sources")
    read = Part.model_validate_json(part.model_dump_json())

    assert part != other
    assert read == part
    assert read.build("sources") == RegionTree(contours=Columns(every=4))
    assert read.resolved("sources") == part.resolved("sources")
    assert Part.of(RegionTree(contours="lab"), "sources").settings == {}


def test_contours_of_classes_that_are_gone_or_odd_are_named():
    def built(name):
        settings = {"contours": {"name": name, "settings": {}}}
        return Part(name="region_tree", settings=settings).build("sources")

    with pytest.raises(SettingError, match=r"no class gone\.Contours to import"):
        built("gone.Contours")
    with pytest.raises(SettingError, match=r"os\.getcwd was an object"):
        built("os.getcwd")


def test_heads_tell_contours_that_are_an_object():
    def head(evidence):
        torch.manual_seed(0)
        return Part.of(MaskPool(8, evidence=evidence), "heads")

    assert head(Columns(every=4)) == head(Columns(every=4))
    assert head(Columns(every=4)) != head(Columns(every=5))
    assert head("lab") != head(Columns())
    assert head("lab") == head("lab")
