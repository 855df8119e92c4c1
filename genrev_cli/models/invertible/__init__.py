"""Layers with an exact inverse. They map a pair of streams, which stays a pair from the first squeeze to the end."""

from genrev_cli.models.invertible.additive import AdditiveCoupling, ConvBranch
from genrev_cli.models.invertible.affine import AffineConvBranch, AffineCoupling, AffineDenseBranch
from genrev_cli.models.invertible.chain import MEMORY, Chain
from genrev_cli.models.invertible.coupling import Coupling
from genrev_cli.models.invertible.grid import grid_range, to_grid
from genrev_cli.models.invertible.haar import Haar, haar, unhaar
from genrev_cli.models.invertible.layer import Invertible, Streams, zeros
from genrev_cli.models.invertible.recomputed import Recomputed
from genrev_cli.models.invertible.squeeze import Squeeze, squeeze, unsqueeze

__all__ = [
    "MEMORY",
    "AdditiveCoupling",
    "AffineConvBranch",
    "AffineCoupling",
    "AffineDenseBranch",
    "Chain",
    "ConvBranch",
    "Coupling",
    "Haar",
    "Invertible",
    "Recomputed",
    "Squeeze",
    "Streams",
    "grid_range",
    "haar",
    "squeeze",
    "to_grid",
    "unhaar",
    "unsqueeze",
    "zeros",
]
