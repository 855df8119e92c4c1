"""Perceptual generative autoencoders: every loss by hand, and the parameters that it reaches."""

import copy
import math
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from genrev_cli.errors import UsageError
from genrev_cli.latents import ActiveGaussian, ActiveUniform
from genrev_cli.methods.perceptual import PerceptualAutoencoder
from genrev_cli.methods.perceptual_losses import code_nll, kl_loss, noise_loss, signed_image_loss, volume_loss
from genrev_cli.models import Variational, build_model
from genrev_cli.settings.perceptual import PerceptualConfig

H, SHAPE = 3, (1, 4, 4)
WEIGHTS = {
    "lpga": {"weight_prior": 0.3, "weight_codes": 0.2, "weight_nll": 0.5},
    "vpga": {"weight_prior": 0.3, "weight_codes": 0.2, "weight_nll": 0.0, "weight_noise": 0.5, "weight_kl": 0.7},
    "lvpga": {"weight_prior": 0.3, "weight_codes": 0.2, "weight_nll": 0.4, "weight_noise": 0.5, "weight_kl": 0.7},
}
every_variant = pytest.mark.parametrize("variant", WEIGHTS)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def images(n=8, seed=1):
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def affine(variational):
    """μ = A (2x − 1) + a,  log σ² = B (2x − 1) + b,  g(z) = (tanh(C z + c) + 1) / 2."""
    torch.manual_seed(0)
    config = {"name": "affine", "image_shape": SHAPE, "latent_dim": H, "variational": variational}
    decoder = nn.Sequential(nn.Linear(H, 16), nn.Unflatten(1, SHAPE))
    return Variational(config, nn.Flatten(), 16, decoder).double()


def make(variant, autoencoder=None, **settings):
    config = PerceptualConfig(variant, **{**WEIGHTS[variant], "warm_up": 0, **settings})
    autoencoder = autoencoder or affine(variant != "lpga")
    return PerceptualAutoencoder(autoencoder, ActiveGaussian(H, autoencoder.latent_dim, bound=0.0).double(), config, nullcontext)


def stepped(method, x, seed=2, step=1):
    """Take one step with normal numbers in float64."""
    torch.set_default_dtype(torch.float64)
    try:
        method.begin(step)
        return method.step(x, torch.zeros(len(x), dtype=torch.int64), torch.Generator().manual_seed(seed))
    finally:
        torch.set_default_dtype(torch.float32)


def test_losses_are_means_over_dimensions_and_batch():
    """Repeating dimensions or images changes nothing."""
    x, x_hat, z = images(), images(seed=3), normal(8, H)
    assert signed_image_loss(x, x_hat).item() == pytest.approx(((2 * x - 2 * x_hat) ** 2).sum().item() / (8 * 16))
    assert code_nll(z).item() == pytest.approx((z**2).sum().item() / (2 * 8 * H))
    assert code_nll(torch.cat([z, z], dim=1)) == pytest.approx(code_nll(z).item())
    h, moved = normal(8, H, seed=4), normal(8, H, seed=5)
    spread = (z**2).mean(0)
    once = noise_loss(h, moved, spread).item()
    assert noise_loss(torch.cat([h, h], 1), torch.cat([moved, moved], 1), torch.cat([spread, spread])).item() == pytest.approx(once)
    rms = spread**0.5
    assert once == pytest.approx((((moved - h) / rms) ** 2).mean().item())


def test_kl_is_that_of_two_gaussians():
    mean, log_variance = normal(5, H), normal(5, H, seed=1)
    q = torch.distributions.Normal(mean, (log_variance / 2).exp())
    p = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    assert kl_loss(mean, log_variance).item() == pytest.approx(torch.distributions.kl_divergence(q, p).mean().item())
    assert kl_loss(torch.zeros(2, 2), torch.zeros(2, 2)).item() == 0


@pytest.mark.parametrize("away", [0.0, 0.05, 0.3])
def test_volume_loss_bounds_the_log_determinant_and_is_tight_near_the_identity(away):
    """Eq. 6: for h(z) = J z the loss exceeds log |det J| only by terms of second order in J − 1."""
    d = 16
    J = torch.eye(d, dtype=torch.float64) + away * normal(d, d) / d**0.5
    delta = normal(200_000, d, seed=1)
    estimate = d * volume_loss(torch.zeros_like(delta), delta @ J.T, delta.norm(dim=1)).item()
    exact = torch.linalg.slogdet(J).logabsdet.item()
    assert exact - 0.02 <= estimate <= exact + 2 * d * away**2 + 0.02  # 0.02: sampling error


def test_volume_of_a_scaling_is_exact():
    """For h = c·identity, log |det| = H log c for every step."""
    delta = normal(4, H)
    assert H * volume_loss(torch.zeros(4, H), 2.5 * delta, delta.norm(dim=1)).item() == pytest.approx(H * math.log(2.5))


def test_a_step_that_rounds_to_zero_has_no_gradient():
    h = torch.zeros(2, H, requires_grad=True)
    loss = volume_loss(torch.zeros(2, H), h * torch.tensor([[0.0], [1.0]]), torch.ones(2))
    assert loss.isfinite()
    assert torch.autograd.grad(loss, h)[0].isfinite().all()


def losses_by_hand(method, x, seed=2):
    """Compute both losses of a step from the matrices of `affine`. A copy of the encoder stands for the frozen one inside h."""
    c, model = method.config, method.autoencoder
    copied = copy.deepcopy(model).requires_grad_(False)

    def f(image, of=model):
        return (2 * image - 1).flatten(1) @ of.mean.weight.T + of.mean.bias

    def g(code):
        return (torch.tanh(code @ model.decoder[0].weight.T + model.decoder[0].bias).view(-1, *SHAPE) + 1) / 2

    n, generator = len(x), torch.Generator().manual_seed(seed)
    z_prior = torch.randn(n, H, generator=generator, dtype=torch.float64)
    u = torch.randn(n, H, generator=generator, dtype=torch.float64)
    z = f(x)
    L_r = ((2 * g(z) - 2 * x) ** 2).mean()
    L_f = L_r + c.weight_prior * ((f(g(z_prior).detach()) - z_prior) ** 2).mean()
    L_f = L_f + c.weight_codes * ((f(g(z).detach()) - z.detach()) ** 2).mean() + c.weight_nll * (z**2).mean() / 2
    if c.variant == "lpga":
        delta = 0.01 * H**0.5 * u / u.norm(dim=1, keepdim=True)
        ratio = (f(g(z.detach() + delta), copied) - f(g(z.detach()), copied)).norm(dim=1) / delta.norm(dim=1)
        return L_f, L_r + c.weight_nll * ratio.log().mean()
    log_variance = (2 * x - 1).flatten(1) @ model.log_variance.weight.T + model.log_variance.bias
    sigma = log_variance.exp() ** 0.5
    L_f = L_f + c.weight_kl * ((z**2 + sigma**2 - 1 - log_variance) / 2).mean()
    delta = (sigma if c.variant == "vpga" else sigma + 0.01) * u
    difference = f(g(z.detach() + delta), copied) - f(g(z.detach()), copied)
    if c.variant == "vpga":
        part = ((difference / (z.detach() ** 2).mean(0) ** 0.5) ** 2).mean()
    else:
        part = (difference.norm(dim=1) / delta.detach().norm(dim=1)).log().mean()
    return L_f + c.weight_noise * part, L_r + c.weight_noise * part


@every_variant
def test_a_step_minimises_the_own_loss_of_encoder_and_decoder(variant):
    """The first step with momentum is plain gradient descent: θ changes by L_θ only, φ by L_φ only."""
    method, x = make(variant, lr=0.01), images()
    before = copy.deepcopy(method)
    L_f, L_g = losses_by_hand(before, x)
    theta = list(before.autoencoder.decoder.parameters())
    phi = [parameter for name, parameter in before.autoencoder.named_parameters() if not name.startswith("decoder")]
    wanted = dict(zip(phi, torch.autograd.grad(L_f, phi, retain_graph=True), strict=True))
    wanted |= dict(zip(theta, torch.autograd.grad(L_g, theta), strict=True))
    stepped(method, x)
    for (name, old), new in zip(before.autoencoder.named_parameters(), method.autoencoder.parameters(), strict=True):
        torch.testing.assert_close(new, old - 0.01 * wanted[old], rtol=1e-9, atol=1e-12, msg=name)


def test_momentum_is_kept():
    """v ← 0.9 v + gradient,  θ ← θ − lr v."""
    method, x = make("lpga", lr=0.01), images()
    stepped(method, x)
    middle = copy.deepcopy(method)
    first = {name: buffer for name, buffer in method.optimizers["g"].tensors().items() if name.endswith("momentum_buffer")}
    L_g = losses_by_hand(middle, x)[1]
    theta = list(middle.autoencoder.decoder.parameters())
    gradients = torch.autograd.grad(L_g, theta)
    velocities = [0.9 * first[f"{i}.momentum_buffer"] + gradient for i, gradient in enumerate(gradients)]
    stepped(method, x)
    for old, new, velocity in zip(theta, method.autoencoder.decoder.parameters(), velocities, strict=True):
        torch.testing.assert_close(new, old - 0.01 * velocity, rtol=1e-9, atol=1e-12)


@every_variant
def test_the_warm_up_uses_only_the_image_loss(variant):
    method, x = make(variant, warm_up=2, lr=0.01), images()
    cold = stepped(method, x, step=2)
    assert {name for name in cold if name.startswith("L_")} <= {"L_x", "L_kl"}
    spared = copy.deepcopy(method)
    L_x = signed_image_loss(x, spared.autoencoder.decode(spared.autoencoder.encode(x)))
    shared = [*spared.autoencoder.mean.parameters(), *spared.autoencoder.decoder.parameters()]
    norm = torch.cat([gradient.flatten() for gradient in torch.autograd.grad(L_x, shared)]).norm()
    cold = stepped(method, x, step=2)
    assert (cold["grad_norm"] ** 2 + cold["grad_norm_g"] ** 2).sqrt().item() == pytest.approx(norm.item())
    assert "L_prior" in stepped(method, x, step=3)


def test_encoder_is_trainable_again_after_a_step():
    method = make("vpga")
    stepped(method, images())
    assert all(parameter.requires_grad for parameter in method.autoencoder.parameters())


def test_a_bijection_has_only_image_and_code_losses():
    """h is the identity on the codes, so the other losses are 0 for all weights."""
    torch.manual_seed(0)
    model = build_model({"name": "revnet", "image_shape": list(SHAPE), "scales": [{"blocks": 1, "hidden": 4}]}).double()
    method, x = make("lpga", model, lr=0.01), images()
    prior = method.prior
    z = prior.select(model.encode(x))
    again = prior.select(model.encode(model.decode(prior.embed(z))))
    torch.testing.assert_close(again, z)
    loss = signed_image_loss(x, model.decode(prior.embed(z))) + 0.5 * code_nll(z)
    gradient = torch.autograd.grad(loss, list(model.parameters()))
    before = [parameter.clone() for parameter in model.parameters()]
    scalars = stepped(method, x)
    assert set(scalars) == {"L_x", "L_nll", "grad_norm"}
    for old, new, slope in zip(before, model.parameters(), gradient, strict=True):
        torch.testing.assert_close(new, old - 0.01 * slope)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "pga"}, "--variant pga: choose lpga, vpga or lvpga"),
        ({"weight_prior": -1.0}, "--weight-prior -1: must be at least 0"),
        ({"warm_up": -1}, "--warm-up -1: must be at least 0"),
    ],
)
def test_settings_that_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        PerceptualConfig(**settings)


def test_an_unused_variance_does_not_change():
    method = make("lpga", affine(variational=True))
    before = copy.deepcopy(method.autoencoder.log_variance)
    stepped(method, images())
    assert torch.equal(before.weight, method.autoencoder.log_variance.weight)


@pytest.mark.parametrize("variant", ["vpga", "lvpga"])
def test_a_network_without_a_variance_is_refused(variant):
    with pytest.raises(UsageError, match="'affine' gives none"):
        make(variant, affine(variational=False))


def test_a_network_without_an_encoder_is_refused():
    model = build_model({"name": "infogan", "image_shape": [1, 4, 4], "latent_dim": H, "width": 1, "encoder": False})
    with pytest.raises(UsageError, match="has none; set encoder = true"):
        make("lpga", model)


@every_variant
def test_training_brings_h_to_the_identity_on_the_prior(variant, generator):
    """‖h(z) − z‖² over the prior becomes far smaller than at the start."""
    torch.manual_seed(0)
    table = {"name": "strided", "image_shape": [1, 8, 8], "latent_dim": 2, "channels": [8], "dense": 32}
    model = build_model({**table, "variational": variant != "lpga"})
    centre = torch.rand(64, 2, generator=generator) * 4 + 2
    grid = torch.arange(8.0)
    x = torch.exp(-((grid - centre[:, :1, None]) ** 2 + (grid[:, None] - centre[:, 1:, None]) ** 2) / 4)[:, None]  # blobs on a plane
    alpha = 1.0 if variant == "lpga" else 0.3  # a higher rate diverges for wide codes, a lower one is slow for narrow codes
    config = PerceptualConfig(variant, weight_prior=alpha, weight_nll=0.01, weight_noise=0.01, weight_kl=0.02, warm_up=80, lr=0.05)
    method = PerceptualAutoencoder(model, ActiveGaussian(2, 2, bound=0.0), config, nullcontext)
    logged = []
    for step in range(1, 241):
        method.begin(step)
        logged.append(method.step(x, torch.zeros(64), generator))
    assert logged[-1]["L_x"] < 0.7 * logged[0]["L_x"]
    assert logged[-1]["L_prior"] < 0.4 * logged[80]["L_prior"]


@every_variant
def test_a_prior_other_than_the_normal_one_is_refused(variant):
    with pytest.raises(UsageError, match=f"^{variant} needs N"):
        PerceptualAutoencoder(affine(variant != "lpga"), ActiveUniform(H, H), PerceptualConfig(variant), nullcontext)
