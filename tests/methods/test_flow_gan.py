"""Flow-GAN: a likelihood and an adversarial loss on one network. Its losses by hand, and which parameters each reaches."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from genrev_cli.latents import DiagonalGaussian
from genrev_cli.methods import likelihood
from genrev_cli.methods.gan_losses import LOSSES
from genrev_cli.methods.likelihood import MaximumLikelihood, bits_of_images, dequantise
from genrev_cli.models import build_model
from genrev_cli.settings.likelihood import LikelihoodConfig

INN = {"name": "inn", "image_shape": [1, 4, 4], "levels": [{"couplings": 1, "hidden": 4}], "hidden_dense": 4}
REVNET = {"name": "revnet", "image_shape": [1, 4, 4], "scales": [{"blocks": 1, "hidden": 4}]}
PADDED = {"name": "revnet", "image_shape": [1, 4, 5], "scales": [{"blocks": 1, "hidden": 4}]}
every_bijection = pytest.mark.parametrize("model", [INN, REVNET, PADDED], ids=["inn", "revnet", "margin"])
WEIGHT = 0.7


def make(model=INN, **settings):
    torch.manual_seed(0)
    autoencoder = build_model(model)
    for parameter in autoencoder.parameters():
        nn.init.normal_(parameter, std=0.1)
    config = LikelihoodConfig(**{"weight_adversarial": WEIGHT, **settings})
    return MaximumLikelihood(autoencoder, DiagonalGaussian(autoencoder.latent_dim), config, nullcontext)


def images(model, n=8):
    return torch.rand(n, *model["image_shape"], generator=torch.Generator().manual_seed(1)).mul(255).round() / 255


def stepped(method, x, seed=2):
    return method.step(x, None, torch.Generator().manual_seed(seed))


@pytest.fixture
def pairs(monkeypatch):
    """What a step minimises: (optimizer, loss) for each."""
    found = []

    def spy(*given):
        found.extend(given)
        return [torch.zeros(()) for _ in given]

    monkeypatch.setattr(likelihood, "descend", spy)
    return found


@every_bijection
def test_the_losses_by_hand(model, pairs):
    """With D(x) = Σ w ⊙ x: L + 0.7·E softplus(−D(R⁻¹(μ + σ u))), and E softplus(−D(x̃)) + E softplus(D(R⁻¹(μ + σ u)))."""
    method, x = make(model), images(model)
    w = torch.linspace(-1, 1, x[0].numel())
    D = method.D = lambda x: x.flatten(1) @ w
    stepped(method, x)
    generator, R, prior = torch.Generator().manual_seed(2), method.autoencoder, method.prior
    u = torch.rand(8, *R.padded_shape, generator=generator)
    x_fake = R.decode(prior.mean + prior.log_std.exp() * torch.randn(8, prior.dim, generator=generator))
    x_real = dequantise(x, R.margin.crop(u))
    L = bits_of_images(R, prior, x, u).mean()
    (of_R, loss), (of_D, loss_D) = pairs
    assert (of_R, of_D) == (method.optimizers["R"], method.optimizers["D"])
    torch.testing.assert_close(loss, L + WEIGHT * softplus(-D(x_fake)).mean())
    torch.testing.assert_close(loss_D, (softplus(-D(x_real)) + softplus(D(x_fake))).mean())


@every_bijection
def test_each_loss_reaches_its_own_parameters(model, pairs):
    """The adversarial loss trains μ and σ too; the discriminator's loss trains nothing else."""
    method, x = make(model), images(model)
    stepped(method, x)
    (_, loss), (_, loss_D) = pairs
    L_G = (loss - bits_of_images(method.autoencoder, method.prior, x, likelihood.noise(method.autoencoder, 8, torch.Generator()))) / WEIGHT
    for gradient in torch.autograd.grad(L_G.mean(), [method.prior.mean, method.prior.log_std], retain_graph=True):
        assert gradient.abs().max() > 0
    assert all(
        gradient is None
        for gradient in torch.autograd.grad(loss_D, list(method.autoencoder.parameters()), allow_unused=True, retain_graph=True)
    )
    assert all(gradient is not None for gradient in torch.autograd.grad(loss_D, list(method.D.parameters())))


@pytest.mark.parametrize("loss", LOSSES)
@every_bijection
def test_every_loss_trains(loss, model):
    method, x = make(model, loss=loss), images(model)
    method.start(lambda: [(x, None)])
    before = {name: [p.detach().clone() for p in module.parameters()] for name, module in method.modules.items()}
    scalars = [stepped(method, x, seed) for seed in range(3)][-1]
    assert scalars.keys() == {"bits_per_dim", "L_G", "L_D", "D_real", "D_fake", "grad_norm", "grad_norm_D"}
    assert all(value.isfinite() and not value.requires_grad for value in scalars.values())
    for name, module in method.modules.items():
        assert any(not torch.equal(a, b) for a, b in zip(before[name], module.parameters(), strict=True)), name


def test_without_weight_it_is_maximum_likelihood():
    """There is no discriminator, and its settings change nothing: to the bit."""
    x = images(INN)
    plain, other = make(weight_adversarial=0.0), make(weight_adversarial=0.0, loss="wgan-gp", lr_discriminator=1.0)
    assert plain.modules.keys() == {"autoencoder", "prior"}
    a, b = stepped(plain, x), stepped(other, x)
    assert a.keys() == {"bits_per_dim", "grad_norm"}
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert all(torch.equal(p, q) for p, q in zip(plain.autoencoder.parameters(), other.autoencoder.parameters(), strict=True))


def test_each_process_takes_its_share_of_noise_and_samples(monkeypatch, pairs):
    monkeypatch.setattr(likelihood, "size", lambda: 3)
    monkeypatch.setattr(likelihood, "shard", lambda rows: rows[1::3])
    method, x, seen = make(REVNET), images(REVNET), []
    method.D = lambda x: seen.append(x) or x.flatten(1).sum(1)
    stepped(method, x)
    generator, prior = torch.Generator().manual_seed(2), method.prior
    u = torch.rand(24, *method.autoencoder.padded_shape, generator=generator)[1::3]
    x_fake = method.autoencoder.decode(torch.randn(24, prior.dim, generator=generator)[1::3])
    torch.testing.assert_close(seen[0], dequantise(x, u))
    torch.testing.assert_close(seen[1], x_fake.detach())
