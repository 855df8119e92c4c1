"""Flow matching: pairs against brute force, and the loss against its known minimum."""

import itertools
import math

import pytest
import torch

from genrev_cli.latents.flow import Flow
from genrev_cli.latents.transport import TransportMap
from genrev_cli.methods.flow_matching import FlowMatching, SemiDiscrete, build_coupling, flow_matching_loss, minibatch
from genrev_cli.ot.cells import accuracy
from genrev_cli.ot.semidiscrete import SolverConfig, build_solver
from genrev_cli.settings.flow import FlowMatchingConfig
from genrev_cli.training.batches import CodeBatches


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def solved(codes, samples):
    """Return the map from a Gaussian to codes after so many samples."""
    solver = build_solver(codes, None, SolverConfig(source="gaussian"), 0)
    while solver.samples < samples:
        solver.step()
    found = TransportMap(codes.shape[1], [len(codes)], [0.0], "nearest", source="gaussian")
    found.codes.copy_(codes)
    found.heights.copy_(solver.heights())
    return found


def fitted(codes, classes=0, labels=None):
    flow = Flow(codes.shape[1], width=32, blocks=2, classes=classes)
    flow.fit(codes, torch.zeros(len(codes), dtype=torch.int64) if labels is None else labels)
    return flow


def test_semidiscrete_pairs_are_the_codes_of_the_cells():
    codes = 3 + normal(80, 4, seed=1)
    found, flow = solved(codes, 40_000), fitted(codes)
    x = normal(20_000, 4, seed=2)
    paired = SemiDiscrete(found, flow)(x, x, torch.zeros(len(x), dtype=torch.int64))
    scores = x.double() @ found.codes.double().T + found.heights.double()
    highest = scores.topk(2).values
    cells = torch.cdist(paired, flow.standardised(codes)).argmin(1)
    clear = highest[:, 0] - highest[:, 1] > 1e-5
    assert clear.double().mean() > 0.99
    assert torch.equal(cells[clear], scores.argmax(1)[clear])
    masses = accuracy(torch.bincount(cells, minlength=80), torch.full((80,), 1 / 80, dtype=torch.float64))
    assert masses.chi2 < 0.02  # √χ² of 0.14; independent samples of 80 equal cells have 0 ± 0.0006


def test_semidiscrete_pairs_stay_within_their_class():
    codes = torch.tensor([[-1.0], [-2.0], [5.0], [6.0], [7.0]])
    found = TransportMap(1, [2, 3], [0.0, 0.0], "nearest", conditional=True, source="gaussian")
    found.codes.copy_(codes)
    flow = fitted(codes, 2, torch.tensor([0, 0, 1, 1, 1]))
    labels = torch.arange(100) % 2
    paired = SemiDiscrete(found, flow)(normal(100, 1), torch.zeros(100, 1), labels) * flow.scale + flow.mean
    assert ((paired[:, 0] > 0).long() == labels).all()


def test_minibatch_pairs_are_optimal_within_each_class():
    x_0, x_1 = normal(10, 2), normal(10, 2, seed=1)
    labels = torch.tensor([0, 1] * 5)
    paired = minibatch(x_0, x_1, labels)
    for k in (0, 1):
        rows = (labels == k).nonzero().squeeze(1)
        costs = [(x_0[rows] - x_1[rows[list(order)]]).square().sum() for order in itertools.permutations(range(5))]
        assert (x_0[rows] - paired[rows]).square().sum().item() == pytest.approx(min(costs).item(), rel=1e-5)


def trained(codes, pairs, found=None, steps=300):
    """Return the flow after training, and the mean loss of the last 100 steps."""
    torch.manual_seed(0)
    flow = fitted(codes)
    method = FlowMatching(flow, FlowMatchingConfig(pairs=pairs, lr=3e-3), build_coupling(pairs, flow, found))
    batches, losses, generator = CodeBatches(codes, torch.zeros(len(codes), dtype=torch.int64), batch=256, seed=0), [], torch.Generator()
    for step in range(steps):
        losses.append(method.step(*batches(step), generator.manual_seed(step))["L_flow"].item())
    return flow.requires_grad_(False), sum(losses[-100:]) / 100


def test_the_loss_comes_to_its_minimum_between_gaussians():
    """For x₀, x₁ ~ N(0, 1) independent, min L = ∫₀¹ Var(x₁ − x₀ | x_t) dt = ∫₀¹ 1/((1 − t)² + t²) dt = π/2."""
    codes = torch.special.ndtri((torch.arange(2000) + 0.5) / 2000)[:, None]
    _, independent = trained(codes, "independent")
    assert independent == pytest.approx(math.pi / 2, abs=0.1)
    _, optimal = trained(codes, "minibatch")
    _, semidiscrete = trained(codes, "semidiscrete", solved(codes, 1))  # on a line the map is exact
    assert semidiscrete < optimal < 0.1 * independent


def test_the_loss_is_a_mean_over_dimensions():
    assert flow_matching_loss(torch.zeros(2, 3), torch.ones(2, 3), torch.full((2, 3), 3.0)).item() == 4


def test_optimal_pairs_need_one_step_between_modes():
    """Two modes far apart: one Euler step of straight paths puts few codes into the gap, one of independent pairs nearly all."""
    codes = torch.cat([normal(500, 2) * 0.2 - 3, normal(500, 2, seed=1) * 0.2 + 3])
    x = normal(2000, 2, seed=3)
    shares = {}
    for pairs in ("independent", "semidiscrete"):
        flow, _ = trained(codes, pairs, solved(codes, 20_000) if pairs == "semidiscrete" else None, steps=400)
        y = flow.with_solver("euler", 1).codes(x)
        shares[pairs] = (y.mean(1).abs() < 1.5).double().mean().item()
    assert shares["semidiscrete"] < 0.3
    assert shares["independent"] > 0.8
