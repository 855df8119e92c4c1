"""Fit a flow of codes by flow matching (Lipman et al. 2023), with independent or optimal pairs.

x₀ ~ N(0, I): noise;   x₁ = (y − m)/s: a code in the coordinates of the flow;   v: its network;   t ~ U[0, 1]
x_t = (1 − t) x₀ + t x₁         the straight path from x₀ to x₁   (section 4.1, example II, eq. 22 with σ_min = 0)
pairs (x₀, x₁):
  independent                   Lipman et al. 2023
  minibatch                     arg min_P Σ |x₀ − P x₁|² over permutations P of the batch   (Pooladian et al. 2023; Tong et al. 2024)
  semidiscrete                  y = y_i, i = arg max_i ⟨x₀, y_i⟩ + h_i: the cell of x₀ in a map of codes   (Mousavi-Hosseini et al. 2025)

Straighter paths need fewer steps of the solver. With classes, all pairs are within a class.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import final

import torch
from torch import Tensor

from genrev_cli.latents.flow import Flow
from genrev_cli.latents.transport import TransportMap
from genrev_cli.ot.discrete import matched
from genrev_cli.ot.scores import build_scores, centred
from genrev_cli.settings.flow import FlowMatchingConfig
from genrev_cli.shapes import Codes, Labels, Scalar
from genrev_cli.training.method import Method
from genrev_cli.training.optim import Optimizer, descend

Coupling = Callable[[Codes, Codes, Labels], Codes]
"""Noise x₀ (B, d), codes x₁ (B, d) in the flow's coordinates and their classes (B,) → the partner of each x₀, (B, d)."""


def flow_matching_loss(velocity: Codes, x_0: Codes, x_1: Codes) -> Scalar:
    """L = E |v(x_t, t) − (x₁ − x₀)|² / d   (eq. 23 with σ_min = 0)"""
    return (velocity - (x_1 - x_0)).square().mean()


def independent(x_0: Codes, x_1: Codes, labels: Labels) -> Codes:
    """Return x₁ as it is: both are drawn independently."""
    return x_1


def minibatch(x_0: Codes, x_1: Codes, labels: Labels) -> Codes:
    """Return x₁ in the order that minimises Σ |x₀ − x₁|², class by class, by exact assignment on the CPU. The host waits for a GPU once."""
    return x_1[matched(x_0, x_1, labels, squared=True)]


@final
class SemiDiscrete:
    """Pairs each x₀ with the code of its cell, in one map of all codes, or in that of its class. Scores are computed in blocks."""

    def __init__(self, found: TransportMap, flow: Flow) -> None:
        self._flow = flow
        self._codes = found.codes.split(found.sizes)
        self._scores = [
            build_scores(centred(codes)).lift((heights.double() - heights.double().mean()).float())
            for codes, heights in zip(self._codes, found.heights.split(found.sizes), strict=True)
        ]

    def __call__(self, x_0: Codes, x_1: Codes, labels: Labels) -> Codes:
        """Return the code of the cell of each x₀, in the coordinates of the flow; x₁ is not read."""
        if len(self._codes) == 1:
            return self._flow.standardised(self._codes[0][self._scores[0].argmax(x_0)])
        paired = torch.empty_like(x_1)
        for k, (codes, scores) in enumerate(zip(self._codes, self._scores, strict=True)):
            rows = (labels == k).nonzero().squeeze(1)
            if len(rows):
                paired[rows] = self._flow.standardised(codes[scores.argmax(x_0[rows])])
        return paired


def build_coupling(name: str, flow: Flow, found: TransportMap | None) -> Coupling:
    """Return the coupling of a name of PAIRS. found: the map of 'semidiscrete', on the flow's device."""
    if name == "semidiscrete":
        assert found is not None, "semi-discrete pairs need a map"
        return SemiDiscrete(found, flow)
    return {"independent": independent, "minibatch": minibatch}[name]


@final
class FlowMatching(Method):
    """Minimise L by Adam. Its batches are codes (B, d), not images."""

    def __init__(self, flow: Flow, config: FlowMatchingConfig, coupling: Coupling) -> None:
        self.flow, self.coupling, self.autocast = flow, coupling, nullcontext
        self.modules = {"flow": flow}
        self.optimizers = {"v": Optimizer([flow], lr=config.lr, max_grad_norm=config.max_grad_norm)}

    @property
    def model(self) -> Flow:
        """The flow."""
        return self.flow

    def step(self, x: Codes, labels: Labels, generator: torch.Generator) -> dict[str, Scalar]:
        """Update the network once from codes x (B, d) with their classes (B,)."""
        x_0 = torch.randn(x.shape, generator=generator, device=x.device)
        classes = labels if self.flow.classes else torch.zeros_like(labels)
        x_1 = self.coupling(x_0, self.flow.standardised(x), classes)
        t = torch.rand(len(x), generator=generator, device=x.device)
        velocity = self.flow.network(_on_path(x_0, x_1, t), t, classes)
        L = flow_matching_loss(velocity, x_0, x_1)
        (norm,) = descend((self.optimizers["v"], L))
        return {"L_flow": L.detach(), "grad_norm": norm}


def _on_path(x_0: Codes, x_1: Codes, t: Tensor) -> Codes:
    """x_t = (1 − t) x₀ + t x₁"""
    return torch.lerp(x_0, x_1, t[:, None])
