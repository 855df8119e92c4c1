"""Autoencoders whose encoder returns a Gaussian over codes.

The networks are those of Zhang et al. 2020, "Perceptual generative autoencoders" (section 3; src/models.py of zj10/PGA), and of
Tolstikhin et al. 2018 (appendix F). Callers see pixels in [0, 1]; the networks use [−1, 1] and end in tanh.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import log, prod
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from genrev_cli.errors import SettingError, UsageError
from genrev_cli.models.base import Autoencoder
from genrev_cli.models.blocks import (
    Shape,
    convolution,
    doubling,
    down_block,
    first_block,
    flat_block,
    glorot,
    halved,
    linear,
    maps,
    normalisation,
    require_sizes,
    set_norm_eps,
    spread_block,
    transposed,
)
from genrev_cli.models.margin import NO_MARGIN, Margin
from genrev_cli.shapes import Codes, Images, Latents

NORM_EPS = 1e-5  # torch's
NORMALISED = ("none", "inner", "all")
FIRST_LOG_VARIANCE = 2 * log(0.1)
"""Initial bias of the layer that gives log σ² (Zhang et al.'s code)."""


@final
class Variational(Autoencoder):
    """q(z|x) = N(μ(x), diag σ²(x)), with μ and log σ² linear in the features of x;   x̂ = g(z);   `encode` returns μ(x).

    If `variational` is false in the config, there is no σ and `posterior` raises UsageError.
    """

    bijective: ClassVar[bool] = False

    def __init__(self, config: dict[str, Any], features: nn.Module, width: int, decoder: nn.Module, *, margin: Margin = NO_MARGIN) -> None:
        """margin: of the images that features and decoder see, (B, C, H', W').

        features: (B, C, H', W') in [−1, 1] → (B, width). decoder: (B, d) → (B, C, H', W'), before the tanh.
        """
        super().__init__()
        self.config = {key: list(value) if isinstance(value, tuple) else value for key, value in config.items()}
        C, H, W = config["image_shape"]
        self.image_shape, self.latent_dim = (C, H, W), config["latent_dim"]
        self.features, self.decoder, self.margin = features, decoder, margin
        self.mean = nn.Linear(width, self.latent_dim)
        self.log_variance = nn.Linear(width, self.latent_dim) if config["variational"] else None
        set_norm_eps(self, config.get("norm_eps", NORM_EPS))
        for layer in maps(self):
            glorot(layer)
        if self.log_variance is not None:
            nn.init.constant_(self.log_variance.bias, FIRST_LOG_VARIANCE)

    def encode(self, x: Images) -> Latents:
        """(B, C, H, W) → μ, (B, d)."""
        return self.mean(self._features(x)).to(x.dtype)  # codes and pixels stay in float32 under autocast

    def posterior(self, x: Images) -> tuple[Codes, Codes]:
        """(B, C, H, W) → μ and log σ², (B, d) each. Raises UsageError if there is no σ."""
        if self.log_variance is None:
            raise UsageError(f"'{self.config['name']}' has no variance of codes; set variational = true in [model]")
        h = self._features(x)
        return self.mean(h).to(x.dtype), self.log_variance(h).to(x.dtype)

    def decode(self, z: Latents) -> Images:
        """(B, d) → (B, C, H, W) in [0, 1]."""
        return (torch.tanh(self.margin.crop(self.decoder(z)).to(z.dtype)) + 1) / 2

    def _features(self, x: Images) -> Tensor:
        return self.features(self.margin.pad(2 * x - 1))

    def decoder_modules(self) -> list[nn.Module]:
        return [self.decoder]

    def coding_modules(self) -> list[nn.Module]:
        """Return all modules except the layer of log σ²."""
        return [self.features, self.mean, self.decoder]


def _require_eps(eps: float) -> None:
    if eps <= 0:
        raise SettingError("norm_eps", eps, "must be above 0")


@dataclass(frozen=True, kw_only=True)
class StridedConfig:
    """image_shape: (C, H, W). latent_dim: d. channels: of each stride-2 convolution, from image to code. kernel: k, odd.

    dense: units of an extra dense layer on each side of the code; 0: none. slope: of the encoder's leaky ReLUs.
    norm: which layers batch norm follows: 'none', 'all', or 'inner' (Zhang et al.). Inner layers are the encoder's last two convolutions
    (never its first) and dense layer, and the decoder's hidden layers except its first and last.
    last_stride: stride of the decoder's last layer; with 1 the decoder starts at twice the size (Tolstikhin et al.).
    norm_eps: added to the variance by batch norm; 1e-3 in Zhang et al.'s code, which has slim's default.
    """

    image_shape: Shape
    latent_dim: int
    channels: tuple[int, ...]
    kernel: int = 5
    dense: int = 0
    norm: str = "none"
    slope: float = 0.2
    last_stride: int = 2
    variational: bool = False
    norm_eps: float = NORM_EPS

    def __post_init__(self) -> None:
        _require_eps(self.norm_eps)
        sizes = {"latent_dim": self.latent_dim, "smallest of channels": min(self.channels, default=0), "kernel": self.kernel}
        require_sizes("strided", self.image_shape, len(self.channels), sizes)
        if self.kernel % 2 == 0 or self.dense < 0 or self.last_stride not in (1, 2):
            raise UsageError(
                f"strided: kernel {self.kernel} must be odd, dense {self.dense} not negative and last_stride {self.last_stride} 1 or 2"
            )
        if self.norm not in NORMALISED:
            raise SettingError("norm", repr(self.norm), f"choose {', '.join(NORMALISED)}")

    def kind(self, inner: bool) -> str:
        """Return the norm that follows a layer, given whether it is an inner one."""
        return "batch" if self.norm == "all" or (inner and self.norm == "inner") else "none"


def strided(**settings: Any) -> Variational:
    """Build k×k convolutions of stride 2 · dense · μ, σ;   g: dense · linear · transposed convolutions · tanh.

    Settings: `StridedConfig`.
    """
    c = StridedConfig(**settings)
    channels, last = [c.image_shape[0], *c.channels], len(c.channels) - 1
    convolutions = [
        convolution(a, b, c.kernel, 2, norm=c.kind(i > 0 and i >= last - 1), slope=c.slope) for i, (a, b) in enumerate(pairwise(channels))
    ]
    margin = Margin.centred(c.image_shape, len(c.channels))
    padded = margin.grown(c.image_shape)
    size = prod(halved(padded, len(c.channels), c.channels[-1]))
    dense = [linear(size, c.dense, c.kind(True), c.slope)] if c.dense else []
    features = nn.Sequential(*convolutions, nn.Flatten(), *dense)
    return Variational({"name": "strided", **vars(c)}, features, c.dense or size, _transposed(c, padded), margin=margin)


def _transposed(c: StridedConfig, padded: Shape) -> nn.Sequential:
    """Build the decoder, without its tanh. padded: shape of images with their margin."""
    coarse = halved(padded, len(c.channels) + c.last_stride - 2, c.channels[-1])
    up = list(pairwise(c.channels[::-1]))
    dense = [linear(c.latent_dim, c.dense, c.kind(False), 0.0)] if c.dense else []
    kind = c.kind(bool(dense))
    first = [nn.Linear(c.dense or c.latent_dim, prod(coarse), bias=kind == "none"), nn.Unflatten(1, coarse), normalisation(kind, coarse[0])]
    hidden = [transposed(a, b, c.kernel, c.kind(i < len(up) - 1)) for i, (a, b) in enumerate(up)]
    end: nn.Module
    if c.last_stride == 2:
        end = doubling(c.channels[0], c.image_shape[0], c.kernel, bias=True)
    else:
        end = nn.Conv2d(c.channels[0], c.image_shape[0], c.kernel, padding=c.kernel // 2)
    return nn.Sequential(*dense, *first, nn.ReLU(), *hidden, end)


@dataclass(frozen=True, kw_only=True)
class ResidualConfig:
    """image_shape: (C, H, W). latent_dim: d. width: channels of every block. norm: use batch norm. norm_eps: as in `StridedConfig`."""

    image_shape: Shape
    latent_dim: int
    width: int = 512
    norm: bool = False
    variational: bool = False
    norm_eps: float = NORM_EPS

    def __post_init__(self) -> None:
        _require_eps(self.norm_eps)
        require_sizes("residual", self.image_shape, 3, {"latent_dim": self.latent_dim, "width": self.width})


def residual(**settings: Any) -> Variational:
    """Build two down blocks · two flat blocks · ReLU · μ, σ;   g: linear to 4w channels · three up blocks · ReLU · 3×3 · tanh.

    From src/models.py of zj10/PGA. Settings: `ResidualConfig`.
    """
    c = ResidualConfig(**settings)
    norm, w = "batch" if c.norm else "none", c.width
    down = [first_block(c.image_shape[0], w, norm), down_block(w, w, norm), flat_block(w, norm), flat_block(w, norm)]
    margin = Margin.centred(c.image_shape, 3)
    padded = margin.grown(c.image_shape)
    coarse = halved(padded, 3, 4 * w)
    decoder = nn.Sequential(
        nn.Linear(c.latent_dim, prod(coarse)),
        nn.Unflatten(1, coarse),
        spread_block(4 * w, w, norm),
        *(spread_block(w, w, norm) for _ in range(2)),
        nn.ReLU(),
        nn.Conv2d(w, c.image_shape[0], 3, padding=1),
    )
    features, width = nn.Sequential(*down, nn.ReLU(), nn.Flatten()), prod(halved(padded, 2, w))
    return Variational({"name": "residual", **vars(c)}, features, width, decoder, margin=margin)


NETWORKS = {"strided": (StridedConfig, strided), "residual": (ResidualConfig, residual)}
