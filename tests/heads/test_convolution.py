import pytest
import torch
from torch.nn.functional import conv2d

from wsis.heads._convolution import _ByFrequency, _Plain, convolved


def drawn(*shape):
    return torch.randn(shape, dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize("way", [_ByFrequency, _Plain])
def test_both_ways_are_the_plain_convolution_and_so_are_gradients(way):
    torch.manual_seed(0)
    maps, weight, gradient = drawn(5, 4, 7, 7), drawn(3, 4, 3, 3), drawn(5, 3, 7, 7)
    plain = conv2d(maps, weight, padding=1)
    of_maps, of_weight = torch.autograd.grad(plain, (maps, weight), gradient)

    with torch.no_grad():
        known = way(weight)
        found = known(maps)
        for part in (slice(0, 2), slice(2, 5)):
            known.learn(maps[part], gradient[part])
        back = known.back(gradient)

    assert found.allclose(plain, atol=1e-12)
    assert back.allclose(of_maps, atol=1e-12)
    assert known.gradient.allclose(of_weight, atol=1e-12)


def test_what_pools_share_gets_the_gradient_of_all() -> None:
    torch.manual_seed(0)
    shared, weight = drawn(1, 2, 7, 7), drawn(2, 2, 3, 3)
    pools = [lambda given: given, lambda given: torch.cat([given, given**2])]

    assert torch.autograd.gradcheck(
        lambda *given: convolved(given[0], pools, given[1]), (shared, weight)
    )


def test_maps_that_are_frozen_get_none() -> None:
    maps, weight = drawn(2, 2, 7, 7).detach(), drawn(1, 2, 3, 3)

    convolved(maps, [torch.Tensor.clone], weight).sum().backward()

    assert weight.grad is not None
    assert maps.grad is None
