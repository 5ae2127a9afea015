"""The settings of a refinement: trust in labels, the detector, its training."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from wsis.contracts import Ledger, Supervision
from wsis.features.backbones import RANDOM
from wsis.runs.refine.labels import Trust
from wsis.runs.settings import Overrides, Sides, overridden, validated
from wsis.training.schedule import Schedule


class RefineSettings(BaseModel):
    """Everything but the run, the data and the seed; the defaults suit a CPU.

    Args:
        trust: which predictions become pseudo labels.
        backbone: ``efficientnet_lite0`` or ``resnet50``, with a feature pyramid.
        weights: ImageNet weights of the backbone, as in ``wsis.features.backbones``: a
            file, ``random``, or nothing for those of the package.
        same: whether ``efficientnet_lite0`` pads as the package's weights want.
        width: channels of the pyramid and of the mask head; the box head has four times
            as many.
        regions: proposals of the first stage, per image.
        sampled: of these, how many the second stage learns from.
        sides: shorter sides of images in pixels, one drawn per step; predictions are
            made at the last.
        longest: longer sides are at most this.
        flips: mirrored images as well.
        batch: images per step.
        schedule: how the weights move.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    trust: Trust = Trust()
    backbone: Literal["efficientnet_lite0", "resnet50"] = "efficientnet_lite0"
    weights: str = ""
    same: bool = True
    width: int = Field(default=64, ge=8)
    regions: int = Field(default=250, ge=1)
    sampled: int = Field(default=64, ge=1)
    sides: Sides = (240,)
    longest: int = Field(default=640, ge=32)
    flips: bool = True
    batch: int = Field(default=2, ge=1)
    # 10 passes over 147 photos lost masks that 25 found.
    schedule: Schedule = Schedule(epochs=10, min_iterations=1800, lr=5e-4)

    @model_validator(mode="after")
    def _one_batch(self) -> "RefineSettings":
        if self.schedule.batch != 1:
            raise ValueError(
                "expected batch, the images per step, in place of schedule.batch, got "
                f"schedule.batch={self.schedule.batch}"
            )
        return self

    @property
    def paced(self) -> Schedule:
        """The schedule, its iterations being of ``batch`` images."""
        return replace(self.schedule, batch=self.batch)

    @property
    def ledger(self) -> Ledger:
        """The labels that the backbone's weights consumed."""
        return frozenset(() if self.weights == RANDOM else {Supervision.IMAGENET})

    @classmethod
    def read(
        cls, base: Mapping[str, Any], overrides: Overrides = ()
    ) -> "RefineSettings":
        """``base`` with ``key=value`` overrides, such as ``schedule.epochs=3``.

        Raises:
            SettingsError: if a key is unknown (the message lists the right ones) or a
                value is not allowed.
        """
        start = cls.model_validate(dict(base)).model_dump()
        return validated(cls, overridden(start, overrides))


DETECTORS: Mapping[str, Mapping[str, Any]] = {
    "small": {},
    # torchvision's reference for Mask R-CNN R50-FPN, https://github.com/pytorch/vision,
    # references/detection: rate 0.02 for 16 images, scaled to 2.
    "r50": {
        "backbone": "resnet50",
        "width": 256,
        "regions": 1000,
        "sampled": 512,
        "sides": (640, 672, 704, 736, 768, 800),
        "longest": 1333,
        "schedule": Schedule(epochs=26, optimizer="sgd", lr=0.0025, weight_decay=1e-4),
    },
}
"""Settings to start from: ``small`` for CPUs; ``r50``, the paper's Mask R-CNN."""
