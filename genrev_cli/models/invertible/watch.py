"""A running maximum that never makes the host wait for the device."""

from typing import final

import torch
from torch import Tensor
from torch.autograd import Function


@final
class Largest:
    """The largest magnitude of all tensors seen since the last `take`. It stays on the device until somebody reads it.

    NaN counts as larger than every number, so it is never lost.
    """

    def __init__(self) -> None:
        self._value: Tensor | None = None

    def see(self, x: Tensor) -> None:
        """Include a tensor of any shape; an empty one changes nothing."""
        if x.numel():
            largest = x.detach().abs().amax()
            self._value = largest if self._value is None else torch.maximum(self._value.to(largest.device), largest)

    def take(self) -> Tensor | None:
        """Return the maximum, (), or None if nothing was seen; then start again."""
        value, self._value = self._value, None
        return value


class _Watched(Function):
    @staticmethod
    def forward(x: Tensor, largest: Largest) -> Tensor:
        largest.see(x)
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        """Keep nothing."""

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None

    @staticmethod
    def vmap(info, dims, x: Tensor, largest: Largest) -> tuple[Tensor, int | None]:
        """Use the plain tensor below the one of torch.func, because the maximum must outlive the transform."""
        return _Watched.apply(x, largest), dims[0]


def watched(x: Tensor, largest: Largest) -> Tensor:
    """Return x, and include it in the maximum."""
    return _Watched.apply(x, largest)
