"""What training is taught, compared with the objects: for benches, not for training."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Int8
from scipy.stats import rankdata
from torch import Tensor

from wsis.contracts import DataSource, GroundTruth, Proposals, Traceable
from wsis.evaluation.kinds import FOUND, IGNORED, Kind, Meeting, Rules, kinds_of
from wsis.geometry.masks import areas, to_dense
from wsis.geometry.overlap import cross_iou
from wsis.proposals.bags import Bag
from wsis.proposals.store import KeptSource
from wsis.training.supervision import BranchStep

BINS = 10
"""Of the reliability curve, each a tenth wide."""

CODES = (FOUND, IGNORED, *(str(kind) for kind in Kind))
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
    _place: dict[int, int] = field(init=False, repr=False)
    _known: dict[int, "_Image"] = field(init=False, repr=False, default_factory=dict)
    _sums: dict[tuple[int, int], "_Sums"] = field(
        init=False, repr=False, default_factory=lambda: defaultdict(_Sums)
    )

    def __post_init__(self) -> None:
        if len(self.bags) != len(self.truths):
            raise ValueError(
                f"expected the objects of each of {len(self.bags)} images, got "
                f"{len(self.truths)}"
            )
        self._place = {bag.image.id: i for i, bag in enumerate(self.bags)}

    @classmethod
    def of(cls, data: DataSource, source: KeptSource) -> "Trace":
        """Of a data set's training images and the proposals that training takes.

        Raises:
            ValueError: if the data set does not tell the objects of its training
                images.
        """
        if not isinstance(data, Traceable):
            raise ValueError(
                "expected a data set that has the objects of its training images "
                f"(train_truths), got {type(data).__name__}"
            )
        bags = [Bag(image, source) for image in data.train().images]
        return cls(bags, data.train_truths())

    def __call__(self, step: BranchStep) -> None:
        """Takes account of what one branch is taught on one image.

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
        """A JSON-like row for each epoch and branch, in this order.

        All but numbers, ``area`` and correlations are in percent; None where there is
        nothing to tell of.

        - ``epoch`` and ``branch`` from 0; ``images`` seen.
        - ``pseudo``: pseudo instances an image, those without excuse;
          ``precision``: the right ones of them; ``iou``: their mean highest IoU with an
          object of their class; ``part``, ``whole-plus`` (merged ones included),
          ``class``, ``shifted`` and ``background``: shares of the kinds.
        - ``area``: of each class's heaviest pseudo instance (the first of several),
          its pixels divided by those of the object of that class that it overlaps most;
          the geometric mean over those that overlap one.
        - ``targets_right``: of all targets, foreground and background, those that
          agree with the masks: a class if the proposal would be right as a pseudo
          instance of it, background if of no class; ``foreground_right``: of the
          foreground ones; ``foreground``: how many an image.
        - ``integrity``: what the branch that is taught says, against the highest IoU
          with an object of the class, of all proposals that touch one and for each
          class tagged. ``reliability``: for each tenth of integrity its mean, that of
          the true IoU, and the count; ``error``: their mean absolute difference,
          weighted by count; ``rank_correlation``: Spearman's, within an image and
          class, averaged.
        """
        return [
            {"epoch": epoch, "branch": branch, **self._sums[epoch, branch].results()}
            for epoch, branch in sorted(self._sums)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class _Image:
    """What is true of every proposal, for every class.

    Args:
        code: position in ``CODES`` of its kind as an instance of the class; row 0
            (background) is ``found`` where no class is.
        iou: the highest with an object of the class.
        ratio: its pixels divided by those of that object; 0 without.
        ranks: by class, the proposals that touch an object of it, and their ranks.
    """

    code: Int8[np.ndarray, "C1 N"]
    iou: Float[np.ndarray, "C1 N"]
    ratio: Float[np.ndarray, "C1 N"]
    ranks: dict[int, tuple[Int[np.ndarray, " T"], Float[np.ndarray, " T"]]]

    @classmethod
    def of(
        cls, proposals: Proposals, truth: GroundTruth, classes: int, rules: Rules
    ) -> "_Image":
        """Reads the masks."""
        count = len(proposals)
        iou = cross_iou(proposals, truth.masks).cpu().numpy()
        area = areas(proposals).double().cpu().numpy()
        theirs = np.array([float(to_dense([m]).sum()) for m in truth.masks])
        # From IoU = shared / (area + theirs − shared), and shared is a whole number.
        shared = (iou * (area[:, None] + theirs) / (1 + iou)).round()
        meeting = Meeting.of(shared, area, theirs, rules.contained)
        label, ignore = truth.label.cpu().numpy(), truth.ignore.cpu().numpy()
        code = np.full((classes + 1, count), CODES.index(Kind.BACKGROUND), np.int8)
        best = np.zeros((classes + 1, count))
        ratio = np.zeros((classes + 1, count))
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


@dataclass(slots=True, eq=False)
class _Sums:
    """What one epoch and branch adds up to."""

    images: int = 0
    pseudo: Int[np.ndarray, " K"] = field(
        default_factory=lambda: np.zeros(len(CODES), np.int64)
    )
    iou: float = 0.0
    log_ratios: list[float] = field(default_factory=list)
    targets: Int[np.ndarray, "2 2"] = field(
        default_factory=lambda: np.zeros((2, 2), np.int64)
    )
    count: Float[np.ndarray, " B"] = field(default_factory=lambda: np.zeros(BINS))
    integrity: Float[np.ndarray, " B"] = field(default_factory=lambda: np.zeros(BINS))
    true_iou: Float[np.ndarray, " B"] = field(default_factory=lambda: np.zeros(BINS))
    correlations: list[float] = field(default_factory=list)

    def add(self, step: BranchStep, image: _Image) -> None:
        """Takes account of one image."""
        self.images += 1
        self._add_pseudo(step, image)
        if step.targets is not None:
            label = _numpy(step.targets.label)
            proposal = np.flatnonzero(label >= 0)
            code = image.code[label[proposal], proposal]
            counted = code != _EXCUSED
            place = (label[proposal] > 0)[counted], (code == _RIGHT)[counted]
            np.add.at(self.targets, tuple(one.astype(int) for one in place), 1)
        integrity = step.taught.localization
        if integrity is None:  # Classification alone counts, as if all were whole.
            localization = np.ones(step.taught.classification.shape)
        else:
            localization = _numpy(integrity.double())
        for c, (touching, rank) in image.ranks.items():
            said = localization[touching, c]
            bins = np.clip((said * BINS).astype(int), 0, BINS - 1)
            self.count += np.bincount(bins, minlength=BINS)
            self.integrity += np.bincount(bins, said, BINS)
            self.true_iou += np.bincount(bins, image.iou[c, touching], BINS)
            correlation = _pearson(rankdata(said), rank)
            if correlation is not None:
                self.correlations.append(correlation)

    def _add_pseudo(self, step: BranchStep, image: _Image) -> None:
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

    def results(self) -> dict[str, Any]:
        """As ``Trace.results`` says."""
        kinds = dict(zip(CODES, self.pseudo.tolist(), strict=True))
        pseudo = int(self.pseudo.sum()) - kinds[IGNORED]
        wide = kinds[Kind.WHOLE_PLUS] + kinds[Kind.MERGED]
        foreground = int(self.targets[1].sum())
        filled = np.maximum(self.count, 1)
        gap = np.abs(self.integrity - self.true_iou).sum()
        return {
            "images": self.images,
            "pseudo": pseudo / self.images,
            "precision": _percent(kinds[FOUND], pseudo),
            "iou": _percent(self.iou, pseudo),
            "part": _percent(kinds[Kind.PART], pseudo),
            "whole-plus": _percent(wide, pseudo),
            "class": _percent(kinds[Kind.CLASS], pseudo),
            "shifted": _percent(kinds[Kind.SHIFTED], pseudo),
            "background": _percent(kinds[Kind.BACKGROUND], pseudo),
            "area": float(np.exp(np.mean(self.log_ratios)))
            if self.log_ratios
            else None,
            "targets_right": _percent(self.targets[:, 1].sum(), self.targets.sum()),
            "foreground_right": _percent(self.targets[1, 1], foreground),
            "foreground": foreground / self.images,
            "integrity": {
                "reliability": [
                    {"integrity": said, "iou": true, "count": int(count)}
                    for said, true, count in zip(
                        (100 * self.integrity / filled).tolist(),
                        (100 * self.true_iou / filled).tolist(),
                        self.count.tolist(),
                        strict=True,
                    )
                ],
                "error": _percent(gap, self.count.sum()),
                "rank_correlation": float(np.mean(self.correlations))
                if self.correlations
                else None,
            },
        }


def _numpy(values: Tensor) -> np.ndarray:
    array: np.ndarray = values.cpu().numpy()
    return array


def _percent(part: Any, whole: Any) -> float | None:
    return 100 * float(part) / float(whole) if whole else None


def _pearson(
    one: Float[np.ndarray, " T"], other: Float[np.ndarray, " T"]
) -> float | None:
    """None where one of the two does not vary."""
    a, b = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else None
