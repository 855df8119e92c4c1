"""Flows against closed forms, in float64: solvers, the inverse, the density, classes."""

import math

import pytest
import torch
from torch import nn

from genrev_cli.errors import UsageError
from genrev_cli.latents.flow import EXACT_DIMS, Flow
from genrev_cli.latents.ode import ORDERS, integrate
from genrev_cli.settings.flow import SOLVERS

M, S = 1.5, 0.4


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gaussian_velocity(x, t):
    """E[x₁ − x₀ | x_t = x] for independent x₀ ~ N(0, 1), x₁ ~ N(m, s²); its flow is x₀ → m + s x₀."""
    return M + (t * S**2 - (1 - t)) / ((1 - t) ** 2 + t**2 * S**2) * (x - t * M)


class Linear(nn.Module):
    """v(x, t) = A x."""

    def __init__(self, matrix):
        super().__init__()
        self.matrix = matrix

    def forward(self, x, t, labels=None):
        return x @ self.matrix.T


def linear(matrix, **settings):
    flow = Flow(len(matrix), width=4, blocks=1, **settings).double()
    flow.network = Linear(matrix)
    return flow


def bent(dim, classes=0, **settings):
    """Return a flow with random weights: no straight paths, and far from v = 0."""
    torch.manual_seed(0)
    flow = Flow(dim, width=16, blocks=1, classes=classes, **settings).double()
    for parameter in flow.parameters():
        parameter.data.normal_(0, 0.2)
    flow.mean.fill_(0.5)
    flow.scale.fill_(2.0)
    return flow.requires_grad_(False)


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_error_of_a_solver_falls_with_its_order(solver):
    x = normal(5, 1)
    errors = [
        (integrate(gaussian_velocity, x, start=0, end=1, solver=solver, steps=steps) - (M + S * x)).abs().max().item()
        for steps in (64, 128)
    ]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(ORDERS[solver], abs=0.5)
    assert errors[1] < 0.1


def test_the_gaussian_velocity_is_the_regression_of_pairs():
    x_0, x_1 = normal(400_000), M + S * normal(400_000, seed=1)
    for t in (0.0, 0.3, 0.9):
        x = (1 - t) * x_0 + t * x_1
        slope = torch.cov(torch.stack([x_1 - x_0, x]))[0, 1] / x.var()
        assert slope.item() == pytest.approx(gaussian_velocity(1.0, t) - gaussian_velocity(0.0, t), abs=0.01)


@pytest.mark.parametrize("dim", [1, 3])
def test_the_inverse_gives_gaussian_codes_back(dim):
    x, flow = normal(200, dim), bent(dim, solver="rk4", steps=64)
    y = flow.codes(x)
    assert (y - 0.5 - 2 * x).abs().max() > 0.1
    assert (flow.gaussian(y) - x).abs().max() < 1e-3
    coarse = flow.with_solver("", 16)
    assert (coarse.gaussian(coarse.codes(x)) - x).abs().max() > 4 * (flow.gaussian(y) - x).abs().max()


def test_without_velocity_the_density_is_the_gaussian_of_the_moments():
    y = normal(50, 2)
    flow = Flow(2, width=4, blocks=1).double()
    flow.fit(y, torch.zeros(50, dtype=torch.int64))
    wanted = torch.distributions.Normal(flow.mean, flow.scale).log_prob(y).sum(1)
    torch.testing.assert_close(flow.log_prob(y), wanted)


@pytest.mark.parametrize("dim", [1, 3, EXACT_DIMS + 1])
def test_a_linear_flow_has_the_density_of_its_gaussian(dim):
    """A is diagonal, so random signs estimate its trace without error."""
    rates = torch.linspace(-1, 1, dim, dtype=torch.float64) if dim > 1 else torch.tensor([0.7], dtype=torch.float64)
    flow, y = linear(torch.diag(rates), solver="rk4", steps=20), normal(9, dim)
    wanted = torch.distributions.Normal(0.0, rates.exp()).log_prob(y).sum(1)
    torch.testing.assert_close(flow.log_prob(y), wanted, rtol=1e-5, atol=1e-5)


def test_estimated_densities_are_unbiased():
    dim = EXACT_DIMS + 1
    matrix = normal(dim, dim) / dim
    flow, y = linear(matrix, solver="rk4", steps=1), normal(1, dim).expand(400, dim)
    found = flow.log_prob(y)
    assert found.std() > 0
    x = torch.linalg.matrix_exp(-matrix) @ y[0]
    wanted = -0.5 * x @ x - 0.5 * dim * math.log(2 * math.pi) - matrix.trace()
    assert abs(found.mean() - wanted) < 4 * found.std() / 20 + 1e-2


def test_the_density_of_a_line_integrates_to_one():
    y = torch.linspace(-20, 20, 1601, dtype=torch.float64)[:, None]
    density = bent(1, solver="heun", steps=32).log_prob(y).exp()
    assert (density.sum() * 40 / 1600).item() == pytest.approx(1, abs=1e-3)
    assert density.max() < 1


def test_the_density_of_a_plane_integrates_to_one():
    line = torch.linspace(-18, 18, 61, dtype=torch.float64)
    y = torch.cartesian_prod(line, line)
    density = bent(2, solver="heun", steps=12).log_prob(y).exp()
    assert (density.sum() * (36 / 60) ** 2).item() == pytest.approx(1, abs=5e-3)


def test_the_density_is_that_of_the_change_of_variables():
    flow, x = bent(3, solver="rk4", steps=32), normal(1, 3)
    labels = torch.zeros(1, dtype=torch.int64)
    jacobian = torch.autograd.functional.jacobian(lambda x: 2 * flow._integrated(x[None], labels, 0.0, 1.0)[0], x[0])
    wanted = torch.distributions.Normal(0.0, 1.0).log_prob(x).sum() - torch.logdet(jacobian)
    assert flow.log_prob(flow.codes(x)).item() == pytest.approx(wanted.item(), abs=1e-4)


def test_a_path_ends_at_both_codes():
    flow, y = bent(2, solver="rk4", steps=128), normal(2, 2)
    line = flow.between(y[0], y[1], torch.linspace(0, 1, 5, dtype=torch.float64))
    torch.testing.assert_close(line[[0, -1]], y, rtol=0, atol=1e-3)


def test_classes():
    flow = bent(2, classes=2)
    flow.share.copy_(torch.tensor([0.25, 0.75]))
    one, x = flow.given(1), normal(5, 2)
    assert torch.equal(one.codes(x), flow.codes(x, torch.ones(5, dtype=torch.int64)))
    assert not torch.equal(one.codes(x), flow.given(0).codes(x))
    assert torch.equal(one.log_prob(x), flow.log_prob(x, torch.ones(5, dtype=torch.int64)))
    assert (flow.classes, one.classes) == (2, 0)
    with pytest.raises(UsageError, match="needs the class of each code"):
        flow.codes(x)
    with pytest.raises(UsageError, match="class 2 does not exist; choose 0–1"):
        flow.given(2)


def test_classes_are_drawn_by_their_shares():
    flow = Flow(1, width=4, blocks=1, classes=2)
    flow.share.copy_(torch.tensor([0.25, 0.75]))
    drawn = flow._drawn(torch.linspace(0, 1, 1001)[:-1])
    assert drawn.double().mean().item() == pytest.approx(0.75, abs=2e-3)


def test_moments_are_those_of_the_codes():
    y, labels = normal(60, 3) + torch.arange(60)[:, None] % 2, torch.arange(60) % 2
    flow = Flow(3, width=4, blocks=1, classes=2).double()
    flow.fit(y, labels)
    mean, std = flow.moments()
    torch.testing.assert_close(mean, y.mean(0))
    torch.testing.assert_close(std, y.std(0, correction=0))
    torch.testing.assert_close(flow.given(1).moments()[0], y[1::2].mean(0))


@pytest.mark.parametrize("settings", [{"dim": 0}, {"width": 0}, {"blocks": 0}, {"classes": -1}, {"solver": "rk45"}, {"steps": 0}])
def test_impossible_flows_are_refused(settings):
    with pytest.raises(UsageError):
        Flow(**{"dim": 2, "width": 4, "blocks": 1, **settings})


def test_another_solver_shares_the_weights():
    flow = bent(2)
    other = flow.with_solver("euler", 0)
    assert (other.config["solver"], other.config["steps"], flow.config["solver"]) == ("euler", 16, "heun")
    assert other.network is flow.network
    with pytest.raises(UsageError, match="steps = -1"):
        flow.with_solver("", -1)
