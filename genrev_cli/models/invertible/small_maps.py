"""Convolutions of very small maps as matrix products, which leave out the padding."""

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.functional import conv2d, linear
from torch.nn.grad import conv2d_input

LARGE = 1_000_000
"""Number of weights above which oneDNN's weight gradient of a 2×2 map is slower than ours: 2.4 to 5.4 times with 1536 channels, 1.5 times
with 768 (float32, AMD EPYC, one thread); in bfloat16 it is 6 times slower with 1536 channels, and as fast with 384."""


def convolve(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Return conv(x) up to rounding: (B, c, H, W) → (B, c', H, W). conv: odd kernel, zero padding that keeps the size, and a bias.

    On a 1×1 map only the kernel's centre meets a pixel: y = W[:, :, r, r] x + b, r = k // 2.
    """
    if x.shape[-2:] == (1, 1):
        row, column = (size // 2 for size in conv.kernel_size)
        return linear(x.flatten(1), conv.weight[:, :, row, column], conv.bias)[:, :, None, None]
    if conv.bias is not None and _slow(conv.weight, x):
        return _TapwiseFunction.apply(_cast(x), conv.weight, conv.bias)
    return conv(x)


def _slow(weight: Tensor, x: Tensor) -> bool:
    """Return True if the weight gradient is faster tap by tap."""
    return x.shape[-2] * x.shape[-1] <= 4 and weight.numel() > LARGE and x.device.type == "cpu"


def _cast(x: Tensor) -> Tensor:
    """Cast to the type of autocast, if that is on: it casts the inputs of torch's own operators only."""
    return x.to(torch.get_autocast_dtype("cpu")) if torch.is_autocast_enabled("cpu") else x


class _TapwiseFunction(Function):
    """The convolution in the type of x, with its own backward pass for the weights.

    The weights are cast again in the backward pass: to keep a copy of each use would take more memory than all activations.
    """

    generate_vmap_rule = True  # for torch.func's Jacobians

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return conv2d(x, weight.to(x.dtype), bias.to(x.dtype), padding=_radii(weight))

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        x, weight, _ = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            conv2d_input(x.shape, weight.to(x.dtype), gradient, padding=_radii(weight)) if of_x else None,
            tapwise_weight_gradient(x, gradient, *weight.shape[-2:]).to(weight.dtype) if of_weight else None,
            gradient.sum(dim=(0, 2, 3)).to(weight.dtype) if of_bias else None,
        )


def tapwise_weight_gradient(x: Tensor, gradient: Tensor, rows: int, columns: int) -> Tensor:
    """∂L/∂W[o, i, u, v] = Σ_b Σ_p ∂L/∂y[b, o, p] x[b, i, p + (u, v) − r],   one matrix product for each tap (u, v), r its centre.

    x: (B, c, H, W). gradient: ∂L/∂y, (B, c', H, W). Returns (c', c, rows, columns). The sum is over the positions p for
    which both pixels exist; for a corner tap on a 2×2 map there is one. In memory each tap stays in one piece: to move them beside each
    other takes longer than the products.
    """
    height, width = x.shape[-2:]
    x, gradient = x.permute(2, 3, 0, 1).contiguous(), gradient.permute(1, 2, 3, 0).contiguous()  # (H, W, B, c), (c', H, W, B)
    taps = []
    for y_rows, x_rows in _overlaps(rows, height):
        for y_columns, x_columns in _overlaps(columns, width):
            taps.append(gradient[:, y_rows, y_columns].flatten(1) @ x[x_rows, x_columns].flatten(0, 2))
    return torch.stack(taps).unflatten(0, (rows, columns)).permute(2, 3, 0, 1)


def _overlaps(taps: int, size: int) -> list[tuple[slice, slice]]:
    """Return, for each tap along one side, the outputs whose input pixel exists, and these input pixels."""
    shifts = range(-(taps // 2), taps // 2 + 1)
    return [(slice(max(0, -d), max(0, size - max(0, d))), slice(max(0, d), max(0, size - max(0, -d)))) for d in shifts]


def _radii(weight: Tensor) -> tuple[int, int]:
    rows, columns = weight.shape[-2:]
    return rows // 2, columns // 2
