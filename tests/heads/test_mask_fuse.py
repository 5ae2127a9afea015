import pytest
import torch

from tests.heads.test_mask_pool import view_of
from wsis.heads.mask_fuse import MaskFuse


def test_features_outside_the_mask_reach_only_the_box_half():
    head = MaskFuse(channels=1, width=3)
    seen = []
    head.fuse.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    feature_map = torch.ones(1, 7, 7)
    mask = torch.zeros(7, 7, dtype=torch.bool)
    mask[:, 0] = mask[0, :] = True

    head(head.pool(view_of(feature_map, [mask])))

    assert seen[0][0, 0].allclose(torch.ones(7, 7))
    assert seen[0][0, 1].equal(mask.float())


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

    plain, gradient, weights = run(lambda view: head(head.pool(view)))
    again, other, others = run(head.vectors)

    assert again.allclose(plain, atol=1e-6)
    assert other.allclose(gradient, atol=1e-6)
    assert gradient.abs().sum() > 0
    assert all(a.allclose(b, atol=1e-5) for a, b in zip(weights, others, strict=True))


def test_nothing_is_kept_of_each_proposal_for_the_backward_pass():
    masks = [torch.rand(7, 9) > 0.5 for _ in range(6)]
    head = MaskFuse(channels=8, width=4, chunk=2)

    def kept(call):
        sizes = []

        def pack(tensor):
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            call(view_of(torch.rand(8, 7, 9, requires_grad=True), masks))
        return sum(sizes)

    assert kept(head.vectors) < kept(lambda view: head(head.pool(view))) / 5


def test_a_width_of_none_is_refused():
    with pytest.raises(ValueError, match="must be positive"):
        MaskFuse(channels=2, width=0)


def test_features_that_were_kept_are_of_half_precision() -> None:
    torch.manual_seed(0)
    head = MaskFuse(channels=2, width=3)
    pooled = torch.rand(4, 3, 7, 7).half()

    assert head(pooled).equal(head(pooled.float()))
