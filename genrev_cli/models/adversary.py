"""Networks that judge latent codes: the adversary of Schirrmeister et al. 2018, and the discriminator of WAE-GAN."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from genrev_cli.shapes import Codes, Scores


class LatentAdversary(nn.Module):
    """D: y → ℝ (Schirrmeister et al. 2018, section 3.1): linear (d → h₁) · concatenated ReLU · linear (2h₁ → h₂) · ReLU · linear (h₂ → 1).

    The concatenated ReLU is (max(x, 0), max(−x, 0)). It has a gradient on both sides of 0, which helps when the codes crowd around the
    mean of the prior. Every weight matrix is divided by its largest singular value, estimated by one power iteration per forward pass
    (eq. 4).
    """

    def __init__(self, dim: int, hidden: tuple[int, int] = (400, 800)) -> None:
        super().__init__()
        first, second = hidden
        self.linear1 = spectral_norm(nn.Linear(dim, first))
        self.linear2 = spectral_norm(nn.Linear(2 * first, second))
        self.linear3 = spectral_norm(nn.Linear(second, 1))

    def forward(self, y: Codes) -> Scores:
        """(B, d) → (B,)."""
        h = self.linear1(y)
        h = torch.relu(torch.cat([h, -h], dim=1))
        return self.linear3(torch.relu(self.linear2(h))).squeeze(1)


class CodeDiscriminator(nn.Module):
    """D: z → logit: `layers` times linear (`hidden` units) · ReLU, then linear to one (Tolstikhin et al. 2018, appendix F)."""

    def __init__(self, dim: int, hidden: int, layers: int) -> None:
        super().__init__()
        sizes = [dim, *(hidden,) * layers]
        self.layers = nn.Sequential(*(layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())), nn.Linear(hidden, 1))

    def forward(self, z: Codes) -> Scores:
        """(B, d) → (B,)."""
        return self.layers(z).squeeze(1)
