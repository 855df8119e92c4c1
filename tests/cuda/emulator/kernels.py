"""Operators that torch has for CUDA alone, by their formulas, on the CPU: cuDNN's batch norm, and that of SyncBatchNorm."""

from collections.abc import Callable

import torch
from torch import Tensor

aten = torch.ops.aten


def _per_channel(x: Tensor) -> tuple[list[int], list[int]]:
    """Return all dims but the channels', and the shape that broadcasts (C,) over (B, C, …)."""
    return [0, *range(2, x.ndim)], [1, -1, *[1] * (x.ndim - 2)]


def _cudnn_batch_norm(x, weight, bias, running_mean, running_var, training, momentum, eps):
    y, mean, invstd = aten.native_batch_norm(x, weight, bias, running_mean, running_var, training, momentum, eps)
    return y, mean, invstd, torch.empty(0, dtype=torch.uint8)


def _cudnn_batch_norm_backward(x, gradient, weight, running_mean, running_var, mean, invstd, eps, reserve):
    return aten.native_batch_norm_backward(gradient, x, weight, running_mean, running_var, mean, invstd, True, eps, [True, True, True])


def _stats(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return mean and 1/√(σ² + ε) of each channel, (C,) float32; σ² is the biased variance."""
    dims, _ = _per_channel(x)
    variance, mean = torch.var_mean(x.float(), dims, correction=0)
    return mean, (variance + eps).rsqrt()


def _gather_stats_with_counts(x, means, invstds, running_mean, running_var, momentum, eps, counts):
    """Join the statistics (W, C) of W processes with (W,) rows each; update the running ones by the unbiased variance."""
    counts = counts.to(means.dtype).view(-1, 1)
    n = counts.sum()
    mean = (counts * means).sum(0) / n
    variances = invstds.pow(-2) - eps
    variance = (counts * (variances + (means - mean).square())).sum(0) / n
    if running_mean is not None:
        running_mean.mul_(1 - momentum).add_(mean, alpha=momentum)
    if running_var is not None:
        running_var.mul_(1 - momentum).add_(variance * n / (n - 1), alpha=momentum)
    return mean, (variance + eps).rsqrt()


def _elementwise(x, weight, bias, mean, invstd, eps):
    """(x − μ) / √(σ² + ε) · γ + β"""
    _, shape = _per_channel(x)
    y = (x.float() - mean.view(shape)) * invstd.view(shape)
    if weight is not None:
        y = y * weight.view(shape)
    if bias is not None:
        y = y + bias.view(shape)
    return y.to(x.dtype)


def _backward_reduce(gradient, x, mean, invstd, weight, of_input, of_weight, of_bias):
    """Return Σ dy, Σ dy (x − μ) and the gradients of γ and β, (C,) each."""
    dims, shape = _per_channel(x)
    gradient = gradient.float()
    total = gradient.sum(dims)
    total_centred = (gradient * (x.float() - mean.view(shape))).sum(dims)
    return (
        total if of_input else torch.empty(0),
        total_centred if of_input else torch.empty(0),
        total_centred * invstd if of_weight else torch.empty(0),
        total.clone() if of_bias else torch.empty(0),
    )


def _backward_elementwise(gradient, x, mean, invstd, weight, total, total_centred, counts):
    """(dy − Σdy/n − (x − μ) / (σ² + ε) · Σdy(x − μ)/n) · γ / √(σ² + ε)"""
    _, shape = _per_channel(x)
    n = counts.sum()
    centred = (x.float() - mean.view(shape)) * invstd.square().view(shape)
    inner = gradient.float() - (total / n).view(shape) - centred * (total_centred / n).view(shape)
    scale = invstd if weight is None else invstd * weight
    return (inner * scale.view(shape)).to(x.dtype)


def _product_of_halves(a: Tensor, b: Tensor, out_dtype: torch.dtype) -> Tensor:
    return (a.to(out_dtype) @ b.to(out_dtype)).to(out_dtype)


KERNELS: dict[str, Callable] = {
    "aten::cudnn_batch_norm": _cudnn_batch_norm,
    "aten::cudnn_batch_norm_backward": _cudnn_batch_norm_backward,
    "aten::batch_norm_stats": _stats,
    "aten::batch_norm_gather_stats_with_counts": _gather_stats_with_counts,
    "aten::batch_norm_elemt": _elementwise,
    "aten::batch_norm_backward_reduce": _backward_reduce,
    "aten::batch_norm_backward_elemt": _backward_elementwise,
    "aten::mm.dtype": _product_of_halves,
}
"""Name of the operator, with its overload if it has one → a function of the same arguments, on the CPU."""
