"""Maximum likelihood: bits per dimension in closed form, dequantisation, and one step."""

import math
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from genrev_cli.errors import UsageError
from genrev_cli.latents import ActiveGaussian, DiagonalGaussian
from genrev_cli.methods import likelihood
from genrev_cli.methods.likelihood import MaximumLikelihood, bits_per_dim, dequantise, log_likelihood, require_density
from genrev_cli.models import build_model
from genrev_cli.precision import autocast_in
from genrev_cli.settings.likelihood import LikelihoodConfig

INN = {"name": "inn", "image_shape": [1, 4, 4], "levels": [{"couplings": 1, "hidden": 4}], "hidden_dense": 4}
REVNET = {"name": "revnet", "image_shape": [1, 4, 4], "scales": [{"blocks": 1, "hidden": 4}, {"blocks": 1, "hidden": 4}]}
every_bijection = pytest.mark.parametrize("model", [INN, REVNET], ids=["inn", "revnet"])


def make(model=INN, autocast=nullcontext, **settings):
    torch.manual_seed(0)
    autoencoder = build_model(model)
    return MaximumLikelihood(autoencoder, DiagonalGaussian(autoencoder.latent_dim), LikelihoodConfig(**settings), autocast)


def images(n=64, seed=1):
    """Return 8-bit images with correlated pixels."""
    generator = torch.Generator().manual_seed(seed)
    common = torch.rand(n, 1, 1, 1, generator=generator)
    return (0.8 * common + 0.2 * torch.rand(n, 1, 4, 4, generator=generator)).mul(255).round() / 255


def stepped(method, x, seed=2):
    return method.step(x, torch.zeros(len(x), dtype=torch.int64), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("log_p", "dims", "expected"),
    [
        (0.0, 5, 8),  # uniform on the cube: 256 values, equally likely
        (5 * math.log(256), 5, 0),  # all density in one cell
        (-3 * math.log(2), 3, 9),
    ],
)
def test_bits_per_dim(log_p, dims, expected):
    assert bits_per_dim(torch.tensor([log_p], dtype=torch.float64), dims).item() == pytest.approx(expected, abs=1e-12)


def test_dequantised_pixels_stay_in_their_cells():
    x = torch.arange(256, dtype=torch.float64) / 255
    for u in (0.0, 0.5, 1 - 1e-9):
        assert torch.equal((256 * dequantise(x, torch.full_like(x, u))).floor(), torch.arange(256, dtype=torch.float64))


def test_gaussian_data_under_the_identity():
    """The cross-entropy of N(μ, σ²) data with N(m, s²) is ½ log 2πs² + (σ² + (μ − m)²)/2s²."""
    method = make()
    model, prior = method.autoencoder.double(), method.prior.double()  # fresh weights are the identity
    with torch.no_grad():
        prior.mean.fill_(0.3)
        prior.log_std.fill_(math.log(0.2))
    x = 0.5 + 0.1 * torch.randn(20_000, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    nats = 0.5 * math.log(2 * math.pi * 0.2**2) + (0.1**2 + 0.2**2) / (2 * 0.2**2)
    with torch.no_grad():
        found = bits_per_dim(log_likelihood(model, prior, x), 16).mean().item()
    assert found == pytest.approx(8 + nats / math.log(2), abs=0.003)


@every_bijection
def test_log_likelihood_is_the_change_of_variables(model):
    method = make(model)
    autoencoder, prior = method.autoencoder.double(), method.prior.double()
    torch.manual_seed(0)
    for parameter in (*autoencoder.parameters(), *prior.parameters()):
        torch.nn.init.normal_(parameter, std=0.3)
    x = images(3).double()
    jacobians = torch.func.vmap(torch.func.jacrev(lambda image: autoencoder.encode(image[None])[0]))(x).flatten(2)
    expected = torch.distributions.Normal(prior.mean, prior.log_std.exp()).log_prob(autoencoder.encode(x)).sum(1)
    torch.testing.assert_close(
        log_likelihood(autoencoder, prior, x), expected + torch.linalg.slogdet(jacobians).logabsdet, rtol=1e-11, atol=1e-11
    )


def test_density_integrates_to_one():
    """Integrate over a grid in 2 dimensions, for z = exp(a)·x and p(x) = N(exp(a)·x; μ, σ²)·exp(2a)."""
    prior = DiagonalGaussian(2).double()
    with torch.no_grad():
        prior.mean.fill_(0.4)
        prior.log_std.fill_(-1.0)
    scaling = SimpleNamespace(encode_log_det=lambda x: (math.exp(0.7) * x.flatten(1), torch.full((len(x),), 1.4, dtype=torch.float64)))
    side = torch.linspace(-3, 3, 301, dtype=torch.float64)
    x = torch.cartesian_prod(side, side).view(-1, 1, 1, 2)
    with torch.no_grad():
        mass = log_likelihood(scaling, prior, x).exp().sum() * (side[1] - side[0]) ** 2
    assert mass.item() == pytest.approx(1, abs=1e-6)


@every_bijection
def test_step(model):
    """One step minimises bits per dimension of dequantised images; network, means and scales all change."""
    method, x = make(model), images()
    u = torch.rand(x.shape, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected = bits_per_dim(log_likelihood(method.autoencoder, method.prior, (255 * x + u) / 256), 16).mean()
    before = [parameter.detach().clone() for parameter in (*method.autoencoder.parameters(), *method.prior.parameters())]
    scalars = stepped(method, x)
    assert scalars.keys() == {"bits_per_dim", "grad_norm"}
    assert torch.equal(scalars["bits_per_dim"], expected)
    assert not scalars["bits_per_dim"].requires_grad
    moved = [not torch.equal(a, b) for a, b in zip(before, (*method.autoencoder.parameters(), *method.prior.parameters()), strict=True)]
    assert all(moved[-2:])
    assert sum(moved) >= len(moved) / 3  # layers before a last layer of zeros do not change in the first step
    again = stepped(make(model), x)
    assert all(torch.equal(scalars[name], again[name]) for name in scalars)


def test_each_process_takes_its_share_of_the_noise(monkeypatch):
    monkeypatch.setattr(likelihood, "size", lambda: 3)
    monkeypatch.setattr(likelihood, "shard", lambda rows: rows[1::3])
    method, x = make(), images(5)
    u = torch.rand(15, 1, 4, 4, generator=torch.Generator().manual_seed(2))[1::3]
    with torch.no_grad():
        expected = bits_per_dim(log_likelihood(method.autoencoder, method.prior, dequantise(x, u)), 16).mean()
    assert torch.equal(stepped(method, x)["bits_per_dim"], expected)


@every_bijection
def test_learns(model):
    """Training starts at the codes' means and scales and goes below the bits of independent pixels."""
    method, x = make(model, lr=1e-2), images(256)
    method.start(lambda: ((part, None) for part in x.split(100)))
    torch.testing.assert_close(method.prior.mean.detach(), method.autoencoder.encode((255 * x + 0.5) / 256).detach().mean(0))
    losses = [stepped(method, x, seed)["bits_per_dim"].item() for seed in range(60)]
    assert losses[0] < 9.5
    assert losses[-1] < losses[0] - 0.5


def test_measure():
    method, x = make(), images(7)
    measured = method.measure(method.autoencoder, method.prior, x, torch.Generator().manual_seed(3))
    u = torch.rand(x.shape, generator=torch.Generator().manual_seed(3))
    assert measured.keys() == {"bits_per_dim"}
    assert torch.equal(measured["bits_per_dim"], bits_per_dim(log_likelihood(method.autoencoder, method.prior, dequantise(x, u)), 16))


@every_bijection
def test_bfloat16_is_close(model, device):
    half, full = (make(model, autocast=autocast_in(device, precision)) for precision in ("bf16", "fp32"))
    for one in (half, full):
        torch.manual_seed(0)
        for parameter in one.autoencoder.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        for module in one.modules.values():
            module.to(device)
    x = images().to(device)
    a, b = (one.step(x, None, torch.Generator(device).manual_seed(0)) for one in (half, full))
    assert not torch.equal(a["bits_per_dim"], b["bits_per_dim"]), "autocast did nothing"
    for name in a:
        assert a[name].item() == pytest.approx(b[name].item(), rel=0.02)


@pytest.mark.parametrize(
    ("model", "prior", "said"),
    [
        ({"name": "dense", "image_shape": [1, 4, 4], "latent_dim": 16, "hidden": []}, DiagonalGaussian(16), "'dense' is not"),
        (INN, ActiveGaussian(3, 16), "a prior over all 16 dimensions; 'active-gaussian' has other ones"),
    ],
    ids=["dense", "prior"],
)
def test_models_and_priors_without_a_density(model, prior, said):
    with pytest.raises(UsageError, match=said):
        require_density(build_model(model), prior)
    with pytest.raises(UsageError, match=said):
        MaximumLikelihood(build_model(model), prior, LikelihoodConfig(), nullcontext)


def test_a_latent_of_another_size_has_no_density():
    """Nothing built in has one; a plugin's network may."""
    model = build_model(REVNET)
    model.latent_dim = 18
    with pytest.raises(UsageError, match="'revnet' turns images of 16 values into latents of 18"):
        require_density(model, DiagonalGaussian(18))
