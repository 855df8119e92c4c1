"""Variational and Wasserstein autoencoders: their losses by hand, and one step."""

import copy
import math
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from genrev_cli.errors import UsageError
from genrev_cli.latents import ActiveGaussian, ActiveUniform
from genrev_cli.methods.matching import mmd_distance
from genrev_cli.methods.variational import VAE, WAE, confusion_loss, discrimination_loss, gaussian_nll
from genrev_cli.models import build_model
from genrev_cli.models.adversary import CodeDiscriminator
from genrev_cli.settings.variational import VAEConfig, WAEConfig

TABLE = {"name": "strided", "image_shape": [1, 8, 8], "latent_dim": 3, "channels": [4], "dense": 8}


def images(n=16, seed=1):
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def make(kind, config):
    torch.manual_seed(0)
    return kind(build_model({**TABLE, "variational": kind is VAE}), ActiveGaussian(3, 3, bound=0.0), config, nullcontext)


def stepped(method, x, seed=2):
    return method.step(x, torch.zeros(len(x), dtype=torch.int64), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("std", [0.0, 0.3])
def test_a_step_of_the_vae_is_adam_on_its_bound(std):
    """−E log N(x; g(μ + σu), s²) + KL, per pixel, pixels in [−1, 1]; with decoder_std = 0, s² is the mean squared error."""
    method, x = make(VAE, VAEConfig(decoder_std=std)), images()
    twin = copy.deepcopy(method.autoencoder)
    mean, log_variance = twin.posterior(x)
    u = torch.randn(16, 3, generator=torch.Generator().manual_seed(2))
    x_hat = twin.decode(mean + torch.exp(log_variance / 2) * u)
    error = (2 * x - 2 * x_hat).square()
    s = std or error.mean().sqrt().item()
    p = torch.distributions.Normal(2 * x_hat - 1, s)
    nll = -p.log_prob(2 * x - 1).flatten(1).sum(1)
    q = torch.distributions.Normal(mean, (log_variance / 2).exp())
    kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(1)
    bound = (nll + kl).mean() / 64
    constant = math.log(2 * math.pi) / 2
    logged = stepped(method, x)
    assert logged["L"].item() == pytest.approx(bound.item() - constant, rel=1e-5)
    slopes = torch.autograd.grad(bound, list(twin.parameters()))  # the most likely s has gradient 0
    for old, new, slope in zip(twin.parameters(), method.autoencoder.parameters(), slopes, strict=True):
        moved = slope.abs() > 1e-6
        torch.testing.assert_close((new - old)[moved], (-1e-3 * slope.sign())[moved], rtol=0.02, atol=2e-5)


def test_the_most_likely_variance_is_the_mean_squared_error():
    error = torch.tensor(0.04)
    best = gaussian_nll(error, error).item()
    assert best == pytest.approx(0.5 + math.log(0.2))
    assert all(gaussian_nll(error, torch.tensor(s**2)).item() > best for s in (0.1, 0.15, 0.25, 0.4))


def test_a_step_of_the_wae_mmd_is_adam_on_the_loss_by_hand():
    method, x = make(WAE, WAEConfig("wae-mmd")), images()
    twin = copy.deepcopy(method.autoencoder)
    z, prior = twin.encode(x), torch.randn(16, 3, generator=torch.Generator().manual_seed(2))
    L_x = (2 * x - 2 * twin.decode(z)).square().flatten(1).sum(1).mean()
    L_mmd = mmd_distance(z, prior, torch.Generator())
    logged = stepped(method, x)
    assert (logged["L_x"].item(), logged["L_mmd"].item()) == pytest.approx((L_x.item(), L_mmd.item()), rel=1e-4)
    slopes = torch.autograd.grad(0.05 * L_x + 100 * L_mmd, list(twin.parameters()))
    for old, new, slope in zip(twin.parameters(), method.autoencoder.parameters(), slopes, strict=True):
        moved = slope.abs() > 1e-4
        torch.testing.assert_close((new - old)[moved], (-1e-3 * slope.sign())[moved], rtol=0.05, atol=5e-5)


def test_mmd_of_equal_distributions_is_zero_in_the_mean(generator):
    """The estimate is unbiased: negative about as often as positive."""
    values = torch.stack(
        [mmd_distance(torch.randn(20, 3, generator=generator), torch.randn(20, 3, generator=generator), generator) for _ in range(400)]
    )
    assert values.mean().abs() < 3 * values.std() / 20
    assert (values < 0).float().mean() > 0.3


def test_the_discriminators_losses_by_hand():
    """They are the cross-entropies of telling prior samples from codes, and of codes that count as prior samples."""
    real, fake = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -3.0])
    sigmoid = torch.sigmoid
    assert discrimination_loss(real, fake).item() == pytest.approx((-sigmoid(real).log().mean() - (1 - sigmoid(fake)).log().mean()).item())
    assert confusion_loss(fake).item() == pytest.approx((-sigmoid(fake).log()).mean().item())


def test_each_network_of_the_wae_gan_minimises_its_own_loss():
    method, x = make(WAE, WAEConfig("wae-gan", hidden=8, layers=2)), images()
    twin, D = copy.deepcopy(method.autoencoder), copy.deepcopy(method.D)
    z, prior = twin.encode(x), torch.randn(16, 3, generator=torch.Generator().manual_seed(2))
    L_f = confusion_loss(D(z))
    L_D = discrimination_loss(D(prior), D(z.detach()))
    L_x = (2 * x - 2 * twin.decode(z)).square().flatten(1).sum(1).mean()
    logged = stepped(method, x)
    assert [logged[name].item() for name in ("L_f", "L_D", "L_x")] == pytest.approx([L_f.item(), L_D.item(), L_x.item()], rel=1e-4)
    pairs = [(twin, method.autoencoder, 0.05 * L_x + 100 * L_f), (D, method.D, L_D)]
    for before, after, loss in pairs:
        for old, new, slope in zip(
            before.parameters(), after.parameters(), torch.autograd.grad(loss, list(before.parameters()), retain_graph=True), strict=True
        ):
            moved = slope.abs() > 1e-4
            torch.testing.assert_close((new - old)[moved], (-1e-3 * slope.sign())[moved], rtol=0.05, atol=5e-5)


def test_the_discriminator_has_the_configured_layers():
    D = CodeDiscriminator(64, 1024, 4)
    assert [(layer.in_features, layer.out_features) for layer in D.layers if isinstance(layer, nn.Linear)] == [
        (64, 1024),
        *[(1024, 1024)] * 3,
        (1024, 1),
    ]
    assert D(torch.randn(5, 64)).shape == (5,)


@pytest.mark.parametrize("variant", ["wae-mmd", "wae-gan"])
def test_codes_move_to_the_prior(variant, generator):
    """Their spread starts far from 1 and moves to it."""
    method, x = make(WAE, WAEConfig(variant, lr=1e-2, lr_discriminator=1e-2, hidden=16, layers=2, weight_x=1e-3)), images(64)
    with torch.no_grad():
        before = method.autoencoder.encode(x).std(0)
    for _ in range(150):
        method.step(x, torch.zeros(64), generator)
    with torch.no_grad():
        after = method.autoencoder.encode(x).std(0)
    assert (after.log().abs() < before.log().abs()).all()
    assert after.log().abs().mean() < 0.5 * before.log().abs().mean()


@pytest.mark.parametrize(
    ("make_config", "message"),
    [
        (lambda: VAEConfig(decoder_std=-1), "--decoder-std -1: must be at least 0"),
        (lambda: WAEConfig(weight_penalty=-1), "--weight-penalty -1: must be at least 0"),
        (lambda: WAEConfig(layers=0), "--layers 0: must be at least 1"),
    ],
)
def test_settings_that_are_refused(make_config, message):
    with pytest.raises(UsageError, match=message):
        make_config()


def test_a_vae_needs_a_variance():
    torch.manual_seed(0)
    with pytest.raises(UsageError, match="vae needs an encoder that gives a variance of codes"):
        VAE(build_model(TABLE), ActiveGaussian(3, 3), VAEConfig(), nullcontext)


def test_a_vae_needs_a_normal_prior():
    """The KL divergence is that to N(0, I), so another prior would be sampled but not trained."""
    torch.manual_seed(0)
    with pytest.raises(UsageError, match="vae needs N\\(0, I\\) as prior, not 'active-uniform'"):
        VAE(build_model({**TABLE, "variational": True}), ActiveUniform(3, 3), VAEConfig(), nullcontext)
