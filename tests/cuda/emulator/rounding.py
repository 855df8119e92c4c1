"""TF32: where torch's switches allow it, tensor cores round the factors of float32 products to 10 bits of mantissa."""

import torch
from torch import Tensor

_DROPPED = 13  # of the 23 bits of float32's mantissa 10 are kept

_CONVOLUTIONS = {"convolution": (0, 1), "convolution_backward": (0, 1, 2)}
_PRODUCTS = {
    "mm": (0, 1), "bmm": (0, 1), "addmm": (1, 2), "addmm_": (1, 2), "baddbmm": (1, 2), "baddbmm_": (1, 2), "addbmm": (1, 2),
    "_addmm_activation": (1, 2),
}  # fmt: skip


def rounded(x: Tensor) -> Tensor:
    """Round float32 numbers to TF32's 10 bits, ties away from zero; other types, and numbers that are not finite, stay as they are."""
    if x.dtype != torch.float32:
        return x
    bits = x.detach().contiguous().view(torch.int32)
    half = 1 << (_DROPPED - 1)
    near = ((bits + half) & -(1 << _DROPPED)).view(torch.float32)
    return torch.where(x.isfinite(), near.as_strided_(x.shape, near.stride()), x)


def convolutions_round() -> bool:
    """Return whether cuDNN may round what convolutions see."""
    return torch.backends.cudnn.enabled and torch.backends.cudnn.conv.fp32_precision == "tf32"


def products_round() -> bool:
    """Return whether cuBLAS may round what matrix products see. Raises RuntimeError, as its kernels do, where torch's old and new switches
    contradict each other."""
    return torch._C._get_cublas_allow_tf32()


def with_rounded_factors(name: str, args: tuple) -> tuple:
    """Return the arguments of operator `name`, on the CPU, as the tensor cores would see them."""
    factors: tuple[int, ...] = ()
    if name in _CONVOLUTIONS and convolutions_round():
        factors = _CONVOLUTIONS[name]
    elif name in _PRODUCTS and args[_PRODUCTS[name][0]].dtype == torch.float32 and products_round():
        factors = _PRODUCTS[name]
    return tuple(rounded(value) if i in factors and isinstance(value, Tensor) else value for i, value in enumerate(args))
