"""Convolutions of small maps as matrix products have the values and gradients of `conv2d`."""

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from genrev_cli.models.invertible import small_maps
from genrev_cli.models.invertible.small_maps import convolve, tapwise_weight_gradient


def conv(channels, out, kernel, dtype=torch.float64):
    torch.manual_seed(0)
    return nn.Conv2d(channels, out, kernel, padding=kernel // 2).to(dtype)


def randn(*shape, dtype=torch.float64, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def every_convolution_is_large(monkeypatch):
    monkeypatch.setattr(small_maps, "LARGE", 0)


@pytest.mark.usefixtures("every_convolution_is_large")
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 2), (4, 1), (3, 3)])
def test_values_and_gradients(kernel, size):
    layer, x = conv(3, 4, kernel), randn(5, 6, *size)[:, ::2].requires_grad_()
    inputs, upstream = [x, layer.weight, layer.bias], randn(5, 4, *size, seed=1)
    expected, found = layer(x), convolve(layer, x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    for a, b in zip(torch.autograd.grad(found, inputs, upstream), torch.autograd.grad(expected, inputs, upstream), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("kernel", "size"), [((3, 3), (2, 2)), ((5, 3), (1, 4)), ((7, 1), (2, 3)), ((1, 1), (2, 2))])
def test_weight_gradient_tap_by_tap(kernel, size):
    x, upstream = randn(4, 3, *size), randn(4, 2, *size, seed=1)
    expected = torch.nn.grad.conv2d_weight(x, (2, 3, *kernel), upstream, padding=tuple(side // 2 for side in kernel))
    found = tapwise_weight_gradient(x, upstream, *kernel)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert found.permute(2, 3, 0, 1).is_contiguous()  # each tap in one piece; `Optimizer` gives the sum the layout of the weights


@pytest.mark.usefixtures("every_convolution_is_large")
@pytest.mark.parametrize("size", [(1, 1), (2, 2)])
def test_derivatives_of_both_orders(size):
    layer, x = conv(2, 2, 3), randn(2, 2, *size).requires_grad_()
    assert gradcheck(lambda x, *_: convolve(layer, x), (x, layer.weight, layer.bias))
    assert gradgradcheck(lambda x, *_: convolve(layer, x) ** 2, (x, layer.weight, layer.bias))


@pytest.mark.usefixtures("every_convolution_is_large")
@pytest.mark.parametrize("size", [(1, 1), (2, 2)])
def test_functorch(size):
    layer, x = conv(2, 2, 3), randn(3, 2, *size)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda image: convolve(layer, image[None])[0]))
    torch.testing.assert_close(jacobian(x), torch.func.vmap(torch.func.jacrev(lambda image: layer(image[None])[0]))(x))


@pytest.mark.usefixtures("every_convolution_is_large")
@pytest.mark.parametrize("size", [(1, 1), (2, 2)])
def test_autocast_and_the_meta_device(size):
    layer, x = conv(3, 4, 3, torch.float32), randn(2, 3, *size, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        y = convolve(layer, x)
        torch.testing.assert_close(y, layer(x), rtol=0.02, atol=0.02)
        assert y.dtype == torch.bfloat16
    assert ("Tapwise" in y.grad_fn.name()) == (size == (2, 2))
    y.sum().backward()
    assert layer.weight.grad.dtype == torch.float32
    assert layer.weight.grad.stride() == layer.weight.stride()
    assert convolve(layer.to("meta"), x.to("meta")).shape == (2, 4, *size)


@pytest.mark.usefixtures("every_convolution_is_large")
def test_bfloat16_has_the_forward_pass_of_conv2d_to_the_bit_and_its_gradients_up_to_rounding():
    layer, x = conv(3, 4, 3, torch.float32), randn(5, 3, 2, 2, dtype=torch.float32).requires_grad_()
    inputs, upstream = [x, layer.weight, layer.bias], randn(5, 4, 2, 2, dtype=torch.float32, seed=1).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = convolve(layer, x), layer(x)
    assert torch.equal(found, expected)  # exact_bits needs the same function in both directions, with gradients and without
    for a, b in zip(torch.autograd.grad(found, inputs, upstream), torch.autograd.grad(expected, inputs, upstream), strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a, b, rtol=2**-7, atol=1e-2)


def test_only_large_convolutions_of_small_maps_are_replaced():
    small, large = conv(2, 3, 3, torch.float32), nn.utils.skip_init(nn.Conv2d, 400, 300, 3, padding=1)
    for layer, side, treated in ((small, 2, False), (large, 2, True), (large, 3, False)):
        y = convolve(layer, torch.zeros(1, layer.in_channels, side, side))
        assert ("Tapwise" in y.grad_fn.name()) == treated
