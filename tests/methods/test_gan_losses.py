"""GAN losses: values by hand, and penalties of discriminators with known gradients."""

import math

import ot as pot
import pytest
import torch

from genrev_cli.methods.gan_losses import LOSSES, gradient_norms, interpolates, quadratic_potentials, vanilla_generator

W = torch.tensor([3.0, 4.0], dtype=torch.float64).view(1, 1, 2)  # of norm 5


def linear(x):
    """D(x) = ⟨w, x⟩, whose gradient has norm 5 everywhere."""
    return (x * W).flatten(1).sum(1)


def images(*rows):
    return torch.tensor(rows, dtype=torch.float64).view(-1, 1, 1, 2)


def generator():
    return torch.Generator().manual_seed(0)


REAL, FAKE = images([1.0, 0.0], [0.0, 1.0]), images([0.5, 0.0], [0.0, 0.0])  # scores 3, 4 and 1.5, 0


def judged(name, span=1.0):
    return LOSSES[name].discriminator(linear, REAL, FAKE, span, generator())


def softplus(x):
    return math.log1p(math.exp(x))


def test_vanilla():
    expected = (softplus(-3) + softplus(-4)) / 2 + (softplus(1.5) + softplus(0)) / 2
    assert judged("vanilla").loss.item() == pytest.approx(expected)
    assert vanilla_generator(torch.tensor([1.5, 0.0])).item() == pytest.approx((softplus(-1.5) + softplus(0)) / 2)


def test_hinge():
    assert judged("hinge-sn").loss.item() == pytest.approx(0 + (2.5 + 1) / 2)
    assert LOSSES["hinge-sn"].generator(torch.tensor([1.5, 0.0])).item() == pytest.approx(-0.75)


@pytest.mark.parametrize(("span", "slope"), [(1.0, 5.0), (2.0, 2.5)])
def test_penalties_of_a_linear_discriminator(span, slope):
    """If D scales pixels by 2, the gradient with respect to the scaled pixels is half as large."""
    wasserstein = 0.75 - 3.5
    assert judged("wgan-gp", span).loss.item() == pytest.approx(wasserstein + 10 * (slope - 1) ** 2)
    assert judged("wgan-div", span).loss.item() == pytest.approx(wasserstein + 2 * slope**6)


def test_gradient_norms_are_differentiable_in_the_weights():
    weight = W.clone().requires_grad_()
    norm = gradient_norms(lambda x: (x * weight).flatten(1).sum(1), REAL, 1.0).mean()
    torch.testing.assert_close(torch.autograd.grad(norm, weight)[0], W / 5)


def test_interpolates_lie_between_their_pairs():
    found = interpolates(REAL, FAKE, generator())
    t = ((found - FAKE) / (REAL - FAKE)).nan_to_num(nan=0.5).flatten(1)
    assert ((t >= 0) & (t <= 1)).all()
    assert not torch.allclose(found[0], found[1])


def test_quadratic_potentials_are_optimal():
    """They are feasible, tight for matched pairs, and their value is the transport cost; the mean of φ and ψ is 0."""
    x = torch.rand(6, 1, 2, 2, generator=generator(), dtype=torch.float64)
    x_fake = torch.rand(6, 1, 2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    phi, psi, matched = quadratic_potentials(x, x_fake, 0.5)
    cost = 0.25 * torch.cdist(x.flatten(1), x_fake.flatten(1)).square()
    assert (phi[:, None] - psi[None] <= cost + 1e-9).all()
    torch.testing.assert_close(phi[matched] - psi, cost[matched, torch.arange(6)], rtol=1e-6, atol=1e-9)
    assert (phi.mean() - psi.mean()).item() == pytest.approx(pot.emd2([], [], cost.numpy()), rel=1e-6)
    assert (phi.mean() + psi.mean()).item() == pytest.approx(0, abs=1e-9)


def test_wgan_qc_is_zero_if_the_discriminator_is_the_potential():
    """One pair, K = 1/2: φ = c/2, ψ = −c/2, and an optimal ψ has the slope K·|x − x̃|."""
    x, x_fake = images([1.0, 0.0]), images([0.0, 0.0])
    direction = torch.tensor([1.0, 0.0], dtype=torch.float64).view(1, 1, 2)
    found = LOSSES["wgan-qc"].discriminator(lambda u: 0.5 * (u * direction).flatten(1).sum(1) - 0.125, x, x_fake, 1.0, generator())
    assert found.loss.item() == pytest.approx((0.375 - 0.125) ** 2 / 2, abs=1e-9)  # ψ and the slope are right, φ is not


@pytest.mark.parametrize("name", LOSSES)
def test_scores_are_returned_with_the_loss(name):
    found = judged(name)
    assert found.real.tolist() == [3, 4]
    assert found.fake.tolist() == [1.5, 0]
    assert found.loss.shape == ()
