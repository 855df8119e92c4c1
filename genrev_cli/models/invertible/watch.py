"""A running maximum that nothing waits for."""

from typing import final

import torch
from torch import Tensor
from torch.autograd import Function


@final
class Largest:
    """The largest |number| of the tensors seen since it was last taken, left on their device: only who reads it waits for that.

    NaN is larger than everything, so one that was seen is not lost.
    """

    def __init__(self) -> None:
        self._value: Tensor | None = None

    def see(self, x: Tensor) -> None:
        """Any shape; nothing is larger in an empty one."""
        if x.numel():
            largest = x.detach().abs().amax()
            self._value = largest if self._value is None else torch.maximum(self._value.to(largest.device), largest)

    def take(self) -> Tensor | None:
        """(), or None if nothing was seen; begins anew."""
        value, self._value = self._value, None
        return value


class _Watched(Function):
    @staticmethod
    def forward(x: Tensor, largest: Largest) -> Tensor:
        largest.see(x)
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        """Nothing is kept."""

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None

    @staticmethod
    def vmap(info, dims, x: Tensor, largest: Largest) -> tuple[Tensor, int | None]:
        """The plain tensor below torch.func's: what is kept must outlive the transform."""
        return _Watched.apply(x, largest), dims[0]


def watched(x: Tensor, largest: Largest) -> Tensor:
    """x, seen."""
    return _Watched.apply(x, largest)
