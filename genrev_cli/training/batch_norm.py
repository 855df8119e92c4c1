"""Batch norm over the global batch, for networks that are trained by many processes."""

import functools

import torch
from torch import Tensor, nn

from genrev_cli.training.distributed import mean, size


def share_statistics(network: nn.Module) -> None:
    """Let every batch norm of a network take mean and variance over all processes' rows (Ioffe & Szegedy 2015, Algorithm 1).

    In a single process nothing changes. The layers stay what they are: their weights, statistics and names are as before.
    """
    if size() == 1:
        return
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.forward = functools.partial(_normalised, layer)


def _normalised(layer: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    """(x − μ) / √(σ² + ε) · γ + β of each channel, (B, C, …); μ, σ² over the rows and places of all ranks, in float32."""
    if not layer.training:
        return type(layer).forward(layer, x)
    with torch.autocast(x.device.type, enabled=False):
        dims, shape = [0, *range(2, x.ndim)], [1, -1, *[1] * (x.ndim - 2)]
        values = x.float()
        mu = mean(values.mean(dims))
        centred = values - mu.view(shape)
        variance = mean(centred.square().mean(dims))
        with torch.no_grad():
            n = size() * x.numel() // x.shape[1]
            layer.num_batches_tracked += 1
            layer.running_mean.lerp_(mu, layer.momentum)
            layer.running_var.lerp_(variance * n / (n - 1), layer.momentum)
        y = centred * (variance + layer.eps).rsqrt().view(shape)
        return (y * layer.weight.view(shape) + layer.bias.view(shape)).to(x.dtype)
