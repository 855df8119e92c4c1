"""Compare batch norm by the kernels of CUDA, replaced by substitutes here, with the formula, in two processes.

Each process prints for every case: its name, and the largest difference of outputs, gradients and running statistics, over the largest.
"""

import json
import sys
from unittest import mock

import pytest
import torch
from torch import nn

from genrev_cli.training import batch_norm
from genrev_cli.training.distributed import joined, rank


def _shape(x):
    return [0, *range(2, x.ndim)], [1, -1, *[1] * (x.ndim - 2)]


def stats(x, eps):
    dims, _ = _shape(x)
    return x.float().mean(dims), (x.float().var(dims, unbiased=False) + eps).rsqrt()


def gather_stats(x, means, deviations, running_mean, running_var, momentum, eps, counts):
    n = counts.sum()
    shares = (counts / n)[:, None]
    mu = (shares * means).sum(0)
    variance = (shares * (deviations**-2 - eps + (means - mu) ** 2)).sum(0)
    running_mean.lerp_(mu, momentum)
    running_var.lerp_(variance * n / (n - 1), momentum)
    return mu, (variance + eps).rsqrt()


def elemt(x, weight, bias, mu, deviation, eps):
    _, shape = _shape(x)
    return ((x.float() - mu.view(shape)) * (deviation * weight).view(shape) + bias.view(shape)).to(x.dtype)


def backward_reduce(gradient, x, mu, deviation, weight, *needed):
    dims, shape = _shape(x)
    of_sum = gradient.float().sum(dims)
    of_products = (gradient.float() * (x.float() - mu.view(shape))).sum(dims)
    assert gradient.stride() == x.stride()
    return of_sum, of_products, of_products * deviation if needed[1] else None, of_sum if needed[2] else None


def backward_elemt(gradient, x, mu, deviation, weight, of_sum, of_products, counts):
    _, shape = _shape(x)
    assert counts.dtype == torch.int32
    n = counts.sum()
    centred = (x.float() - mu.view(shape)) * (deviation**2 * of_products / n).view(shape)
    return ((gradient.float() - (of_sum / n).view(shape) - centred) * (deviation * weight).view(shape)).to(x.dtype)


KERNELS = {
    "batch_norm_stats": stats,
    "batch_norm_gather_stats_with_counts": gather_stats,
    "batch_norm_elemt": elemt,
    "batch_norm_backward_reduce": backward_reduce,
    "batch_norm_backward_elemt": backward_elemt,
}
"""name in torch → what it computes, as read from torch's sources for CUDA"""


def network(norm, ndim):
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        ends = (nn.Linear(5, 7), nn.Linear(7, 3)) if ndim == 2 else (nn.Conv2d(5, 7, 3), nn.Conv2d(7, 3, 3))
        made = nn.Sequential(ends[0], norm(7, eps=1e-2, momentum=0.3), nn.Tanh(), ends[1])
        nn.init.normal_(made[1].weight)
        nn.init.normal_(made[1].bias)
    batch_norm.share_statistics(made)
    return made


def results(made, x, penalised):
    """Return outputs, gradients with respect to rows and weights, and running statistics."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    y = made(x)
    loss = y.float().square().mean() * (1 + rank())
    if penalised:
        (slope,) = torch.autograd.grad(y.float().square().sum(), x, create_graph=True)
        loss = loss + (slope.flatten(1).norm(dim=1) - 1).square().mean()
    gradients = torch.autograd.grad(loss, [x, *made.parameters()])
    made.eval()
    return [y.detach(), *gradients, *made.buffers(), made(x).detach()]


def difference(norm, shape, *, penalised=False, channels_last=False, dtype=torch.float32):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(10 + rank())) * (2 + rank()) + rank()
    x = x.to(memory_format=torch.channels_last) if channels_last else x
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        right = results(network(norm, len(shape)), x, penalised)
        with mock.patch.object(batch_norm, "_has_kernels", return_value=True), mock.patch.multiple(torch, create=True, **KERNELS):
            found = results(network(norm, len(shape)), x, penalised)
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(found, right, strict=True))


CASES = {
    "images": lambda: difference(nn.BatchNorm2d, (4, 5, 6, 7)),
    "channels last": lambda: difference(nn.BatchNorm2d, (4, 5, 6, 7), channels_last=True),
    "codes": lambda: difference(nn.BatchNorm1d, (6, 5)),
    "penalty": lambda: difference(nn.BatchNorm2d, (4, 5, 6, 7), penalised=True),
    "penalty of codes": lambda: difference(nn.BatchNorm1d, (6, 5), penalised=True),
    "bf16": lambda: difference(nn.BatchNorm2d, (4, 5, 6, 7), dtype=torch.bfloat16),
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    with joined(60.0, pytest.fail):
        for case in sys.argv[1:] or CASES:
            print(json.dumps([case, CASES[case]()]), flush=True)
