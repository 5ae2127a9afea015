"""ResNet-50 weights for a machine that can't download any: a small network's, taught.

    python benchmarks/r50_weights.py --out r50.safetensors

EfficientNet-Lite0 learned ImageNet and comes with ``wsis[pretrained]``. Here a
ResNet-50 learns to have that network's feature maps at four strides, by a 1x1
convolution each, on drawn scenes of another seed than any bench's. Neither tags nor
masks are read, so that the supervision is ImageNet's, as of the weights that these
stand in for; what they know is less. Names are those of torchvision's ``resnet50``.

Prints how much of the teacher's maps the student explains (R2, by stride) on scenes it
never saw, and what a ResNet-50 that has learned nothing explains.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import interpolate, mse_loss

from wsis import Scenes
from wsis._support.randomness import generator, seeded
from wsis.features.backbones import RANDOM
from wsis.runs.refine import RefineSettings, mask_rcnn
from wsis.runs.refine.detector import image_tensor

STRIDES = (4, 8, 16, 32)
SEED = 1_000
"""Of the scenes learned from; those measured on have the next one."""
WIDTHS = (128, 192)
"""Pixels of the crops, of which a batch has one width."""
CROPS = 4
"""Taken from every drawing, as drawing takes time of its own."""
EVERY = 200
"""Steps between measurements."""
POOL = 512
"""Crops to come, from which the next is picked."""


class Teacher(nn.Module):
    """EfficientNet-Lite0's maps, every channel brought to mean 0 and deviation 1."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.colours = _backbone(RefineSettings())
        self.channels: list[int] = self.net.feature_info.channels()
        self.scales: list[tuple[Tensor, Tensor]] | None = None
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Its maps of images from 0 to 1; the first batch decides the scales."""
        mean, std = self.colours
        maps: list[Tensor] = self.net((images - mean) / std)
        if self.scales is None:
            axes = (0, 2, 3)
            self.scales = [
                (m.mean(axes, keepdim=True), m.std(axes, keepdim=True) + 1e-6)
                for m in maps
            ]
        return [(m - a) / b for m, (a, b) in zip(maps, self.scales, strict=True)]


class Student(nn.Module):
    """A ResNet-50 and what turns its maps into the teacher's."""

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        self.body, self.colours = _backbone(
            RefineSettings(backbone="resnet50", weights=RANDOM)
        )
        wide = (256, 512, 1024, 2048)
        pairs = zip(wide, channels, strict=True)
        self.heads = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairs)

    def forward(self, images: Tensor) -> list[Tensor]:
        """The teacher's maps of images from 0 to 1, guessed."""
        mean, std = self.colours
        maps = self.body((images - mean) / std).values()
        return [head(m) for head, m in zip(self.heads, maps, strict=True)]


def _backbone(settings: RefineSettings) -> tuple[Any, list[Tensor]]:
    """A detector's network without its pyramid, and its colours' mean and deviation."""
    detector: Any = mask_rcnn(settings, 1, 0)
    colours = detector.transform.image_mean, detector.transform.image_std
    return detector.backbone.body, [torch.tensor(c).view(1, 3, 1, 1) for c in colours]


def crops(seed: int, count: int, batch: int) -> Iterator[Tensor]:
    """Batches of crops of 4:3, mirrored by chance, 0 to 1; ``count`` in all."""
    draws = generator(seed, "r50 crops")

    def pick(high: int) -> int:
        return int(torch.randint(high, (1,), generator=draws))

    drawings = iter(Scenes(seed=seed, train_images=-(-count // CROPS)).train().images)
    pool: list[Tensor] = []
    for _ in range(count // batch):
        while len(pool) < POOL and (drawing := next(drawings, None)) is not None:
            pool += [image_tensor(drawing.load())] * CROPS
        width = WIDTHS[pick(len(WIDTHS))]
        some = []
        for _ in range(batch):
            image = pool.pop(pick(len(pool)))
            part = 0.4 + 0.6 * float(torch.rand((), generator=draws))
            h, w = (int(part * side) for side in image.shape[1:])
            y, x = (
                pick(s - t + 1) for s, t in zip(image.shape[1:], (h, w), strict=True)
            )
            crop = image[None, :, y : y + h, x : x + w]
            crop = interpolate(crop, (width * 3 // 4, width), mode="area")
            some.append(crop.flip(-1) if pick(2) else crop)
        yield torch.cat(some)


@torch.no_grad()
def explained(student: Student, teacher: Teacher, images: list[Tensor]) -> list[float]:
    """The share of the teacher's variance, by stride."""
    left, whole = torch.zeros(len(STRIDES)), torch.zeros(len(STRIDES))
    student.eval()
    for some in images:
        for n, (a, b) in enumerate(zip(student(some), teacher(some), strict=True)):
            left[n] += (a - b).square().mean()
            whole[n] += (b - b.mean((0, 2, 3), keepdim=True)).square().mean()
    student.train()
    return (1 - left / whole).tolist()


def main() -> None:
    """Teaches, and writes the weights whenever it has measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=15_000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=1e-3)
    options = parser.parse_args()
    if not options.out.parent.is_dir():
        parser.error(
            f"--out: expected a file in a folder that exists, got {options.out}"
        )
    unseen = list(crops(SEED + 1, 128, 16))
    teacher = Teacher()
    teacher(torch.cat([u[:, :, :90, :120] for u in unseen]))
    with seeded(0):
        student = Student(teacher.channels)
    optimizer = torch.optim.AdamW(student.parameters(), weight_decay=0.05)
    steps = options.images // options.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.lr, total_steps=steps, pct_start=0.1
    )
    names = " | ".join(f"R2 at stride {stride}" for stride in STRIDES)
    print(f"| images | {names} | CPU s |")
    print("|---" * (len(STRIDES) + 2) + "|", flush=True)
    for step, some in enumerate(crops(SEED, options.images, options.batch)):
        if step % EVERY == 0:
            report(step * options.batch, explained(student, teacher, unseen))
        pairs = zip(student(some), teacher(some), strict=True)
        loss = torch.stack([mse_loss(a, b) for a, b in pairs]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % EVERY == EVERY - 1 or step == steps - 1:
            save_file(student.body.state_dict(), options.out)
    report(steps * options.batch, explained(student, teacher, unseen))


def report(images: int, shares: list[float]) -> None:
    row = " | ".join(f"{share:.3f}" for share in shares)
    print(f"| {images:,} | {row} | {time.process_time():.0f} |", flush=True)


if __name__ == "__main__":
    main()
