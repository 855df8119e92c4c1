"""The adversary on latent codes (A4): an MLP with spectral normalisation."""

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from genrev_cli.shapes import Codes, Scalar


class LatentAdversary(nn.Module):
    """D: y → ℝ. linear (d → h₁) · concatenated ReLU · linear (2h₁ → h₂) · ReLU · linear (h₂ → 1).

    The concatenated ReLU (max(x, 0), max(−x, 0)) keeps a gradient on both sides when the codes crowd around the mean of the prior.
    Every linear layer is divided by its largest singular value, tracked by one power iteration per forward pass (eq. 4).
    """

    def __init__(self, dim: int, hidden: tuple[int, int] = (400, 800)) -> None:
        super().__init__()
        first, second = hidden
        self.linear1 = spectral_norm(nn.Linear(dim, first))
        self.linear2 = spectral_norm(nn.Linear(2 * first, second))
        self.linear3 = spectral_norm(nn.Linear(second, 1))

    def forward(self, y: Codes) -> Scalar:
        """(B, d) → (B,)."""
        h = self.linear1(y)
        h = torch.relu(torch.cat([h, -h], dim=1))
        return self.linear3(torch.relu(self.linear2(h))).squeeze(1)
