"""Networks that judge latent codes: the adversary of A4, an MLP with spectral normalisation, and the WAE-GAN's discriminator."""

from itertools import pairwise

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


class CodeDiscriminator(nn.Module):
    """D: z → logit: linear · ReLU, `layers` times with `hidden` units, linear to one (Tolstikhin et al. 2018, appendix F)."""

    def __init__(self, dim: int, hidden: int, layers: int) -> None:
        super().__init__()
        sizes = [dim, *(hidden,) * layers]
        self.layers = nn.Sequential(*(layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())), nn.Linear(hidden, 1))

    def forward(self, z: Codes) -> Scalar:
        """(B, d) → (B,)."""
        return self.layers(z).squeeze(1)
