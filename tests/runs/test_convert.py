import pytest
import torch
import torchvision
from torch import nn

from tests.builders import random_proposals
from wsis.features.backbones import resnet50, vgg16
from wsis.features.scale import Scale
from wsis.features.views import view
from wsis.geometry.masks import boxes
from wsis.heads.mask_fuse import MaskFuse
from wsis.runs.convert import (
    ConversionError,
    class_count,
    load_theirs,
)
from wsis.training.network import Model

CLASSES, WIDTH = 3, 6


class Theirs(nn.Module):
    """The network of CIM's authors, rebuilt from its description, with their names."""

    def __init__(self, body, channels):
        super().__init__()
        self.Conv_Body = body
        self.Box_Head = nn.ModuleDict(
            {
                "mask_branch": nn.Sequential(
                    nn.Conv2d(2 * channels, channels, 3, padding=1), nn.ReLU()
                ),
                "seg_fc": nn.Sequential(
                    nn.Linear(channels * 49, WIDTH),
                    nn.ReLU(),
                    nn.Linear(WIDTH, WIDTH),
                    nn.ReLU(),
                ),
            }
        )
        outputs = [nn.Linear(WIDTH, CLASSES + 1) for _ in range(8)]
        self.cls_iou_model = nn.ModuleDict(
            {
                "classifier": outputs[0],
                "detector": outputs[1],
                "refine_cls": nn.ModuleList(outputs[2:5]),
                "refine_iou": nn.ModuleList(outputs[5:]),
            }
        )

    def forward(self, images, rois, masks, stride):
        body = images
        for part in self.Conv_Body.children():
            body = part(body)
        box = torchvision.ops.roi_align(body, [rois], 7, 1 / stride, 0, aligned=True)
        both = torch.cat([box, box * masks[:, None]], 1)
        found = self.Box_Head["seg_fc"](self.Box_Head["mask_branch"](both).flatten(1))
        heads = self.cls_iou_model
        final = [
            (cls(found).softmax(1) * iou(found).sigmoid())[:, 1:]
            for cls, iou in zip(heads["refine_cls"], heads["refine_iou"], strict=True)
        ]
        anti_noise = heads["classifier"](found).softmax(1)
        return anti_noise, heads["detector"](found).softmax(0), sum(final) / 3


def theirs_r50():
    net = torchvision.models.resnet50(weights=None)
    body = nn.ModuleDict(
        {
            "res1": nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool),
            "res2": net.layer1,
            "res3": net.layer2,
            "res4": net.layer3,
        }
    )
    for norm in body.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.uniform_(-0.1, 0.1)
            norm.running_var.uniform_(0.5, 1.5)
    return Theirs(body, 1024).eval()


def theirs_vgg():
    layers, channels = [], 3
    body = nn.ModuleDict()
    for block, (count, width) in enumerate(
        [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)], 1
    ):
        spread = 2 if block == 5 else 1
        layers = []
        for _ in range(count):
            conv = nn.Conv2d(channels, width, 3, padding=spread, dilation=spread)
            layers += [conv, nn.ReLU()]
            channels = width
        body[f"conv{block}"] = nn.Sequential(*layers)
        if block < 4:
            body[f"conv{block}"].append(nn.MaxPool2d(2))
    return Theirs(body, 512).eval()


def ours(backbone):
    head = MaskFuse(channels=backbone.channels, width=WIDTH)
    return Model(head=head, classes=CLASSES, backbone=backbone).eval()


@pytest.fixture(scope="module")
def released():
    torch.manual_seed(0)
    return theirs_r50()


@pytest.fixture(scope="module")
def model():
    return ours(resnet50(weights="random"))


def check_forward(theirs, model):
    torch.manual_seed(1)
    proposals = random_proposals(9, size=(64, 96))
    images = torch.randn(1, 3, 64, 96)

    load_theirs(model, theirs.state_dict())

    with torch.no_grad():
        laid = view(model.backbone(images)[0], proposals, Scale(96))
        scores = model(laid)
        cls, det, final = theirs(
            images, boxes(proposals), laid.crops, model.backbone.stride
        )
    assert final.std() > 1e-4
    assert scores.anti_noise.classification.allclose(cls, atol=1e-6)
    assert scores.anti_noise.localization.allclose(det, atol=1e-6)
    assert scores.final().allclose(final, atol=1e-6)


def test_resnet_50_computes_what_theirs_does(released, model):
    keys = set(released.state_dict())
    assert {"Conv_Body.res1.0.weight", "Conv_Body.res4.5.bn3.running_var"} < keys
    assert {"Box_Head.seg_fc.2.bias", "cls_iou_model.refine_iou.2.bias"} < keys

    check_forward(released, model)


def test_vgg_16_computes_what_theirs_does():
    torch.manual_seed(0)

    check_forward(theirs_vgg(), ours(vgg16("random", dilated=True)))


def test_names_of_older_versions_are_understood(released, model):
    older = {
        key.replace("res1.0.", "res1.conv1.")
        .replace("res1.1.", "res1.bn1.")
        .replace("detector", "inner_detection")
        .replace("refine_cls", "ref_cls")
        .replace("refine_iou", "ref_iou"): value
        for key, value in released.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    older["cls_iou_model.outer_detection.weight"] = torch.zeros(4, WIDTH)

    load_theirs(model, older)

    wanted = released.state_dict()["cls_iou_model.refine_iou.1.weight"]
    assert model.refinement[1].integrity.weight.equal(wanted)
    assert class_count(released.state_dict()) == CLASSES


def test_hrnets_names_are_the_same_with_a_prefix(model):
    lost = {"Conv_Body.stage3.0.branches.0.0.conv1.weight": torch.zeros(1)}
    with pytest.raises(ConversionError, match=r"no use for Conv_Body\.stage3"):
        load_theirs(model, lost)
    from wsis.runs.convert import _ours

    for name in ("stage3.0.fuse_layers.1.0.0.0.weight", "final_layer.1.running_mean"):
        assert _ours(f"Conv_Body.{name}") == f"backbone.net.{name}"
    assert _ours("Conv_Body.conv1.weight") == "backbone.net.conv1.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("Box_Head.seg_fc.0.bias"), r"it lacks head\.layers\.0\.bias"),
        (
            lambda s: s.update({"Box_Head.extra": torch.zeros(1)}),
            r"no use for Box_Head\.extra",
        ),
        (
            lambda s: s.update({"Box_Head.seg_fc.2.bias": torch.zeros(5)}),
            r"Box_Head\.seg_fc\.2\.bias: expected \(6,\), got \(5,\)",
        ),
        (
            lambda s: s.update({"cls_iou_model.inner_detection.bias": torch.zeros(4)}),
            "are the same layer",
        ),
    ],
)
def test_nothing_may_be_missing_unused_or_of_another_shape(
    released, model, change, message
):
    state = dict(released.state_dict())
    change(state)
    before = model.anti_noise.classifier.weight.clone()

    with pytest.raises(ConversionError, match=message):
        load_theirs(model, state)
    assert model.anti_noise.classifier.weight.equal(before)


def test_a_deeper_network_or_numbers_of_another_kind_are_refused(released, model):
    state = dict(released.state_dict())
    name = "Conv_Body.res4.5.conv1.weight"
    whole = {**state, name: state[name].to(torch.int8)}

    with pytest.raises(ConversionError, match=r"no use for Conv_Body\.res4\.6\.conv1"):
        load_theirs(model, {**state, "Conv_Body.res4.6.conv1.weight": state[name]})
    with pytest.raises(ConversionError, match=r"conv1\.weight: expected real numbers"):
        load_theirs(model, whole)
    with pytest.raises(ConversionError, match="expected cls_iou_model"):
        class_count({"fc.weight": torch.zeros(2)})
