"""The typed data of wsis, what every part must do, and what it may do besides.

Conventions, settled here once:

- Boxes are xyxy float32 pixels, right and bottom exclusive.
- Scores: higher is better. Losses: lower is better.
- Labels: 0 is background, 1…C are the foreground classes, −1 is ignored.
- Score matrices have C + 1 columns, column 0 is background; tags have C entries.
- Images are RGB uint8 (H, W, 3) arrays at the door, float (3, H, W) tensors inside.
- Randomness comes from an explicit ``torch.Generator``.
- Errors are raised at the door: what was expected, what came, the choices.

Shape letters mean the same everywhere; a test checks them. A 1 behind a letter adds
one: C1 is C + 1. Other axes are words that explain themselves (``bins``).

    B   images, of a batch or a data set
    C   foreground classes
    D   channels of a feature map, or numbers in a vector
    E   edges: pairs of neighbouring regions
    G   ground-truth objects
    H   height of an image in pixels
    K   a selection: candidates, seeds, masks, or columns of some classes
    M   predictions
    N   proposals
    P   points, or peaks of a map
    R   regions, superpixels too
    S   pseudo instances
    T   thresholds of IoU
    W   width of an image in pixels
    h   height of a feature map, or of a picture at another size
    w   width of the same
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from wsis._support.places import moved

Image = UInt8[np.ndarray, "H W 3"]
"""An RGB image as it enters the library."""

Rle = Mapping[str, Any]
"""COCO's run-length encoding: ``{"size": [H, W], "counts": bytes}``."""


class Supervision(StrEnum):
    """The labels that people had to give for a part to exist."""

    TAGS = "tags"
    COUNTS = "counts"
    POINTS = "points"
    BOUNDARIES = "boundaries"
    IMAGENET = "imagenet classes"
    MASKS = "masks"


Ledger = frozenset[Supervision]
"""The labels that all parts of a result consumed together."""


# --- Images and annotations --------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Points:
    """Points that somebody gave for objects of a photo: one point an object.

    Args:
        xy: pixels from the photo's left and top.
        label: class of the object, 1…C.
    """

    xy: Float[Tensor, "P 2"]
    label: Int[Tensor, " P"]

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaggedImage:
    """A photo and the classes on it: all that training ever sees.

    Args:
        id: number of the image, unique in its data set.
        name: file name or title, for messages and reports.
        tags: the classes present.
        load: reads the pixels; may raise ``ValueError`` naming the file.
        points: given by somebody, or None. Only cues that state ``Supervision.POINTS``
            look at them.
        counts: how many objects of each class somebody counted, 0 where nobody did;
            None where nobody counted any.
        background: whether the photo is known to show none of the classes; without it,
            a photo without tags is one that nobody looked at.

    Raises:
        ValueError: if a photo of background has tags.
    """

    id: int
    name: str
    tags: Bool[Tensor, " C"]
    load: Callable[[], Image]
    points: Points | None = None
    counts: Int[Tensor, " C"] | None = None
    background: bool = False

    def __post_init__(self) -> None:
        if self.background and self.tags.any():
            raise ValueError(f"expected no tags of background, {self.name} has some")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroundTruth:
    """The objects of one image, read by evaluation alone.

    Args:
        image_id: the image's number.
        size: (H, W) in pixels.
        label: class of each object, 1…C.
        masks: each object's pixels.
        ignore: crowds and difficult objects, neither to be found nor to be missed.
        area: pixels, as annotated; COCO's size ranges use it.
    """

    image_id: int
    size: tuple[int, int]
    label: Int[Tensor, " G"]
    masks: Sequence[Rle]
    ignore: Bool[Tensor, " G"]
    area: Float[Tensor, " G"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tagged:
    """A data set as training sees it: names of the classes, tagged images, no masks."""

    name: str
    classes: tuple[str, ...]
    images: Sequence[TaggedImage]

    @property
    def background(self) -> int:
        """The number of photos that are known to show none of the classes."""
        return sum(image.background for image in self.images)

    @property
    def epoch(self) -> int:
        """The number of photos that training passes over: all but background."""
        return len(self.images) - self.background


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Annotated:
    """A data set as evaluation sees it: ``truths[i]`` is of ``tagged.images[i]``."""

    tagged: Tagged
    truths: Sequence[GroundTruth]


# --- Proposals ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Proposals:
    """Mask proposals of one image as a label map and a membership matrix.

    Proposal i covers the pixels whose region r has ``members[i, r]``. Boxes, areas,
    crops, RLE and dense masks are derived on demand by ``wsis.geometry.masks``.

    Args:
        regions: each pixel's region, 0…R−1; every region has at least one pixel.
        members: the regions of each proposal; no proposal is empty.
        objectness: any order of preference; proposals are sorted by it, best first.
        source: the part that made them, for reports.
        ledger: the labels consumed in making them.
    """

    regions: Int[Tensor, "H W"]
    members: Bool[Tensor, "N R"]
    objectness: Float[Tensor, " N"]
    source: str
    ledger: Ledger = frozenset()

    def __len__(self) -> int:
        return self.members.shape[0]

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        height, width = self.regions.shape
        return height, width


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Overlaps:
    """The overlaps between all proposals of an image.

    Args:
        iou: intersection over union.
        containment: ``containment[i, j]`` is the share of j that lies inside i.
        area: pixels.
    """

    iou: Float[Tensor, "N N"]
    containment: Float[Tensor, "N N"]
    area: Float[Tensor, " N"]

    def __len__(self) -> int:
        return len(self.area)

    def to(self, device: torch.device | str) -> "Overlaps":
        """Return the same on ``device``."""
        return Overlaps(
            *(moved(one, device) for one in (self.iou, self.containment, self.area))
        )


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Evidence about an image's proposals, from features and pixels.

    Args:
        likeness: unit rows; the product of two tells how alike the proposals look, from
            −1 to 1.
        closure: log ratio of the contours along a proposal's outline to those inside
            it, higher where it looks whole; None where nothing looks for contours.
    """

    likeness: Float[Tensor, "N D"]
    closure: Float[Tensor, " N"] | None


# --- Mining ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class BranchScores:
    """A branch's scores of every proposal.

    Args:
        classification: softmax over the C + 1 classes.
        localization: softmax over proposals (anti-noise branch) or integrity in [0, 1];
            None where a branch has no integrity.
    """

    classification: Float[Tensor, "N C1"]
    localization: Float[Tensor, "N C1"] | None

    @property
    def product(self) -> Float[Tensor, "N C1"]:
        """Classification × localization; classification alone without localization."""
        if self.localization is None:
            return self.classification
        return self.classification * self.localization

    def detach(self) -> "BranchScores":
        """Return the same scores without their gradient."""
        localization = self.localization
        return BranchScores(
            self.classification.detach(),
            None if localization is None else localization.detach(),
        )


@dataclass(frozen=True, slots=True, eq=False)
class PseudoInstances:
    """Proposals trusted as instances.

    Args:
        index: the proposal.
        label: its class, 1…C.
        weight: how much it is trusted, in [0, 1].
        seed: the proposal that it was found from, for pictures; None where each is its
            own seed.
    """

    index: Int[Tensor, " S"]
    label: Int[Tensor, " S"]
    weight: Float[Tensor, " S"]
    seed: Int[Tensor, " S"] | None = None

    def __len__(self) -> int:
        return len(self.index)

    def to(self, device: torch.device | str) -> "PseudoInstances":
        """Return the same on ``device``."""
        index, label, weight = (
            moved(one, device) for one in (self.index, self.label, self.weight)
        )
        seed = None if self.seed is None else moved(self.seed, device)
        return PseudoInstances(index, label, weight, seed)

    def chosen(self, which: Tensor) -> "PseudoInstances":
        """Return some of them, chosen by a mask or by positions."""
        seed = None if self.seed is None else self.seed[which]
        return PseudoInstances(
            self.index[which], self.label[which], self.weight[which], seed
        )


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """The training target of every proposal.

    Args:
        label: −1 ignored, 0 background, 1…C foreground.
        integrity: target of the MaskIoU head, in [0, 1].
        weight: of the proposal in the losses.
        assignment: the pseudo instance (position in ``PseudoInstances``) that the
            proposal was assigned to; −1 where it is background or ignored.
    """

    label: Int[Tensor, " N"]
    integrity: Float[Tensor, " N"]
    weight: Float[Tensor, " N"]
    assignment: Int[Tensor, " N"]


# --- Parts -------------------------------------------------------------------------


_Same = TypeVar("_Same")


@runtime_checkable
class DataSource(Protocol):
    """Gives a data set's two halves; ``val`` is None where there are no masks."""

    def train(self) -> Tagged: ...

    def val(self) -> Annotated | None: ...


@runtime_checkable
class Traceable(Protocol):
    """A data source that also knows the objects of its training images.

    They are for evaluation alone: for ``wsis.evaluation.trace``, which watches training
    from outside, and for a bench's folds, which hold training images out in turn.
    """

    def train_truths(self) -> Sequence[GroundTruth]: ...


@runtime_checkable
class FromFile(Protocol):
    """A photo's ``load`` that reads a file, and tells where it is."""

    @property
    def path(self) -> Path: ...

    def __call__(self) -> Image: ...


@runtime_checkable
class Numbered(Protocol):
    """A data source with numbers of its own for the classes 1…C, in their order.

    Files of results name classes by them; without them, by 1…C.
    """

    def category_ids(self) -> tuple[int, ...]: ...


@runtime_checkable
class Contours(Protocol):
    """Tells how likely each pixel lies on an object's contour, in [0, 1].

    States the labels it was made with.
    """

    @property
    def ledger(self) -> Ledger: ...

    def __call__(self, image: Image) -> Float[np.ndarray, "H W"]: ...


@runtime_checkable
class ProposalSource(Protocol):
    """Makes mask proposals from pixels; states the labels it was made with."""

    @property
    def ledger(self) -> Ledger: ...

    def __call__(self, image: Image) -> Proposals: ...


@runtime_checkable
class Backbone(Protocol):
    """Turns normalised images into feature maps (an ``nn.Module``).

    ``mean`` and ``std`` (of 0…255 values) normalise; ``stride`` is that of the map.
    """

    channels: int
    stride: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    ledger: Ledger

    def __call__(
        self, images: Float[Tensor, "B 3 H W"]
    ) -> Float[Tensor, "B D h w"]: ...


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One image's feature map and its proposals in the map's own frame.

    Args:
        map: the backbone's output.
        boxes: of the proposals, in cells of the map.
        crops: each proposal's mask, cropped to its box and resized (0 or 1).
        regions: the label map at the image's own resolution, flipped as the map is.
        members: as in ``Proposals``.
        evidence: of the head's ``evidence``, where it has one.
    """

    map: Float[Tensor, "D h w"]
    boxes: Float[Tensor, "N 4"]
    crops: Float[Tensor, "N side side"]
    regions: Int[Tensor, "H W"]
    members: Bool[Tensor, "N R"]
    evidence: Float[Tensor, "N numbers"] | None = None


@runtime_checkable
class Describe(Protocol):
    """Describes the proposals of a photo by numbers from its pixels.

    States the labels that it was made with.
    """

    @property
    def ledger(self) -> Ledger: ...

    def __call__(
        self, image: Image, proposals: Proposals
    ) -> Float[Tensor, "N numbers"]: ...


@runtime_checkable
class Describing(Protocol):
    """A head that pools numbers from pixels beside the feature map.

    ``evidence`` makes them; None where the head's settings leave them out.
    """

    @property
    def evidence(self) -> Describe | None: ...


@runtime_checkable
class ProposalHead(Protocol):
    """Turns proposals into vectors (an ``nn.Module``).

    ``pool`` has no weights, so that pooled features can be kept when the backbone is
    frozen; calling the head turns them into ``width`` numbers a proposal.
    """

    width: int

    def pool(self, view: View) -> Float[Tensor, "N ..."]: ...

    def __call__(self, pooled: Float[Tensor, "N ..."]) -> Float[Tensor, "N D"]: ...


@runtime_checkable
class Recomputing(Protocol):
    """A head that pools a few proposals at a time, backwards as well.

    Where the backbone trains, pooled features are then not kept but made again in the
    backward pass, so that memory grows little with the number of proposals.
    """

    def vectors(self, view: View) -> Float[Tensor, "N D"]: ...


@runtime_checkable
class Telling(Protocol):
    """A head that tells evidence of proposals by what it pooled."""

    def tell(self, pooled: Float[Tensor, "N pooled"]) -> Evidence: ...


@runtime_checkable
class Calibrating(Protocol):
    """A head that looks at some images' pooled features before training begins."""

    def calibrate(self, pooled: Iterable[Float[Tensor, "N ..."]]) -> None: ...


@runtime_checkable
class CueSource(Protocol):
    """Finds pre-computed pseudo labels for the anti-noise branch.

    ``fit`` sees the training images' tags and feature maps, each read anew at every
    access, and returns a labeller of single images. Labels are an (N, C + 1) matrix:
    the number of each proposal's cluster (1, 2, …) in its class's column (column 0 is
    background), 0 elsewhere.
    """

    @property
    def ledger(self) -> Ledger: ...

    def fit(
        self,
        maps: Sequence[Float[Tensor, "D _ _"]],
        tags: Bool[Tensor, "B C"],
        generator: torch.Generator,
    ) -> "CueLabeller | None": ...


@runtime_checkable
class CueLabeller(Protocol):
    """Labels the proposals of one image with clusters.

    It sees the whole image, not its tags alone: some cues use its points or its pixels.
    """

    def __call__(
        self,
        image: TaggedImage,
        map: Float[Tensor, "D _ _"],
        proposals: Proposals,
        overlaps: Overlaps,
    ) -> Int[Tensor, "N C1"]: ...


Trace = Callable[[TaggedImage, Float[Tensor, "P D h w"]], Float[Tensor, "P H W"]]
"""Back-propagates each of P gradients on an image's feature map to its pixels.

The result is of the size the backbone saw, at least 0, and sums to 1 for each gradient.
"""


@runtime_checkable
class Tracing(Protocol):
    """A cue labeller that looks through the backbone; a run gives it the trace."""

    def through(self, trace: Trace) -> CueLabeller: ...


@runtime_checkable
class Pointing(Protocol):
    """A cue labeller that can show the points it looks at, for pictures."""

    def peaks(
        self, image: TaggedImage, map: Float[Tensor, "D _ _"], size: tuple[int, int]
    ) -> Points: ...


@runtime_checkable
class Miner(Protocol):
    """Chooses pseudo instances from a branch's scores. Callers promise N >= 1."""

    def __call__(
        self, scores: BranchScores, overlaps: Overlaps, tags: Bool[Tensor, " C"]
    ) -> PseudoInstances: ...


@runtime_checkable
class Evidential(Protocol):
    """A miner that also looks at evidence, where the head tells any.

    It is called with it as a fourth argument. Where cues teach branch 0, they are what
    ``amended`` makes of them by the scores of that branch itself; ``done`` is the share
    of training that is over.
    """

    def amended(
        self,
        cues: PseudoInstances,
        scores: BranchScores,
        overlaps: Overlaps,
        tags: Bool[Tensor, " C"],
        evidence: Evidence,
        done: float,
    ) -> PseudoInstances: ...

    def __call__(
        self,
        scores: BranchScores,
        overlaps: Overlaps,
        tags: Bool[Tensor, " C"],
        evidence: Evidence | None = None,
    ) -> PseudoInstances: ...


@runtime_checkable
class Sampling(Protocol):
    """A miner that is published with a noise sampler, and names it.

    A run uses that one unless its settings name another; without either, all pseudo
    instances are kept.
    """

    sampler: ClassVar[str]


@runtime_checkable
class NoiseSampler(Protocol):
    """Keeps some of the pseudo instances."""

    def __call__(
        self, pseudo: PseudoInstances, generator: torch.Generator
    ) -> PseudoInstances: ...


@runtime_checkable
class Assigner(Protocol):
    """Gives every proposal its target. Callers promise S >= 1."""

    def __call__(self, pseudo: PseudoInstances, overlaps: Overlaps) -> Targets: ...


@runtime_checkable
class Versioned(Protocol):
    """A part that counts the changes of its own results.

    Raise ``version`` whenever the same settings give another result than before, so
    that caches do not mix the two.
    """

    version: ClassVar[int]


@runtime_checkable
class Depending(Protocol):
    """A part whose results depend on more than its settings: on files, say."""

    def depends_on(self) -> Mapping[str, Any]:
        """Return all of it, JSON-like: checksums of files, other parts, precision."""
        ...


@runtime_checkable
class Cascading(Protocol):
    """A miner or assigner whose thresholds depend on the refinement branch, 0…K−1."""

    def at(self: _Same, branch: int) -> _Same: ...


__all__ = [
    "Annotated",
    "Assigner",
    "Backbone",
    "BranchScores",
    "Calibrating",
    "Cascading",
    "Contours",
    "CueLabeller",
    "CueSource",
    "DataSource",
    "Depending",
    "Describe",
    "Describing",
    "Evidence",
    "Evidential",
    "FromFile",
    "GroundTruth",
    "Image",
    "Ledger",
    "Miner",
    "NoiseSampler",
    "Numbered",
    "Overlaps",
    "Pointing",
    "Points",
    "ProposalHead",
    "ProposalSource",
    "Proposals",
    "PseudoInstances",
    "Recomputing",
    "Rle",
    "Sampling",
    "Supervision",
    "Tagged",
    "TaggedImage",
    "Targets",
    "Telling",
    "Trace",
    "Traceable",
    "Tracing",
    "Versioned",
    "View",
]
