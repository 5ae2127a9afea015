"""Proposals from the Segment Anything Model: an upper anchor, trained with masks."""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image as Pillow
from torch import Tensor
from torch.nn.functional import interpolate, pad
from torchvision.ops import masks_to_boxes, nms

from wsis._support.checks import WeightsError, at_least, few, fraction, warn
from wsis._support.files import content, state
from wsis._support.provenance import machine
from wsis._support.weights import check_trained
from wsis.contracts import Image, Ledger, Proposals, Rle, Supervision
from wsis.geometry.masks import empty, encode, fitted, from_masks

_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Of the model's training images."""

_FILES = ("config.json", "model.safetensors")

_TOGETHER = 16
"""Masks at full size at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sam:
    """Masks that the Segment Anything Model finds around the points of a grid.

    Kirillov et al., "Segment Anything", ICCV 2023, https://arxiv.org/abs/2304.02643,
    appendix B, without crops: of three masks a point, it keeps those that the model
    itself trusts, that barely depend on the threshold, and whose box no better mask
    has, sorted by the IoU that the model predicts. The model was trained with masks:
    its proposals make a result fully supervised.

    Args:
        weights: a folder with config.json and model.safetensors in the layout of
            transformers; nothing is downloaded.
        points: on a side of the grid.
        batch: points at once.
        min_iou: least IoU that the model predicts of a mask.
        min_stability: least IoU between a mask and itself where the threshold of its
            logits is 1 lower or higher.
        max_overlap: a box with a higher IoU with a better one is dropped.
        device: where the model runs; ``auto`` takes a GPU where there is one.

    Raises:
        WeightsError: if transformers or the weights are missing.
        ValueError: if a setting is out of range.
    """

    version = 1

    weights: str = ""
    points: int = 32
    batch: int = 64
    min_iou: float = 0.88
    min_stability: float = 0.95
    max_overlap: float = 0.7
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("points", "batch"):
            at_least(name, getattr(self, name), 1)
        for name in ("min_stability", "max_overlap"):
            fraction(name, getattr(self, name), zero=True)
        if find_spec("transformers") is None:
            raise WeightsError("sam needs transformers: pip install 'wsis[sam]'")
        if not self.weights or not all(path.is_file() for path in self._files()):
            raise WeightsError(
                "expected weights=FOLDER with config.json and model.safetensors, got "
                f"{self.weights or 'none'}; get them, once, with: hf download "
                "facebook/sam-vit-base --local-dir FOLDER"
            )

    @property
    def ledger(self) -> Ledger:
        """Masks: the model was trained with 1.1 billion of them."""
        return frozenset({Supervision.MASKS})

    def depends_on(self) -> dict[str, Any]:
        """Return the content of the weights and what moves last digits."""
        used = {"transformers": version("transformers"), **machine(self._device())}
        return {**used, "weights": [content(path) for path in self._files()]}

    @torch.no_grad()
    def __call__(self, image: Image) -> Proposals:
        """Return the image's proposals; none where nothing passes the filters."""
        masks: list[Rle] = []
        boxes, scores = [torch.zeros(0, 4)], [torch.zeros(0)]
        for mask, score in self._candidates(image):
            stable = _stability(mask) >= self.min_stability
            inside = mask[stable] > 0
            some = inside.flatten(1).any(1)
            inside = inside[some].cpu()
            if len(inside):
                masks += encode(inside)
                boxes.append(masks_to_boxes(inside).float())
                scores.append(score[stable][some].cpu())
        score = torch.cat(scores)
        best = nms(torch.cat(boxes), score, self.max_overlap)
        size = image.shape[0], image.shape[1]
        if not len(best):
            return empty(size, source="sam", ledger=self.ledger)
        return from_masks(
            [masks[i] for i in best.tolist()],
            objectness=score[best],
            source="sam",
            ledger=self.ledger,
        )

    def _files(self) -> list[Path]:
        return [Path(self.weights) / name for name in _FILES]

    def _device(self) -> torch.device:
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(self.device)

    def _candidates(
        self, image: Image
    ) -> Iterator[tuple[Float[Tensor, "K H W"], Float[Tensor, " K"]]]:
        """Logits at full size of masks that the model trusts, some at a time."""
        states = tuple(state(path) for path in self._files())
        model = _model(self.weights, self._device(), states)
        device, side = model.device, int(model.config.vision_config.image_size)
        size = image.shape[0], image.shape[1]
        pixels = _framed(image, side).to(device)
        embedding = model.get_image_embeddings(pixels[None])
        height, width = fitted(size, side)
        step = (torch.arange(self.points) + 0.5) / self.points
        y, x = torch.meshgrid(step * height, step * width, indexing="ij")
        for points in torch.stack([x, y], -1).reshape(-1, 2).split(self.batch):
            found = model(
                image_embeddings=embedding,
                input_points=points[None, :, None].to(device),
                multimask_output=True,
            )
            score = found.iou_scores[0].flatten().float()
            trusted = score >= self.min_iou
            logits = found.pred_masks[0].flatten(0, 1)[trusted].float()
            for part, mine in zip(
                logits.split(_TOGETHER), score[trusted].split(_TOGETHER), strict=True
            ):
                if len(part):
                    frame = interpolate(part[None], (side, side), mode="bilinear")
                    photo = frame[..., :height, :width]
                    yield interpolate(photo, size, mode="bilinear")[0], mine


@lru_cache(maxsize=1)
def _model(
    weights: str, device: torch.device, states: tuple[tuple[int, ...], ...]
) -> Any:
    """Load the model once a process for every state of its files."""
    from transformers import SamModel

    del states
    # Loading draws a progress bar.
    with contextlib.redirect_stderr(io.StringIO()):
        loaded: Any = SamModel.from_pretrained(
            weights,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    model, how = loaded
    if missing := sorted(how["missing_keys"]):
        # They would be drawn at random.
        raise WeightsError(
            f"{weights} does not hold the weights of its config.json: {len(missing)} "
            f"tensors are missing, {few(missing)}"
        )
    if unused := sorted(how["unexpected_keys"]):
        warn(f"{weights} holds {len(unused)} tensors without use: {few(unused)}")
    check_trained(model.state_dict(), weights)
    return model.eval().to(device)


def _framed(image: Image, side: int) -> Float[Tensor, "3 P P"]:
    """Return the image normalised, its longer side ``side`` long, zeros below it."""
    height, width = fitted(image.shape[:2], side)
    small = Pillow.fromarray(image).resize((width, height), Pillow.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1).float()
    mean, std = (torch.tensor(one)[:, None, None] for one in (_MEAN, _STD))
    return pad((pixels - mean) / std, (0, side - width, 0, side - height))


def _stability(logits: Float[Tensor, "K H W"]) -> Float[Tensor, " K"]:
    """Return the IoU of the masks at thresholds 1 and −1, which contain each other."""
    core, whole = ((logits > t).flatten(1).sum(1) for t in (1.0, -1.0))
    return core / whole.clamp(min=1)
