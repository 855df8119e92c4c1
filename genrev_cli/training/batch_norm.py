"""Batch norm over the global batch, for networks trained by many processes."""

import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from genrev_cli.training.distributed import mean, rank, size, total


def share_statistics(network: nn.Module) -> None:
    """Make every batch norm of a network take mean and variance over the rows of all processes (Ioffe & Szegedy 2015, Algorithm 1).

    In a single process nothing changes. The layers keep their weights, statistics and names.
    """
    if size() == 1:
        return
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.forward = functools.partial(_normalised, layer)  # type: ignore[method-assign]  # the layer itself stays


def _normalised(layer: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Normalise x (B, C, …) by the mean and variance of each channel over all ranks, and update the running statistics of the layer."""
    if not layer.training:
        return type(layer).forward(layer, x)
    assert layer.num_batches_tracked is not None
    with torch.no_grad():
        layer.num_batches_tracked += 1
    if _has_kernels(x):
        return _Kernels.apply(x, layer.weight, layer.bias, layer)
    y, mu, variance = _formula(x, layer.weight, layer.bias, layer.eps)
    running_mean, running_var, momentum = _running(layer)
    with torch.no_grad():
        n = size() * x.numel() // x.shape[1]
        running_mean.lerp_(mu, momentum)
        running_var.lerp_(variance * n / (n - 1), momentum)
    return y


def _running(layer: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor, float]:
    """Return running mean and variance (C,) and their momentum, which every batch norm of genrev has."""
    assert layer.running_mean is not None
    assert layer.running_var is not None
    assert layer.momentum is not None
    return layer.running_mean, layer.running_var, layer.momentum


def _formula(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return (x − μ) / √(σ² + ε) · γ + β, μ and σ², (C,) each, in float32; differentiable any number of times."""
    with torch.autocast(x.device.type, enabled=False):
        dims, shape = [0, *range(2, x.ndim)], [1, -1, *[1] * (x.ndim - 2)]
        values = x.float()
        mu = mean(values.mean(dims))
        centred = values - mu.view(shape)
        variance = mean(centred.square().mean(dims))
        y = centred * (variance + eps).rsqrt().view(shape)
        return (y * weight.view(shape) + bias.view(shape)).to(x.dtype), mu, variance


def _has_kernels(x: Tensor) -> bool:
    """Return True if torch has kernels of `torch.nn.SyncBatchNorm` for x. A compiler builds its own from the formula."""
    return x.device.type == "cuda" and not torch.compiler.is_compiling()


class _Kernels(Function):
    """Compute `_formula` with the kernels of `torch.nn.SyncBatchNorm`, with two collectives instead of four.

    torch's own autograd function makes the host wait for the device at every layer, because it looks for ranks without rows, and it cannot
    be differentiated twice. This one uses the gradient of the formula when that is to be differentiated again.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, layer: nn.BatchNorm1d | nn.BatchNorm2d) -> Tensor:
        x = x.contiguous(memory_format=_order(x))
        channels = x.shape[1]
        moments = x.new_zeros(size(), 2 * channels, dtype=torch.float32)
        moments[rank()] = torch.cat(torch.batch_norm_stats(x, layer.eps))
        means, deviations = total(moments).split(channels, dim=1)  # of each rank
        counts = means.new_full((size(),), x.numel() // channels)
        mu, deviation = torch.batch_norm_gather_stats_with_counts(
            x, means.contiguous(), deviations.contiguous(), *_running(layer), layer.eps, counts
        )
        ctx.save_for_backward(x, weight, bias, mu, deviation, counts.int())
        ctx.eps = layer.eps
        return torch.batch_norm_elemt(x, weight, bias, mu, deviation, layer.eps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, mu, deviation, counts = ctx.saved_tensors
        if torch.is_grad_enabled():
            y, _, _ = _formula(x, weight, bias, ctx.eps)
            wanted = [tensor for tensor, needed in zip((x, weight, bias), ctx.needs_input_grad, strict=False) if needed]
            found = iter(torch.autograd.grad(y, wanted, gradient, create_graph=True))
            return *(next(found) if needed else None for needed in ctx.needs_input_grad[:3]), None
        gradient = gradient.contiguous(memory_format=_order(x))
        of_sum, of_products, of_weight, of_bias = torch.batch_norm_backward_reduce(
            gradient, x, mu, deviation, weight, *ctx.needs_input_grad[:3]
        )
        if not ctx.needs_input_grad[0]:
            return None, of_weight, of_bias, None
        of_sum, of_products = total(torch.stack([of_sum, of_products]))
        of_x = torch.batch_norm_backward_elemt(gradient, x, mu, deviation, weight, of_sum, of_products, counts)
        return of_x, of_weight, of_bias, None


def _order(x: Tensor) -> torch.memory_format:
    """Return the memory order in which the kernels take x."""
    last = x.ndim == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format
