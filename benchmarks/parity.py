"""Compares wsis with what the authors' codes gave on the same inputs.

    python benchmarks/parity.py --golden tests/golden --device cpu

Every .npz file of the folder is recognised by the keys it holds and every key is either
read as an input or checked. Printed per kind of file and quantity: files checked,
mismatches and the largest difference. Exit status: 0 if all agree; 1 on any mismatch,
a file that cannot be read, is of no known kind or leaves nothing to check; 2 on wrong
usage.

Labels, indices and classes must be identical. Differences allowed otherwise: weights
1e-6 of the largest (float32 rounding); losses 1e-5 of their value, their gradients 1e-5
of the largest entry; along a trajectory losses 1e-4 of their value, final weights 1e-4
of the largest. Where values are all but zero, differences are relative to 1e-4
(gradients) or 0.01 (trajectories), so that rounding is not compared.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from wsis.contracts import (
    Assigner,
    BranchScores,
    Miner,
    Overlaps,
    PseudoInstances,
    Targets,
)
from wsis.geometry.masks import from_masks
from wsis.geometry.overlap import box_overlaps, overlaps
from wsis.heads.mil import MILHead
from wsis.heads.refinement import RefinementHead
from wsis.mining import CIMMiner, MISTMiner, OICRMiner, PCLMiner
from wsis.mining.assignment import CascadeAssigner, OICRAssigner
from wsis.mining.cim import oversized
from wsis.mining.sampling import KeepAll
from wsis.training.losses import (
    FIRST_BRANCH,
    INTEGRITY,
    bag_loss,
    classification_loss,
    cluster_loss,
    integrity_loss,
    mil_loss,
    pcl_loss,
)
from wsis.training.network import Scores
from wsis.training.supervision import Losses, Strategy, supervise

EXACT, WEIGHT, LOSS, TRAJECTORY = 0.0, 1e-6, 1e-5, 1e-4

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Check:
    """One quantity of one file: ours, theirs, and the difference allowed."""

    quantity: str
    ours: Tensor
    golden: np.ndarray
    tolerance: float
    each: bool = False
    """Whether differences are relative to each entry, or to the largest one."""
    floor: float = 1e-12
    """Differences are relative to this at least."""

    def difference(self) -> float:
        """Largest relative difference (absolute when exactness is asked for)."""
        ours = self.ours.detach().cpu().double().numpy()
        golden = self.golden.astype(np.float64)
        if ours.shape != golden.shape:
            return np.inf
        if golden.size == 0:
            return 0.0
        unit = np.abs(golden) if self.each else np.abs(golden).max()
        if self.tolerance == EXACT:
            unit = 1.0
        difference = np.abs(ours - golden) / np.maximum(unit, self.floor)
        return float(np.nan_to_num(difference, nan=np.inf).max())


@dataclass
class Tally:
    """What was found of one quantity over the files of one kind."""

    files: int = 0
    mismatches: int = 0
    largest: float = 0.0


@dataclass
class Report:
    """The tallies by kind and quantity, and what went wrong otherwise."""

    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    files: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def add(self, kind: str, file: str, check: Check) -> None:
        """Counts one check."""
        tally = self.tallies.setdefault((kind, check.quantity), Tally())
        difference = check.difference()
        tally.files += 1
        tally.largest = max(tally.largest, difference)
        if not difference <= check.tolerance:
            tally.mismatches += 1
            self.problems.append(
                f"{file}: {check.quantity} differs by {difference:.3g} "
                f"(allowed: {check.tolerance:.3g})"
            )

    @property
    def passed(self) -> bool:
        """Whether something was checked and all of it agreed."""
        return bool(self.tallies) and not self.problems


class FileError(ValueError):
    """A file that cannot be checked."""


CPU = torch.device("cpu")


def check_folder(folder: Path, device: torch.device = CPU) -> Report:
    """Checks every .npz file of ``folder``, computing on ``device``."""
    report = Report()
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        report.problems.append(f"{folder} holds no .npz file")
    for path in paths:
        try:
            arrays = _read(path)
            kind = _kind(arrays)
            report.files[kind] += 1
            checks = list(KINDS[kind](arrays, path.stem, device))
            if not checks:
                raise FileError("nothing to check in it")
        except FileError as error:
            report.problems.append(f"{path.name}: {error}")
            continue
        except Exception as error:  # A malformed file may fail anywhere.
            report.problems.append(f"{path.name}: {type(error).__name__}: {error}")
            continue
        for check in checks:
            report.add(kind, path.name, check)
    return report


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (
        Exception
    ) as error:  # What a broken archive raises depends on where it broke.
        raise FileError(f"cannot be read: {error}") from error
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            raise FileError(f"{key} is not an array of numbers")
    return arrays


def _kind(arrays: Arrays) -> str:
    if {"masks", "cls", "score2"} <= arrays.keys():
        return "refinement"
    if {"boxes", "scores"} <= arrays.keys():
        return "box miners"
    if {"losses", "foreground", "image0.features"} <= arrays.keys():
        return "trajectory"
    raise FileError(f"of no known kind, its keys are: {', '.join(arrays) or 'none'}")


# --- Reading the files --------------------------------------------------------------


class Reader:
    """Gives a file's arrays as tensors and remembers which were asked for."""

    def __init__(self, arrays: Arrays, device: torch.device, prefix: str = "") -> None:
        self.arrays = arrays
        self.device = device
        self.prefix = prefix
        self.asked: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return self.prefix + key in self.arrays

    def golden(self, key: str) -> np.ndarray:
        """The array as it is stored."""
        key = self.prefix + key
        if key not in self.arrays:
            raise FileError(f"{key} is missing")
        self.asked.add(key)
        return self.arrays[key]

    def tensor(self, key: str) -> Tensor:
        """As a tensor."""
        return torch.from_numpy(self.golden(key)).to(self.device)

    def logits(self, key: str) -> Tensor:
        """As a tensor whose gradient is wanted."""
        return self.tensor(key).clone().requires_grad_()

    def tags(self) -> Tensor:
        """The classes present."""
        return self.tensor("image_label") > 0

    def mask_overlaps(self) -> Overlaps:
        """Overlaps of the bit-packed masks."""
        height, width = self.golden("mask_shape").tolist()
        bits = np.unpackbits(self.golden("masks"), axis=1, count=height * width)
        masks = torch.from_numpy(bits.reshape(-1, height, width).astype(bool))
        return overlaps(from_masks(masks, source="golden")).to(self.device)

    def check(
        self,
        key: str,
        ours: Tensor,
        tolerance: float,
        *,
        each: bool = False,
        floor: float = 1e-12,
    ) -> Check:
        """Compares ``ours`` with the array ``key``."""
        return Check(key, ours, self.golden(key), tolerance, each, floor)

    def gradient(self, key: str, logits: Tensor) -> Check:
        """Compares the gradient that ``logits`` got with the array ``key``."""
        ours = torch.zeros_like(logits) if logits.grad is None else logits.grad
        return self.check(key, ours, LOSS, floor=1e-4)

    def finish(self, *unused: str) -> None:
        """Refuses the file if a key was neither read nor checked."""
        left = self.arrays.keys() - self.asked - set(unused)
        if left:
            raise FileError(f"unknown or unpaired keys: {', '.join(sorted(left))}")


# --- Refinement files ---------------------------------------------------------------


def _refinement(arrays: Arrays, name: str, device: torch.device) -> Iterator[Check]:
    read = Reader(arrays, device)
    branch = _branch(read, name)
    tags, inside = read.tags(), read.mask_overlaps()
    scores = BranchScores(read.tensor("cls"), read.tensor("score2"))
    if "cim_not_oversized" in read:
        yield read.check("cim_not_oversized", ~oversized(inside), EXACT)
    for prefix, miner in (("cim", CIMMiner()), ("mist", MISTMiner())):
        if f"{prefix}_pseudo_index" not in read:
            continue
        pseudo = miner.at(branch)(scores, inside, tags)
        yield read.check(f"{prefix}_pseudo_index", pseudo.index, EXACT)
        yield read.check(f"{prefix}_pseudo_class", pseudo.label, EXACT)
        yield read.check(f"{prefix}_pseudo_weight", pseudo.weight, WEIGHT)
        if len(pseudo):
            targets = CascadeAssigner().at(branch)(pseudo, inside)
            yield read.check(f"{prefix}_label", _rows(targets, len(tags)), EXACT)
            yield read.check(f"{prefix}_integrity_target", targets.integrity, EXACT)
            yield read.check(f"{prefix}_weight", targets.weight, WEIGHT)
    if "refine_cls_logits" in read or "loss_cls" in read:
        pseudo = CIMMiner().at(branch)(scores, inside, tags)
        yield from _refinement_losses(read, pseudo, inside, branch)
    if "mil_cls_logits" in read or "loss_mil" in read:
        yield from _mil_losses(read, tags)
    if "cluster_logits" in read or "loss_cluster" in read:
        logits = read.logits("cluster_logits")
        loss = cluster_loss(logits.softmax(1), read.tensor("cluster_matrix").long())
        loss.backward()
        yield read.check("loss_cluster", loss, LOSS)
        yield read.gradient("grad_cluster_logits", logits)
    read.finish("boxes", "branch")


def _rows(targets: Targets, classes: int) -> Tensor:
    """One-hot labels over C + 1 columns; all zero where ignored."""
    columns = torch.arange(classes + 1, device=targets.label.device)
    return (targets.label[:, None] == columns).int()


def _branch(read: Reader, name: str) -> int:
    if "branch" in read:
        return int(read.golden("branch"))
    _, mark, digits = name.rpartition("_b")
    if mark and digits.isdigit():
        return int(digits)
    raise FileError("its branch is neither in a key 'branch' nor in its name (…_bK)")


def _refinement_losses(
    read: Reader, pseudo: PseudoInstances, inside: Overlaps, branch: int
) -> Iterator[Check]:
    scale = FIRST_BRANCH if branch == 0 else 1.0
    targets = CascadeAssigner().at(branch)(pseudo, inside)
    cls_logits = read.logits("refine_cls_logits")
    integrity_logits = read.logits("refine_integrity_logits")
    cls, integrity = cls_logits.softmax(1), integrity_logits.sigmoid()
    parts = {
        "cls": classification_loss(cls, targets, scale),
        "integrity": integrity_loss(integrity, targets, scale),
        "bag": bag_loss(cls, integrity, targets, read.tags(), scale),
    }
    (parts["cls"] + INTEGRITY * parts["integrity"] + parts["bag"]).backward()
    for part, loss in parts.items():
        yield read.check(f"loss_{part}", loss, LOSS)
    yield read.gradient("grad_cls_logits", cls_logits)
    yield read.gradient("grad_integrity_logits", integrity_logits)


def _mil_losses(read: Reader, tags: Tensor) -> Iterator[Check]:
    cls_logits, det_logits = (
        read.logits("mil_cls_logits"),
        read.logits("mil_det_logits"),
    )
    loss = mil_loss(cls_logits.softmax(1), det_logits.softmax(0), tags)
    loss.backward()
    yield read.check("loss_mil", loss, LOSS)
    yield read.gradient("grad_mil_cls_logits", cls_logits)
    yield read.gradient("grad_mil_det_logits", det_logits)


# --- Box miners' files --------------------------------------------------------------


def _box_miners(arrays: Arrays, name: str, device: torch.device) -> Iterator[Check]:
    read = Reader(arrays, device)
    scores = read.tensor("scores")
    branch = BranchScores(scores, None)
    tags, inside = read.tags(), box_overlaps(read.tensor("boxes"))
    parts: dict[str, tuple[Miner, Assigner]] = {
        "oicr": (OICRMiner(), OICRAssigner(reading="wetectron")),
        "oicr_pcl": (OICRMiner(), OICRAssigner(reading="pcl")),
        "mist": (MISTMiner(reading="box"), OICRAssigner(reading="mist")),
        "pcl": (PCLMiner(), OICRAssigner(reading="pcl")),
    }
    for prefix, (miner, assigner) in parts.items():
        if f"{prefix}_label" not in read:
            continue
        pseudo = miner(branch, inside, tags)
        targets = assigner(pseudo, inside)
        yield read.check(f"{prefix}_label", targets.label, EXACT)
        yield read.check(f"{prefix}_weight", targets.weight, WEIGHT)
        if f"{prefix}_assignment" in read:
            yield read.check(f"{prefix}_assignment", targets.assignment, EXACT)
        if prefix == "pcl" and "pcl_logits" in read:
            logits = read.logits("pcl_logits")
            loss = pcl_loss(logits.softmax(1), targets)
            loss.backward()
            yield read.check("loss_pcl", loss, LOSS)
            yield read.gradient("grad_pcl_logits", logits)
    read.finish()


# --- Trajectories -------------------------------------------------------------------


def _trajectory(arrays: Arrays, name: str, device: torch.device) -> Iterator[Check]:
    # The file does not say which miner it was run with; the nearer one is meant.
    runs = [
        list(_trajectory_with(miner, arrays, device))
        for miner in (CIMMiner(), MISTMiner())
    ]
    yield from min(runs, key=lambda checks: max(c.difference() for c in checks))


def _trajectory_with(
    miner: Miner, arrays: Arrays, device: torch.device
) -> Iterator[Check]:
    read = Reader(arrays, device)
    heads = _heads(read)
    images = [Reader(arrays, device, f"image{i}.") for i in range(len(arrays))]
    images = [image for image in images if "features" in image]
    inside = [image.mask_overlaps() for image in images]
    strategy = Strategy(miner=miner, sampler=KeepAll(), assigner=CascadeAssigner())
    optimizer = torch.optim.SGD(
        [weight for head in heads for weight in head.parameters()],
        lr=0.02,
        momentum=0.9,
        weight_decay=5e-4,
    )
    losses, foreground = [], []
    for step in range(len(read.golden("losses"))):
        i = step % len(images)
        loss = _step_losses(heads, images[i], inside[i], strategy)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        parts = (loss.classification, loss.integrity, loss.bag, loss.mil, loss.cluster)
        losses.append(torch.stack([part.detach() for part in parts]))
        foreground.append(loss.foreground)

    yield read.check("losses", torch.stack(losses), TRAJECTORY, each=True, floor=0.01)
    yield read.check("foreground", torch.tensor(foreground), EXACT)
    for name, weight in _names(heads).items():
        yield read.check(f"final.{name}", weight, TRAJECTORY, floor=0.01)
    for image in images:
        read.asked |= image.asked | {f"{image.prefix}boxes"}
    read.finish()


def _step_losses(
    heads: nn.ModuleList, image: Reader, inside: Overlaps, strategy: Strategy
) -> Losses:
    vectors = image.tensor("features")
    anti_noise, *branches = (head(vectors) for head in heads)
    return supervise(
        Scores(anti_noise, tuple(branches)),
        inside,
        image.tags(),
        image.tensor("cluster_matrix").long(),
        strategy,
        torch.Generator(),
    )


def _heads(read: Reader) -> nn.ModuleList:
    columns, width = read.golden("init.classifier.weight").shape
    heads = nn.ModuleList([MILHead(width, columns - 1)])
    while f"init.refine_cls.{len(heads) - 1}.weight" in read:
        heads.append(RefinementHead(width, columns - 1))
    heads.to(read.device)
    with torch.no_grad():
        for name, weight in _names(heads).items():
            weight.copy_(read.tensor(f"init.{name}"))
    return heads


def _names(heads: nn.ModuleList) -> dict[str, Tensor]:
    """The heads' weights, by the names that the files have for them."""
    anti_noise, *branches = heads
    layers = {"classifier": anti_noise.classifier, "detector": anti_noise.detector}
    for k, branch in enumerate(branches):
        layers[f"refine_cls.{k}"] = branch.classification
        layers[f"refine_iou.{k}"] = branch.integrity
    return {
        f"{layer}.{name}": weight
        for layer, module in layers.items()
        for name, weight in module.named_parameters()
    }


KINDS = {
    "refinement": _refinement,
    "box miners": _box_miners,
    "trajectory": _trajectory,
}


def main(arguments: list[str] | None = None) -> int:
    """Prints the table; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--golden", type=Path, required=True, help="folder of .npz files"
    )
    parser.add_argument("--device", type=torch.device, default=CPU)
    given = parser.parse_args(arguments)
    folder = given.golden
    if not folder.is_dir():
        parser.error(f"{folder} is not a folder")
    report = check_folder(folder, given.device)
    print(f"{'kind':12} {'quantity':28} {'files':>5} {'mismatches':>10} {'largest':>9}")
    for (kind, quantity), tally in report.tallies.items():
        print(
            f"{kind:12} {quantity:28} {tally.files:5} {tally.mismatches:10} "
            f"{tally.largest:9.2g}"
        )
    for kind in KINDS:
        print(f"{kind}: {report.files[kind]} files")
    for problem in report.problems:
        print(f"error: {problem}", file=sys.stderr)
    print("all agree" if report.passed else "FAILED")
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
