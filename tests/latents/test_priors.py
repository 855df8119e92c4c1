"""Priors: the projection on the active dimensions, its gradient, and how the dimensions are chosen (A2)."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genrev_cli.errors import UsageError
from genrev_cli.latents import PRIORS, ActiveGaussian, DiagonalGaussian, build_prior
from genrev_cli.latents.priors import LEAST_STD, column_moments

CONFIGS = {
    "active-gaussian": [
        {"dim": 3, "latent_dim": 8},
        {"dim": 3, "latent_dim": 8, "bound": 0.0},
        {"dim": 8, "latent_dim": 8, "bound": 1.0},
        {"dim": 3, "latent_dim": 8, "choose": "first"},
    ],
    "diagonal-gaussian": [{"latent_dim": 8}],
}
every_prior = pytest.mark.parametrize(
    "config", [{"name": name, **config} for name, configs in CONFIGS.items() for config in configs], ids=str
)


def latents(n=50, d=8, scale=2.0):
    return scale * torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def active(*dims, latent_dim=8, bound=2.0):
    prior = ActiveGaussian(len(dims), latent_dim, bound)
    prior.activate(torch.tensor([float(i in dims) for i in range(latent_dim)]))
    return prior


def test_every_prior_is_tested():
    assert CONFIGS.keys() == PRIORS.keys()


@every_prior
def test_restrict_is_a_projection(config):
    prior, z = build_prior(config), latents()
    z_hat = prior.restrict(z)
    assert torch.equal(prior.restrict(z_hat), z_hat)
    drawn = prior.embed(prior.sample(1000, torch.Generator().manual_seed(0))).double()
    if not config.get("bound", 2.0) or config["name"] == "diagonal-gaussian":
        assert torch.equal(prior.restrict(drawn), drawn)


@every_prior
def test_select_undoes_embed(config):
    prior, z = build_prior(config), latents()
    y = prior.select(z)
    assert y.shape == (50, prior.dim)
    assert prior.embed(y).shape == (50, prior.latent_dim)
    assert torch.equal(prior.select(prior.embed(y)), y)
    assert torch.equal(prior.select(prior.restrict(z)), prior.select(prior.restrict(prior.embed(y))))


@every_prior
def test_rebuilt_from_its_config(config):
    prior = build_prior(config)
    again = build_prior(json.loads(json.dumps(prior.config)))
    assert again.config == prior.config
    prior.fit(lambda: latents().split(20))
    again.load_state_dict(prior.state_dict())
    assert torch.equal(again.restrict(latents()), prior.restrict(latents()))
    assert torch.equal(*(one.sample(5, torch.Generator().manual_seed(0)) for one in (prior, again)))


def test_a_config_without_how_to_choose_is_the_widest():
    """That of checkpoints from before there was a choice."""
    assert build_prior({"name": "active-gaussian", "dim": 3, "latent_dim": 8, "bound": 2.0}).choose == "widest"


@every_prior
def test_sample_is_the_generators(config):
    prior = build_prior(config)
    a, b, c = (prior.sample(5, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert a.shape == (5, prior.dim)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_sample_is_standard_normal(generator, device):
    y = ActiveGaussian(4, 8).to(device).sample(20_000, torch.Generator(device).manual_seed(0))
    assert y.device.type == device.type
    torch.testing.assert_close(y.mean(0).cpu(), torch.zeros(4), atol=0.03, rtol=0)
    torch.testing.assert_close(y.T.cov().cpu(), torch.eye(4), atol=0.05, rtol=0)


@pytest.mark.parametrize(("choose", "active"), [("widest", [2, 4, 7]), ("first", [0, 1, 2])])
def test_fit_chooses_the_active_dimensions(choose, active):
    prior = ActiveGaussian(3, 8, choose=choose)
    z = latents() * torch.tensor([1, 1, 3, 1, 2, 1, 1, 4.0])
    prior.fit(lambda: z.split(7))
    assert prior.active.tolist() == active


def diagonal(d=5):
    prior = DiagonalGaussian(d).double()
    with torch.no_grad():
        prior.mean.copy_(torch.linspace(-2, 2, d))
        prior.log_std.copy_(torch.linspace(-3, 1, d))
    return prior


def test_diagonal_gaussian_is_torchs():
    prior, z = diagonal(), latents(d=5)
    expected = torch.distributions.Normal(prior.mean, prior.log_std.exp()).log_prob(z).sum(1)
    torch.testing.assert_close(prior.log_prob(z), expected, rtol=1e-13, atol=0)


def test_diagonal_gaussian_samples_have_its_moments_and_carry_gradients():
    prior = diagonal()
    z = prior.sample(50_000, torch.Generator().manual_seed(0))
    std = prior.log_std.exp()
    assert ((z.mean(0) - prior.mean).abs() < 4 * std / 50_000**0.5).all()
    torch.testing.assert_close(z.std(0), std, rtol=0.02, atol=0)
    assert all(gradient.any() for gradient in torch.autograd.grad(z.square().sum(), [prior.mean, prior.log_std]))


def test_diagonal_gaussian_fits_means_and_scales():
    """A dimension that does not vary gets the least scale."""
    z = latents(d=5) * torch.tensor([1, 2, 3, 4, 0.0]) + 7
    prior = DiagonalGaussian(5)
    prior.fit(lambda: z.split(7))
    torch.testing.assert_close(prior.mean.double(), z.mean(0), rtol=1e-6, atol=0)
    expected = torch.cat([z[:, :4].std(0), torch.tensor([LEAST_STD])])
    torch.testing.assert_close(prior.log_std.exp().double(), expected, rtol=1e-6, atol=0)


def test_restrict_by_hand():
    z = torch.tensor([[9.0, -0.5, 7.0, 2.5, -3.0, 1.0]])
    assert active(1, 3, 4, latent_dim=6).restrict(z).tolist() == [[0, -0.5, 0, 2, -2, 0]]
    assert active(1, 3, 4, latent_dim=6, bound=0.0).restrict(z).tolist() == [[0, -0.5, 0, 2.5, -3, 0]]


def test_gradient_of_restrict():
    """1 inside the bound, 0 outside; and 0 on the other dimensions even where they are exactly 0, as they are under black padding."""
    z = torch.tensor([[0.0, -0.5, 0.0, 2.5, -3.0, 1.0], [5.0, 0.0, 0.0, 1.9, 2.1, 0.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(active(1, 3, 4, latent_dim=6).restrict(z).sum(), z)
    assert gradient.tolist() == [[0, 1, 0, 0, 0, 0], [0, 1, 0, 1, 0, 0]]


def test_activate_takes_the_widest():
    prior = ActiveGaussian(3, 6)
    prior.activate(torch.tensor([0.1, 5.0, 0.2, 3.0, 0.0, 4.0]))
    assert prior.active.tolist() == [1, 3, 5]
    prior.activate(torch.tensor([1.0, 2.0, 1.0, 1.0, 1.0, 2.0]))  # a tie goes to the lower number
    assert prior.active.tolist() == [0, 1, 5]
    assert prior.select(torch.arange(6.0)[None]).tolist() == [[0, 1, 5]]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.sampled_from([0.0, 1.0, -1e7]))
def test_column_moments(sizes, shift):
    """torch's mean and std in float64, however the rows are dealt out and wherever they lie."""
    z = latents(sum(sizes), 5) + shift
    mean, std = column_moments(z.split(sizes))
    assert mean.dtype == std.dtype == torch.float64
    torch.testing.assert_close(mean, z.mean(0), rtol=1e-12, atol=1e-12)
    if len(z) > 1:
        torch.testing.assert_close(std, z.std(0), rtol=1e-7 if shift else 1e-12, atol=1e-12)
    else:
        assert (std == 0).all()


def test_column_moments_of_float32_lose_no_digits():
    """The sum of squares of 1e4 ± 1e-2 would have no digit left in float32."""
    z = (1e4 + 1e-2 * torch.randn(5000, 3, generator=torch.Generator().manual_seed(0))).float()
    mean, std = column_moments(z.split(100))
    torch.testing.assert_close(mean, z.double().mean(0), rtol=1e-12, atol=0)
    torch.testing.assert_close(std, z.double().std(0), rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "name = None is unknown; there is active-gaussian"),
        ({"name": "gaussian"}, "name = 'gaussian' is unknown"),
        ({"name": "active-gaussian", "latent_dim": 8}, "dim"),
        ({"name": "active-gaussian", "latent_dim": 8, "dim": 9}, "dim = 9 active dimensions do not fit a latent of 8"),
        ({"name": "active-gaussian", "latent_dim": 8, "dim": 0}, "dim = 0"),
        ({"name": "active-gaussian", "latent_dim": 8, "dim": 2, "bound": -1.0}, "bound = -1.0 is negative"),
        ({"name": "active-gaussian", "latent_dim": 8, "dims": 2}, "dims"),
        ({"name": "active-gaussian", "latent_dim": 8, "dim": "2"}, "dim"),
        ({"name": "active-gaussian", "latent_dim": 8, "dim": 2.5}, "dim"),
        ({"name": "active-gaussian", "latent_dim": 8, "dim": 2, "choose": "last"}, "choose = 'last' is unknown; there is widest, first"),
        ({"name": "diagonal-gaussian", "latent_dim": 0}, "latent_dim = 0"),
        ({"name": "diagonal-gaussian", "latent_dim": 8, "dim": 2}, "unknown key 'dim'"),
    ],
)
def test_bad_configs(config, said):
    with pytest.raises(UsageError, match=said) as error:
        build_prior(config)
    assert str(error.value).startswith("[prior]")


@every_prior
def test_temperature_scales_about_the_mean(config):
    prior = build_prior(config)
    if isinstance(prior, DiagonalGaussian):
        prior.mean.data, prior.log_std.data = torch.arange(8.0), torch.linspace(-1, 1, 8)
    y = prior.sample(1000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(prior.temper(y, 1.0), y)
    cold = prior.temper(y, 0.0)
    torch.testing.assert_close(cold, cold[:1].expand_as(cold))
    torch.testing.assert_close(cold[0], y.mean(0), atol=0.3, rtol=0)
    torch.testing.assert_close(prior.from_standard(prior.to_standard(y)), y)
    torch.testing.assert_close(prior.to_standard(y).std(0), torch.ones(prior.dim), atol=0.1, rtol=0)
    torch.testing.assert_close(prior.temper(y, 0.5) - cold, 0.5 * (y - cold))
