"""Layers with an exact inverse. They act on a pair of streams, which stay apart from the first squeeze to the last."""

from genrev_cli.models.invertible.chain import Chain, Invertible, Streams
from genrev_cli.models.invertible.coupling import AdditiveCoupling, ConvBranch
from genrev_cli.models.invertible.squeeze import Squeeze, squeeze, unsqueeze

__all__ = ["AdditiveCoupling", "Chain", "ConvBranch", "Invertible", "Squeeze", "Streams", "squeeze", "unsqueeze"]
