"""Mask R-CNN, torchvision's, on the backbone that the settings name."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import timm
import torch
from jaxtyping import Float
from timm.layers.norm_act import freeze_batch_norm_2d
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import (
    FeaturePyramidNetwork,
    LastLevelMaxPool,
)

from wsis._support.checks import WeightsError
from wsis._support.randomness import seeded
from wsis.features.backbones import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    RANDOM,
    efficientnet_lite0,
    load_weights,
)
from wsis.runs.refine.settings import RefineSettings


def mask_rcnn(
    settings: RefineSettings, classes: int, seed: int, *, weights: bool = True
) -> nn.Module:
    """A fresh Mask R-CNN, He et al., ICCV 2017, https://arxiv.org/abs/1703.06870.

    With ``resnet50`` and a width of 256 it is ``maskrcnn_resnet50_fpn``. With ImageNet
    weights the batch norms and the backbone's first stages never train; from random
    weights everything does.

    Args:
        settings: name the backbone and the sizes.
        classes: C, without background.
        seed: of all weights that are not read from a file.
        weights: reads the backbone's; False leaves that to whoever loads all of them.

    Raises:
        WeightsError: if the backbone's weights are missing or of another network.
    """
    with seeded(seed):
        build = _resnet50 if settings.backbone == "resnet50" else _lite
        backbone, mean, std = build(settings, read=weights)
        width, columns = settings.width, classes + 1
        network: nn.Module = MaskRCNN(
            backbone,
            min_size=list(settings.sides),
            max_size=settings.longest,
            image_mean=[value / 255 for value in mean],
            image_std=[value / 255 for value in std],
            rpn_pre_nms_top_n_train=2 * settings.regions,
            rpn_pre_nms_top_n_test=settings.regions,
            rpn_post_nms_top_n_train=2 * settings.regions,
            rpn_post_nms_top_n_test=settings.regions,
            box_head=TwoMLPHead(width * 7 * 7, 4 * width),
            box_predictor=FastRCNNPredictor(4 * width, columns),
            box_batch_size_per_image=settings.sampled,
            mask_head=MaskRCNNHeads(width, (width,) * 4, 1),
            mask_predictor=MaskRCNNPredictor(width, width, columns),
        )
    return network


class _Pyramid(nn.Module):
    """A timm network's levels of stride 4 to 32, joined by a feature pyramid."""

    def __init__(self, body: Any, width: int) -> None:
        super().__init__()
        self.body = body
        levels = body.feature_info.channels()
        self.fpn = FeaturePyramidNetwork(levels, width, LastLevelMaxPool())
        self.out_channels = width

    def forward(
        self, images: Float[Tensor, "B 3 H W"]
    ) -> "OrderedDict[str, Float[Tensor, 'B D _ _']]":
        """Maps by level, finest first, and a coarser one at the end."""
        maps = enumerate(self.body(images))
        found: OrderedDict[str, Tensor] = self.fpn(
            OrderedDict((str(level), features) for level, features in maps)
        )
        return found


_Built = tuple[nn.Module, tuple[float, float, float], tuple[float, float, float]]


def _lite(settings: RefineSettings, *, read: bool) -> _Built:
    weights = settings.weights if read else RANDOM
    known = efficientnet_lite0(weights, same=settings.same)
    body: Any = timm.create_model(
        known.name, features_only=True, out_indices=(1, 2, 3, 4)
    )
    if settings.weights != RANDOM:
        # The same network but for its strides, so that all tensors fit.
        body.load_state_dict(known.net.state_dict())
        freeze: Any = freeze_batch_norm_2d  # timm annotates nothing here
        body = freeze(body)
        for key, parameter in body.named_parameters():
            if key.startswith(("conv_stem", "blocks.0", "blocks.1")):
                parameter.requires_grad_(False)
    return _Pyramid(body, settings.width), known.mean, known.std


def _resnet50(settings: RefineSettings, *, read: bool) -> _Built:
    if read and not settings.weights:
        raise WeightsError(
            "expected ImageNet weights for resnet50: give weights=FILE (.pth or "
            f".safetensors), or weights={RANDOM} to start from nothing"
        )
    known = settings.weights != RANDOM
    backbone: Any = resnet_fpn_backbone(
        backbone_name="resnet50",
        weights=None,
        norm_layer=FrozenBatchNorm2d if known else nn.BatchNorm2d,
        trainable_layers=3 if known else 5,
    )
    if known and read:
        load_weights(backbone.body, Path(settings.weights))
    if settings.width != backbone.out_channels:
        levels = [256, 512, 1024, 2048]
        backbone.fpn = FeaturePyramidNetwork(levels, settings.width, LastLevelMaxPool())
        backbone.out_channels = settings.width
    return backbone, IMAGENET_MEAN, IMAGENET_STD


def image_tensor(pixels: Any) -> Float[Tensor, "3 H W"]:
    """A photo as torchvision's detectors take it, 0…1."""
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255
