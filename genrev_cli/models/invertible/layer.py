"""What invertible networks are made of: layers, and the steps that layers consist of.

A layer maps a pair of streams (a, b), each (B, c, H, W), to another pair. Keeping the pair, instead of joining and splitting it
around every block, saves two copies of the activations per block.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, final

from torch import Tensor, nn

Streams: TypeAlias = tuple[Tensor, Tensor]


class Undone(NamedTuple):
    """A step's inputs, and a loss's gradients with respect to them, to the log-determinant before the step and to its parameters."""

    streams: Streams
    gradients: tuple[Tensor | None, Tensor | None]
    log_det: Tensor | None
    parameters: tuple[Tensor | None, ...]


class Step(ABC):
    """A bijection of pairs of streams that can be undone by itself: in every mode of memory, a network is a sequence of these."""

    @abstractmethod
    def __call__(self, streams: Streams, log_det: Tensor | None) -> tuple[Streams, Tensor | None]:
        """The step, and log_det (B,) plus its own log |det|; None stays None."""

    @property
    @abstractmethod
    def inverse(self) -> "Step":
        """What undoes it."""

    @property
    @abstractmethod
    def parameters(self) -> dict[str, Tensor]:
        """Those that it depends on, by name."""

    @abstractmethod
    def bound(self, parameters: dict[str, Tensor]) -> "Step":
        """The step with these in the place of its own."""

    @abstractmethod
    def undo(self, outputs: Streams, gradients: Streams, log_det: Tensor | None, needed: tuple[bool, bool]) -> Undone:
        """Back-propagate from the outputs alone.

        outputs: of the step. gradients, log_det: of the loss with respect to them and to the log-determinant. needed: of which inputs
        gradients are wanted; others may be None. The parameters that require a gradient get one.
        """


@final
@dataclass(frozen=True, eq=False)
class Rearrangement(Step):
    """The same orthogonal map on each stream. Its inverse is its transpose, so streams and gradients go back alike."""

    there: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]

    def __call__(self, streams: Streams, log_det: Tensor | None) -> tuple[Streams, Tensor | None]:
        a, b = streams
        return (self.there(a), self.there(b)), log_det

    @property
    def inverse(self) -> Step:
        return Rearrangement(self.back, self.there)

    @property
    def parameters(self) -> dict[str, Tensor]:
        return {}

    def bound(self, parameters: dict[str, Tensor]) -> Step:
        return self

    def undo(self, outputs: Streams, gradients: Streams, log_det: Tensor | None, needed: tuple[bool, bool]) -> Undone:
        streams, _ = self.inverse(outputs, None)
        back, _ = self.inverse(gradients, None)
        return Undone(streams, back, log_det, ())


class Invertible(nn.Module, ABC):
    """A bijection on pairs of streams: inverse(forward(s)) == s up to rounding.

    The log-determinants are log |det ∂output/∂input| per image; `forward` and `inverse` alone compute nothing of them.
    """

    @abstractmethod
    def steps(self) -> Sequence[Step]:
        """Image side → latent side."""

    def inverse_steps(self) -> Sequence[Step]:
        """Latent side → image side: every step undone, the last one first."""
        return [step.inverse for step in reversed(self.steps())]

    def take_largest(self) -> Tensor | None:
        """() the largest |number| of the streams since it was last taken, on its device; None where nobody watches."""
        return None

    def forward(self, streams: Streams) -> Streams:
        """Image side → latent side."""
        return run(self.steps(), streams)[0]

    def inverse(self, streams: Streams) -> Streams:
        """Latent side → image side."""
        return run(self.inverse_steps(), streams)[0]

    def forward_log_det(self, streams: Streams) -> tuple[Streams, Tensor]:
        """`forward`, and its log-determinant (B,)."""
        return run(self.steps(), streams, zeros(streams))

    def inverse_log_det(self, streams: Streams) -> tuple[Streams, Tensor]:
        """`inverse`, and its log-determinant (B,): minus that of `forward` at the same pair of points."""
        return run(self.inverse_steps(), streams, zeros(streams))


def run(steps: Sequence[Step], streams: Streams, log_det: Tensor | None = None) -> tuple[Streams, Tensor | None]:
    """The steps in order, with what autograd saves by itself; log-determinants add up to log_det (B,) if that is asked for."""
    for step in steps:
        streams, log_det = step(streams, log_det)
    return streams, log_det


def zeros(streams: Streams) -> Tensor:
    """(B,) what log-determinants are added to."""
    return streams[0].new_zeros(len(streams[0]))
