"""The operators of SyncBatchNorm, which torch has for CUDA alone, against plain batch norm on the CPU."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

SHAPES = [(12, 3), (12, 3, 2, 2)]
EPS, MOMENTUM = 1e-5, 0.3


def drawn(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_of_two_processes_give_what_plain_batch_norm_gives(shape):
    """Forward, backward, and the running statistics; the processes have 8 and 4 rows."""
    x, weight, bias, gradient = drawn(shape, 0) * 2 + 1, drawn((3,), 1), drawn((3,), 2), drawn(shape, 3)
    plain = nn.BatchNorm1d(3, eps=EPS, momentum=MOMENTUM) if x.ndim == 2 else nn.BatchNorm2d(3, eps=EPS, momentum=MOMENTUM)
    with torch.no_grad():
        plain.weight.copy_(weight)
        plain.bias.copy_(bias)
    leaf = x.clone().requires_grad_()
    expected = plain(leaf)
    expected.backward(gradient)

    parts, gradients = (tensor.to("cuda").split([8, 4]) for tensor in (x, gradient))
    weight, bias = weight.to("cuda"), bias.to("cuda")
    means, invstds = (torch.stack(found) for found in zip(*(torch.batch_norm_stats(part, EPS) for part in parts), strict=True))
    counts = torch.tensor([part.numel() / 3 for part in parts], device="cuda")
    running = torch.zeros(3, device="cuda"), torch.ones(3, device="cuda")
    mean, invstd = torch.batch_norm_gather_stats_with_counts(parts[0], means, invstds, *running, MOMENTUM, EPS, counts)
    found = torch.cat([torch.batch_norm_elemt(part, weight, bias, mean, invstd, EPS) for part in parts])
    assert torch.allclose(found.cpu(), expected, atol=1e-5)
    assert torch.allclose(running[0].cpu(), plain.running_mean, atol=1e-6)
    assert torch.allclose(running[1].cpu(), plain.running_var, atol=1e-5)

    reduced = [
        torch.batch_norm_backward_reduce(g, part, mean, invstd, weight, True, True, True) for g, part in zip(gradients, parts, strict=True)
    ]
    total, centred, of_weight, of_bias = (sum(values) for values in zip(*reduced, strict=True))
    assert torch.allclose(of_weight.cpu(), plain.weight.grad, atol=1e-4)
    assert torch.allclose(of_bias.cpu(), plain.bias.grad, atol=1e-4)
    back = [
        torch.batch_norm_backward_elemt(g, part, mean, invstd, weight, total, centred, counts.int())
        for g, part in zip(gradients, parts, strict=True)
    ]
    assert torch.allclose(torch.cat(back).cpu(), leaf.grad, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_a_layer_on_the_device_is_that_of_the_cpu(training):
    """By cuDNN's operators, there and back, with its running statistics."""
    here, there = nn.BatchNorm2d(3), nn.BatchNorm2d(3).to("cuda")
    results = []
    for layer, device in ((here, "cpu"), (there, "cuda")):
        layer.train(training)
        x = drawn((5, 3, 2, 2), 0).to(device).requires_grad_()
        y = layer(x)
        y.square().mul(drawn((5, 3, 2, 2), 1).to(device)).sum().backward()
        tensors = (y.detach(), x.grad, layer.weight.grad, layer.bias.grad, layer.running_mean, layer.running_var)
        results.append([tensor.cpu() for tensor in tensors])
    for mine, theirs in zip(*results, strict=True):
        assert torch.equal(mine, theirs)
    assert F.batch_norm(torch.ones(2, 3, device="cuda"), None, None, training=True).device.type == "cuda"
