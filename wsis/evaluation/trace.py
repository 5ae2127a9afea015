"""Compares what training is taught with the objects: for benches, not for training."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Int8
from scipy.stats import rankdata
from torch import Tensor

from wsis.contracts import DataSource, GroundTruth, Proposals, Traceable
from wsis.evaluation.kinds import FOUND, IGNORED, Kind, Rules, kinds_of
from wsis.evaluation.matches import Meeting
from wsis.geometry.frame import enlarged
from wsis.geometry.overlap import cross_shared
from wsis.proposals.bags import Bag
from wsis.proposals.store import KeptSource
from wsis.training.supervision import BranchStep

BINS = 10
"""Bins of the reliability curve, each a tenth wide."""

CODES = (FOUND, IGNORED, *(str(kind) for kind in Kind))
SHARES = Kind.PART, Kind.WHOLE_PLUS, Kind.CLASS, Kind.SHIFTED, Kind.BACKGROUND
_RIGHT, _EXCUSED = CODES.index(FOUND), CODES.index(IGNORED)


@dataclass(eq=False)
class Trace:
    """An observer that compares pseudo instances and targets with the objects.

    It reads the masks of training photos, so nothing that it sees may reach training;
    ``wsis train`` has no observer. A pseudo instance is right if ``Rules`` call it a
    find or a duplicate of an object of its class; ignored objects excuse.

    Args:
        bags: the training images.
        truths: their objects, in the same order; read once for each image.
        rules: thresholds.

    Raises:
        ValueError: if bags and truths are not equally many.
    """

    bags: Sequence[Bag]
    truths: Sequence[GroundTruth]
    rules: Rules = field(default_factory=Rules)

    def __post_init__(self) -> None:
        if len(self.bags) != len(self.truths):
            raise ValueError(
                f"expected the objects of each of {len(self.bags)} images, got "
                f"{len(self.truths)}"
            )
        self._place = {bag.image.id: i for i, bag in enumerate(self.bags)}
        self._known: dict[int, _Image] = {}
        self._sums: dict[tuple[int, int], _Sums] = defaultdict(_Sums)

    @classmethod
    def of(cls, data: DataSource, source: KeptSource) -> "Trace":
        """Watch a data set's training images with the proposals that training takes.

        Raises:
            ValueError: if the data set does not tell the objects of its training
                images.
        """
        truths = training_truths(data)
        bags = [Bag(image, source) for image in data.train().images]
        return cls(bags, truths)

    def __call__(self, step: BranchStep) -> None:
        """Add what one branch is taught on one image.

        Raises:
            ValueError: if the image is not of the bags, or unknown.
        """
        if step.image_id not in self._place or step.epoch is None:
            raise ValueError(
                f"expected a step of one of {len(self._place)} images, got image "
                f"{step.image_id} in epoch {step.epoch}"
            )
        if step.image_id not in self._known:
            i = self._place[step.image_id]
            classes = step.scores.classification.shape[1] - 1
            self._known[step.image_id] = _Image.of(
                self.bags[i].proposals, self.truths[i], classes, self.rules
            )
        self._sums[step.epoch, step.branch].add(step, self._known[step.image_id])

    def results(self) -> list[dict[str, Any]]:
        """Return a JSON-like row for each epoch and branch, in this order.

        All but numbers, ``area`` and correlations are in percent; None stands where
        there is nothing to measure.

        - ``epoch`` and ``branch`` from 0; ``images`` seen.
        - ``pseudo``: pseudo instances an image, without those that are excused;
          ``precision``: the share of right ones; ``iou``: their mean highest IoU with
          an object of their class; ``part``, ``whole-plus`` (merged ones included),
          ``class``, ``shifted`` and ``background``: shares of the kinds.
        - ``area``: the pixels of each class's heaviest pseudo instance (the first of
          several), divided by those of the object of that class that it overlaps most;
          the geometric mean over those that overlap one.
        - ``targets_right``: the share of targets, foreground and background, that agree
          with the masks: a class if the proposal would be right as a pseudo instance of
          it, background if it would be right of no class; ``foreground_right``: the
          share among foreground targets; ``foreground``: how many there are an image.
        - ``integrity``: what the branch that is taught says of all proposals that touch
          an object, for each class tagged, against their highest IoU with an object of
          the class. ``reliability``: for each tenth of integrity its mean, that of the
          true IoU, and the count; ``error``: their mean absolute difference, weighted
          by count; ``rank_correlation``: Spearman's, within an image and class,
          averaged. A branch without integrity has counts of 0 and None.
        """
        return [
            {"epoch": epoch, "branch": branch, **self._sums[epoch, branch].results()}
            for epoch, branch in sorted(self._sums)
        ]


def training_truths(data: DataSource) -> Sequence[GroundTruth]:
    """Return the objects of a data set's training images.

    Raises:
        ValueError: if it does not tell them.
        FileNotFoundError: if their files are missing.
    """
    if not isinstance(data, Traceable):
        raise ValueError(
            "expected a data set that has the objects of its training images "
            f"(train_truths), got {type(data).__name__}"
        )
    return data.train_truths()


@dataclass(frozen=True, slots=True, eq=False)
class _Image:
    """The truth about every proposal, for every class; row 0 is the background."""

    code: Int8[np.ndarray, "C1 N"]  # of its kind in CODES; row 0: found of no class
    iou: Float[np.ndarray, "C1 N"]  # the highest with an object of the class
    ratio: Float[np.ndarray, "C1 N"]  # its pixels by that object's; 0 without
    # By class, the proposals that touch an object of it, and their ranks.
    ranks: dict[int, tuple[Int[np.ndarray, " T"], Float[np.ndarray, " T"]]]

    @classmethod
    def of(
        cls, proposals: Proposals, truth: GroundTruth, classes: int, rules: Rules
    ) -> "_Image":
        count = len(proposals)
        whole = enlarged(proposals, truth.size)
        meeting = Meeting(*map(_numpy, cross_shared(whole, truth.masks)))
        iou, area, theirs = meeting.iou, meeting.area, meeting.object_area
        label, ignore = _numpy(truth.label), _numpy(truth.ignore)
        code = np.full((classes + 1, count), CODES.index(Kind.BACKGROUND), np.int8)
        best, ratio = np.zeros((2, classes + 1, count))
        ranks = {}
        for c in range(1, classes + 1):
            own = np.broadcast_to(label == c, iou.shape)
            kind, _, _ = kinds_of(np.zeros(count), meeting, own, ignore, rules)
            kind[kind == Kind.DUPLICATE] = FOUND
            code[c] = [CODES.index(one) for one in kind.tolist()]
            mine = np.flatnonzero((label == c) & ~ignore)
            if len(mine):
                nearest = mine[iou[:, mine].argmax(1)]
                best[c] = iou[np.arange(count), nearest]
                ratio[c] = np.where(best[c] > 0, area / theirs[nearest], 0)
                touching = np.flatnonzero(best[c] > 0)
                ranks[c] = touching, rankdata(best[c, touching])
        right, excused = code[1:] == _RIGHT, code[1:] == _EXCUSED
        code[0, ~right.any(0)] = _RIGHT
        code[0, ~right.any(0) & excused.any(0)] = _EXCUSED
        return cls(code, best, ratio, ranks)


class _Sums:
    """The sums over the images of one epoch and branch; ``Trace.results`` has names."""

    def __init__(self) -> None:
        self.images, self.iou = 0, 0.0
        self.pseudo = np.zeros(len(CODES), np.int64)
        self.targets = np.zeros((2, 2), np.int64)  # foreground or not, right or not
        self.bins = np.zeros((3, BINS))  # count, integrity and true IoU
        self.log_ratios: list[float] = []
        self.correlations: list[float] = []

    def add(self, step: BranchStep, image: _Image) -> None:
        self.images += 1
        index, label = _numpy(step.pseudo.index), _numpy(step.pseudo.label)
        code = image.code[label, index]
        self.pseudo += np.bincount(code, minlength=len(CODES))
        self.iou += float(image.iou[label, index][code != _EXCUSED].sum())
        weight = _numpy(step.pseudo.weight)
        for c in np.unique(label):
            mine = np.flatnonzero(label == c)
            ratio = image.ratio[c, index[mine[weight[mine].argmax()]]]
            if ratio > 0:
                self.log_ratios.append(float(np.log(ratio)))
        if step.targets is not None:
            label = _numpy(step.targets.label)
            proposal = np.flatnonzero(label >= 0)
            code = image.code[label[proposal], proposal]
            counted = code != _EXCUSED
            place = (label[proposal] > 0)[counted], (code == _RIGHT)[counted]
            np.add.at(self.targets, tuple(one.astype(int) for one in place), 1)
        if step.taught.localization is not None:
            self._add_integrity(_numpy(step.taught.localization.double()), image)

    def _add_integrity(
        self, integrity: Float[np.ndarray, "N C1"], image: _Image
    ) -> None:
        for c, (touching, rank) in image.ranks.items():
            said, true = integrity[touching, c], image.iou[c, touching]
            place = np.clip((said * BINS).astype(int), 0, BINS - 1)
            for row, values in zip(self.bins, (None, said, true), strict=True):
                row += np.bincount(place, values, BINS)
            # Pearson's correlation of the ranks, where both vary.
            ranks = rankdata(said)
            a, b = ranks - ranks.mean(), rank - rank.mean()
            scale = float(np.sqrt((a @ a) * (b @ b)))
            if scale > 0:
                self.correlations.append(float(a @ b) / scale)

    def results(self) -> dict[str, Any]:
        kinds = dict(zip(CODES, self.pseudo.tolist(), strict=True))
        pseudo = int(self.pseudo.sum()) - kinds[IGNORED]
        kinds[Kind.WHOLE_PLUS] += kinds[Kind.MERGED]
        foreground = int(self.targets[1].sum())
        count, integrity, true_iou = self.bins
        log_area = _mean(self.log_ratios)
        rows = 100 * self.bins[1:] / np.maximum(count, 1)
        return {
            "images": self.images,
            "pseudo": pseudo / self.images,
            "precision": _percent(kinds[FOUND], pseudo),
            "iou": _percent(self.iou, pseudo),
            **{str(kind): _percent(kinds[kind], pseudo) for kind in SHARES},
            "area": None if log_area is None else float(np.exp(log_area)),
            "targets_right": _percent(self.targets[:, 1].sum(), self.targets.sum()),
            "foreground_right": _percent(self.targets[1, 1], foreground),
            "foreground": foreground / self.images,
            "integrity": {
                "reliability": [
                    {"integrity": said, "iou": true, "count": int(one)}
                    for said, true, one in zip(*rows.tolist(), count, strict=True)
                ],
                "error": _percent(np.abs(integrity - true_iou).sum(), count.sum()),
                "rank_correlation": _mean(self.correlations),
            },
        }


def _numpy(values: Tensor) -> np.ndarray:
    array: np.ndarray = values.cpu().numpy()
    return array


def _percent(part: Any, whole: Any) -> float | None:
    return 100 * float(part) / float(whole) if whole else None


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
