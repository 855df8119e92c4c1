"""Layers with an exact inverse. They act on a pair of streams, which stay apart from the first squeeze to the last."""

from genrev_cli.models.invertible.affine import AffineConvBranch, AffineCoupling, AffineDenseBranch
from genrev_cli.models.invertible.chain import Chain, Invertible, Streams, VolumePreserving
from genrev_cli.models.invertible.coupling import AdditiveCoupling, ConvBranch
from genrev_cli.models.invertible.haar import Haar, haar, unhaar
from genrev_cli.models.invertible.squeeze import Squeeze, squeeze, unsqueeze

__all__ = [
    "AdditiveCoupling",
    "AffineConvBranch",
    "AffineCoupling",
    "AffineDenseBranch",
    "Chain",
    "ConvBranch",
    "Haar",
    "Invertible",
    "Squeeze",
    "Streams",
    "VolumePreserving",
    "haar",
    "squeeze",
    "unhaar",
    "unsqueeze",
]
