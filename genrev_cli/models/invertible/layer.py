"""Base classes of invertible layers, and of the steps that layers consist of.

A layer maps a pair of streams (a, b), each (B, c, H, W), to another pair. Joining and splitting the streams around every block would
cost two copies of the activations per block.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, final

from torch import Tensor, nn

from genrev_cli.shapes import Scores

Streams: TypeAlias = tuple[Tensor, Tensor]


class Undone(NamedTuple):
    """The inputs of a step, and the gradients of a loss: for the inputs, the log-determinant before the step, and the parameters."""

    streams: Streams
    gradients: tuple[Tensor | None, Tensor | None]
    log_det: Scores | None
    parameters: tuple[Tensor | None, ...]


class Step(ABC):
    """A bijection of pairs of streams that can be undone by itself. In every memory mode a network is a sequence of steps."""

    @abstractmethod
    def __call__(self, streams: Streams, log_det: Scores | None) -> tuple[Streams, Scores | None]:
        """Return the mapped streams, and log_det (B,) plus the step's own log |det|; None stays None."""

    @property
    @abstractmethod
    def inverse(self) -> "Step":
        """Return the step that undoes this one."""

    @property
    @abstractmethod
    def parameters(self) -> dict[str, Tensor]:
        """Return the parameters that the step depends on, by name."""

    @abstractmethod
    def bound(self, parameters: dict[str, Tensor]) -> "Step":
        """Return the same step with these parameters in place of its own."""

    @abstractmethod
    def undo(self, outputs: Streams, gradients: Streams, log_det: Scores | None, needed: tuple[bool, bool]) -> Undone:
        """Back-propagate from the outputs alone.

        outputs: of the step. gradients, log_det: gradients of the loss with respect to the outputs and to the log-determinant. needed:
        which of the two inputs need a gradient; the others may get None. Every parameter that requires a gradient gets one.
        """


@final
@dataclass(frozen=True, eq=False)
class Rearrangement(Step):
    """The same orthogonal map on each stream. Its inverse is its transpose, so it maps streams and gradients back in the same way."""

    there: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]

    def __call__(self, streams: Streams, log_det: Scores | None) -> tuple[Streams, Scores | None]:
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

    def undo(self, outputs: Streams, gradients: Streams, log_det: Scores | None, needed: tuple[bool, bool]) -> Undone:
        streams, _ = self.inverse(outputs, None)
        back, _ = self.inverse(gradients, None)
        return Undone(streams, back, log_det, ())


class Invertible(nn.Module, ABC):
    """A bijection on pairs of streams: inverse(forward(s)) == s up to rounding.

    Log-determinants are log |det ∂output/∂input| of each image. `forward` and `inverse` do not compute them.
    """

    @abstractmethod
    def steps(self) -> Sequence[Step]:
        """Return the steps from the image side to the latent side."""

    def inverse_steps(self) -> Sequence[Step]:
        """Return the steps from the latent side to the image side: the inverse of every step, in reverse order."""
        return [step.inverse for step in reversed(self.steps())]

    def take_largest(self) -> Tensor | None:
        """Return the largest stream magnitude since the last call, () on its device; None if the layer does not record it."""
        return None

    def forward(self, streams: Streams) -> Streams:
        """Map the streams from the image side to the latent side."""
        return run(self.steps(), streams)[0]

    def inverse(self, streams: Streams) -> Streams:
        """Map the streams from the latent side to the image side."""
        return run(self.inverse_steps(), streams)[0]

    def forward_log_det(self, streams: Streams) -> tuple[Streams, Scores]:
        """Map like `forward`; return the log-determinant (B,) too."""
        return _run_log_det(self.steps(), streams)

    def inverse_log_det(self, streams: Streams) -> tuple[Streams, Scores]:
        """Map like `inverse`; return its log-determinant (B,) too, which is minus that of `forward` at the same pair of points."""
        return _run_log_det(self.inverse_steps(), streams)


Applied: TypeAlias = Callable[[Streams, Scores | None], tuple[Streams, Scores | None]]
"""A step, or a function with the same call."""


def _run_log_det(steps: Sequence[Step], streams: Streams) -> tuple[Streams, Scores]:
    streams, log_det = run(steps, streams, zeros(streams))
    assert log_det is not None
    return streams, log_det


def run(steps: Sequence[Applied], streams: Streams, log_det: Scores | None = None) -> tuple[Streams, Scores | None]:
    """Apply the steps in order; autograd saves what it needs. If log_det (B,) is given, the log-determinants are added to it."""
    for step in steps:
        streams, log_det = step(streams, log_det)
    return streams, log_det


def zeros(streams: Streams) -> Scores:
    """Return zeros (B,), the log-determinant of the identity."""
    return streams[0].new_zeros(len(streams[0]))
