"""Distances between the codes around a sample, and the bound ε of codes that are joined (An et al. 2020, section 3.2).

The simplices of the paper's complex are the sets of codes whose distances from each other are all shorter than a constant ε.
"""

import torch
from torch import Tensor

from genrev_cli.ot.angles import auto_theta, require_map
from genrev_cli.ot.blocks import blockwise, picked
from genrev_cli.ot.top_cells import TopCells
from genrev_cli.shapes import Codes


def distances(y: Tensor) -> Tensor:
    """Return |y_i − y_j|: (B, k, d) → (B, k, k). Differences from y_0 are taken first, so the origin of the codes does not matter."""
    from_first = y - y[:, :1]
    gram = from_first @ from_first.mT
    square = gram.diagonal(dim1=1, dim2=2)
    return (square[:, :, None] + square[:, None] - 2 * gram).clamp_min(0).sqrt()


@torch.no_grad()
def neighbour_edges(x: Codes, codes: Codes, heights: Tensor, *, k: int = 20) -> Tensor:
    """Return the distance from the code of x to each other one of the k highest scores, in this order: → (B, min(k, n) − 1) float64.

    Raises UsageError for shapes that do not fit, or k < 1.
    """
    require_map(x, codes, heights, k)
    return blockwise(lambda cells: (distances(picked(codes, cells).double())[:, 0, 1:],), TopCells(codes, heights, k)(x))[0]


def auto_epsilon(edges: Tensor) -> float:
    """Return an ε between modes, from `neighbour_edges` (B, k − 1): in the lowest clear gap of all edges, else their median.

    The rule is that of `auto_theta`, which depends on the ratios of the numbers alone. 0 if there is only one cell.
    """
    return auto_theta(edges)
