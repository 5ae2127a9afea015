import pytest
import torch

from tests.heads.test_mask_pool import view_of
from wsis.heads.mask_fuse import MaskFuse
from wsis.training._precision import computing


def plainly(head, pooled):
    boxes, mask = pooled[:, :-1], pooled[:, -1:]
    return head.layers(head.fuse(torch.cat([boxes, boxes * mask], 1)).flatten(1))


@pytest.mark.parametrize("half", [0, 1])
def test_features_outside_the_mask_reach_only_the_box_half(half):
    head = MaskFuse(channels=1, width=3)
    head.layers = torch.nn.Identity()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
        head.fuse[0].weight[0, half, 1, 1] = 1
    mask = torch.zeros(7, 7, dtype=torch.bool)
    mask[:, 0] = mask[0, :] = True

    seen = head(head.pool(view_of(torch.ones(1, 7, 7), [mask]))).view(7, 7)

    assert seen.allclose(mask.float() if half else torch.ones(7, 7), atol=1e-6)


def test_chunks_change_nothing_and_gradients_reach_the_map():
    torch.manual_seed(0)
    feature_map = torch.rand(2, 7, 9, requires_grad=True)
    masks = [torch.rand(7, 9) > 0.5 for _ in range(5)]
    head = MaskFuse(channels=2, width=4, chunk=2)

    pooled = head.pool(view_of(feature_map, masks))
    apart = head(pooled)
    head.chunk = 5
    together = head(pooled)
    apart.sum().backward()

    assert apart.allclose(together, atol=1e-6)
    assert feature_map.grad.abs().sum() > 0


def test_vectors_of_a_view_are_those_of_what_is_pooled_and_so_are_gradients():
    torch.manual_seed(0)
    masks = [torch.rand(7, 9) > 0.5 for _ in range(5)]
    head = MaskFuse(channels=2, width=4, chunk=2)

    def run(call):
        head.zero_grad()
        feature_map = torch.rand(2, 7, 9, generator=torch.Generator().manual_seed(1))
        feature_map.requires_grad_()
        found = call(view_of(feature_map, masks))
        found.square().sum().backward()
        return found, feature_map.grad, [p.grad.clone() for p in head.parameters()]

    plain, gradient, weights = run(lambda view: plainly(head, head.pool(view)))
    assert gradient.abs().sum() > 0
    for call in (head.vectors, lambda view: head(head.pool(view))):
        again, other, others = run(call)

        assert again.allclose(plain, atol=1e-6)
        assert other.allclose(gradient, atol=1e-6)
        for one, wanted in zip(others, weights, strict=True):
            assert one.allclose(wanted, atol=1e-5)


def test_of_each_proposal_the_convolution_alone_is_kept_for_the_backward_pass():
    head = MaskFuse(channels=8, width=4, chunk=2)

    def kept(count):
        sizes = {}

        def pack(tensor):
            sizes[tensor.data_ptr()] = tensor.numel()
            return tensor

        masks = [torch.rand(7, 9) > 0.5 for _ in range(count)]
        view = view_of(torch.rand(8, 7, 9, requires_grad=True), masks)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            head.vectors(view)
        return sum(sizes.values())

    assert (kept(10) - kept(5)) / 5 < 8 * 49 + 3 * 4


def test_bfloat16_rounds_but_little():
    torch.manual_seed(0)
    masks = [torch.rand(7, 9) > 0.5 for _ in range(5)]
    feature_map = torch.rand(8, 7, 9)
    head = MaskFuse(channels=8, width=16, chunk=2)

    def run(precision):
        head.zero_grad()
        given = feature_map.clone().requires_grad_()
        with computing(precision, given.device):
            found = head.vectors(view_of(given, masks)).float()
        found.square().sum().backward()
        return [found, given.grad, *(p.grad.clone() for p in head.parameters())]

    for rounded, exact in zip(run("bfloat16"), run("float32"), strict=True):
        assert rounded.dtype is torch.float32
        assert not rounded.equal(exact)
        assert (rounded - exact).norm() < 0.03 * exact.norm()


def test_a_width_of_none_is_refused():
    with pytest.raises(ValueError, match="must be positive"):
        MaskFuse(channels=2, width=0)


def test_features_that_were_kept_are_of_half_precision() -> None:
    torch.manual_seed(0)
    head = MaskFuse(channels=2, width=3)
    pooled = torch.rand(4, 3, 7, 7).half()

    assert head(pooled).equal(head(pooled.float()))


def test_no_proposals_give_no_vectors() -> None:
    head = MaskFuse(channels=2, width=3)

    assert head(torch.rand(0, 3, 7, 7)).shape == (0, 3)
