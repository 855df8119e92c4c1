"""Regularized autoencoders: RAE-L2 and RAE-GP against closed forms (Ghosh et al. 2020)."""

import math
from contextlib import nullcontext

import pytest
import torch

from genrev_cli.latents import ActiveGaussian
from genrev_cli.methods.reconstruction import Reconstruction
from genrev_cli.methods.regularized import gradient_loss, kernel_loss, pulled
from genrev_cli.models import build_model
from genrev_cli.settings.reconstruction import ReconstructionConfig

DENSE = {"name": "dense", "image_shape": [1, 4, 4], "latent_dim": 3, "hidden": [8]}
NORMED = {"name": "strided", "image_shape": [1, 4, 4], "latent_dim": 3, "channels": [4], "norm": "all"}


def drawn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def of_basis(g, z, n):
    """The penalty of a decoder at one code z (1, d), by the mean over √n e_i of u: exact."""
    many = z.expand(n, z.shape[1]).clone().requires_grad_()
    return gradient_loss(pulled(g(many), many, math.sqrt(n) * torch.eye(n, dtype=torch.float64)), n)


def test_the_gradient_penalty_of_a_linear_decoder():
    """‖A‖²_F / n for n values; and its gradient is 2A / n."""
    A = drawn(6, 3).requires_grad_()
    penalty = of_basis(lambda z: z @ A.T, drawn(1, 3, seed=1), 6)
    torch.testing.assert_close(penalty, A.square().sum() / 6, rtol=1e-12, atol=0)
    (found,) = torch.autograd.grad(penalty, A)
    torch.testing.assert_close(found, 2 * A.detach() / 6, rtol=1e-10, atol=1e-12)


def test_the_gradient_penalty_of_a_curved_decoder():
    """g(z) = sin(A z): ∂g_i/∂z_j = cos((A z)_i) A_ij."""
    A, z = drawn(4, 2), drawn(1, 2, seed=1)
    penalty = of_basis(lambda z: (z @ A.T).sin(), z, 4)
    torch.testing.assert_close(penalty, ((z @ A.T).cos().T * A).square().sum() / 4, rtol=1e-12, atol=0)


def test_the_gradient_penalty_is_what_small_noise_on_codes_adds():
    """mean (g(z + σu) − x)² − mean (g(z) − x)² → σ² · L_GP, for a linear decoder with opposite pairs of u exactly."""
    n, d, sigma = 6, 3, 0.1
    A, z, x = drawn(n, d), drawn(1, d, seed=1), drawn(1, n, seed=2)
    u = math.sqrt(d) * torch.cat([torch.eye(d, dtype=torch.float64), -torch.eye(d, dtype=torch.float64)])
    added = ((z + sigma * u) @ A.T - x).square().mean() - (z @ A.T - x).square().mean()
    assert added.item() == pytest.approx(sigma**2 * A.square().sum().item() / n, rel=1e-12)


@pytest.mark.parametrize("config", [DENSE, NORMED], ids=["dense", "normed"])
def test_the_sum_of_squared_kernels(config):
    """Neither the encoder's weights, nor biases, nor the scales of batch norm count."""
    torch.manual_seed(0)
    network = build_model(config).double()
    expected = sum((p**2).sum().item() for name, p in network.named_parameters() if name.startswith("decoder.") and p.ndim > 1)
    loss = kernel_loss(network.decoder_modules())
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    named = dict(network.named_parameters())
    for (name, parameter), gradient in zip(named.items(), torch.autograd.grad(loss, list(named.values()), allow_unused=True), strict=True):
        counted = name.startswith("decoder.") and parameter.ndim > 1
        assert (gradient is not None) == counted, name
        if counted:
            torch.testing.assert_close(gradient, 2 * parameter.detach())


def learner(config, **settings):
    torch.manual_seed(0)
    network = build_model(config)
    settings = {"image_norm": "l2", "betas": (0.9, 0.999), "lr": 1e-3, "weight_code": 1e-4, **settings}
    return Reconstruction(network, ActiveGaussian(3, 3, 0.0, "first"), ReconstructionConfig(1.0, 0.0, **settings), nullcontext)


def stepped(method, x, seed=0):
    return method.step(x, torch.zeros(len(x), dtype=torch.int64), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("config", [DENSE, NORMED], ids=["dense", "normed"])
@pytest.mark.parametrize(("weight", "term"), [("weight_decoder", "L_decoder"), ("weight_gradient", "L_gradient")])
def test_a_step(config, weight, term):
    x = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    plain, regularized = stepped(learner(config), x), stepped(learner(config, **{weight: 0.1}), x)
    assert plain.keys() == {"L_x", "L_z", "L_y", "grad_norm"}
    assert regularized.keys() == {*plain, term}
    assert all(torch.equal(plain[name], regularized[name]) for name in ("L_x", "L_z", "L_y"))
    assert not torch.equal(plain["grad_norm"], regularized["grad_norm"])
    assert not any(scalar.requires_grad for scalar in regularized.values())


@pytest.mark.parametrize(("weight", "term"), [("weight_decoder", "L_decoder"), ("weight_gradient", "L_gradient")])
def test_the_term_falls(weight, term):
    x = torch.rand(32, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    ends = []
    for value in (1e-12, 10.0):
        method = learner(DENSE, **{weight: value})
        ends.append([stepped(method, x, seed)[term].item() for seed in range(100)][-1])
    assert ends[1] < 0.6 * ends[0]
