"""Priors: the projection on the active dimensions, its gradient, and the choice of the dimensions."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genrev_cli.errors import UsageError
from genrev_cli.latents import PRIORS, ActiveGaussian, ActiveUniform, ClassGaussians, DiagonalGaussian, build_prior
from genrev_cli.latents.gaussians import LEAST_STD
from genrev_cli.latents.moments import Moments

CONFIGS = {
    "active-gaussian": [
        {"dim": 3, "latent_dim": 8},
        {"dim": 3, "latent_dim": 8, "bound": 0.0},
        {"dim": 8, "latent_dim": 8, "bound": 1.0},
        {"dim": 3, "latent_dim": 8, "choose": "first"},
    ],
    "active-uniform": [
        {"dim": 3, "latent_dim": 8},
        {"dim": 8, "latent_dim": 8, "bound": 0.5},
        {"dim": 3, "latent_dim": 8, "choose": "first"},
    ],
    "diagonal-gaussian": [{"latent_dim": 8}],
    "class-gaussians": [{"latent_dim": 8, "classes": 3}, {"latent_dim": 8, "classes": 1}],
}
every_prior = pytest.mark.parametrize(
    "config", [{"name": name, **config} for name, configs in CONFIGS.items() for config in configs], ids=str
)


def latents(n=50, d=8, scale=2.0):
    return scale * torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def labelled(z, batch, classes=3):
    """Return the latents in batches, with labels 0, 1, …, as `Prior.fit` takes them."""
    labels = torch.arange(len(z)) % classes
    return lambda: zip(z.split(batch), labels.split(batch), strict=True)


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
    if config["name"] != "active-gaussian" or config.get("bound") == 0:  # a bounded Gaussian's samples leave its bound
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
    prior.fit(labelled(latents(), 20))
    again.load_state_dict(prior.state_dict())
    assert torch.equal(again.restrict(latents()), prior.restrict(latents()))
    assert torch.equal(*(one.sample(5, torch.Generator().manual_seed(0)) for one in (prior, again)))


def test_choose_is_widest_by_default():
    """Older checkpoints have no such key."""
    assert build_prior({"name": "active-gaussian", "dim": 3, "latent_dim": 8, "bound": 2.0}).choose == "widest"


@every_prior
def test_sample_depends_only_on_the_generator(config):
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


@pytest.mark.parametrize("bound", [2.0, 0.25])
def test_uniform_samples_have_the_moments_and_quantiles_of_a_uniform(bound, device):
    """Mean 0, variance b²/3, fourth moment b⁴/5, and P(y ≤ t) = (t + b) / 2b."""
    y = ActiveUniform(4, 8, bound).to(device).sample(50_000, torch.Generator(device).manual_seed(0)).double().cpu() / bound
    assert y.abs().max() <= 1
    for power, moment in ((1, 0), (2, 1 / 3), (4, 1 / 5)):
        torch.testing.assert_close((y**power).mean(0), torch.full((4,), float(moment)).double(), atol=0.01, rtol=0)
    for share in (0.01, 0.3, 0.99):
        torch.testing.assert_close((y <= 2 * share - 1).double().mean(0), torch.full((4,), share).double(), atol=0.01, rtol=0)


@every_prior
def test_samples_stay_within_reach_of_the_mean(config):
    prior = build_prior(config)
    y, (mean, std) = prior.sample(20_000, torch.Generator().manual_seed(0)), prior.moments()
    farthest = ((y - mean) / std).abs().max()
    assert farthest <= prior.reach * (1 + 1e-6)
    assert prior.reach == float("inf") or farthest > 0.999 * prior.reach


@pytest.mark.parametrize("prior", [ActiveGaussian, ActiveUniform])
@pytest.mark.parametrize(("choose", "active"), [("widest", [2, 4, 7]), ("first", [0, 1, 2])])
def test_fit_chooses_the_active_dimensions(prior, choose, active):
    prior = prior(3, 8, choose=choose)
    z = latents() * torch.tensor([1, 1, 3, 1, 2, 1, 1, 4.0])
    prior.fit(labelled(z, 7))
    assert prior.active.tolist() == active


def diagonal(d=5):
    prior = DiagonalGaussian(d).double()
    with torch.no_grad():
        prior.mean.copy_(torch.linspace(-2, 2, d))
        prior.log_std.copy_(torch.linspace(-3, 1, d))
    return prior


def test_diagonal_gaussian_equals_torchs():
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
    """A constant dimension gets the smallest scale."""
    z = latents(d=5) * torch.tensor([1, 2, 3, 4, 0.0]) + 7
    prior = DiagonalGaussian(5)
    prior.fit(labelled(z, 7))
    torch.testing.assert_close(prior.mean.double(), z.mean(0), rtol=1e-6, atol=0)
    expected = torch.cat([z[:, :4].std(0), torch.tensor([LEAST_STD])])
    torch.testing.assert_close(prior.log_std.exp().double(), expected, rtol=1e-6, atol=0)


def test_restrict_by_hand():
    z = torch.tensor([[9.0, -0.5, 7.0, 2.5, -3.0, 1.0]])
    assert active(1, 3, 4, latent_dim=6).restrict(z).tolist() == [[0, -0.5, 0, 2, -2, 0]]
    assert active(1, 3, 4, latent_dim=6, bound=0.0).restrict(z).tolist() == [[0, -0.5, 0, 2.5, -3, 0]]


def test_gradient_of_restrict():
    """It is 1 inside the bound and 0 outside. On inactive dimensions it is 0 even where they are exactly 0, as under black padding."""
    z = torch.tensor([[0.0, -0.5, 0.0, 2.5, -3.0, 1.0], [5.0, 0.0, 0.0, 1.9, 2.1, 0.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(active(1, 3, 4, latent_dim=6).restrict(z).sum(), z)
    assert gradient.tolist() == [[0, 1, 0, 0, 0, 0], [0, 1, 0, 1, 0, 0]]


def test_activate_takes_the_widest():
    prior = ActiveGaussian(3, 6)
    prior.activate(torch.tensor([0.1, 5.0, 0.2, 3.0, 0.0, 4.0]))
    assert prior.active.tolist() == [1, 3, 5]
    prior.activate(torch.tensor([1.0, 2.0, 1.0, 1.0, 1.0, 2.0]))  # of equal ones the lower index wins
    assert prior.active.tolist() == [0, 1, 5]
    assert prior.select(torch.arange(6.0)[None]).tolist() == [[0, 1, 5]]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.sampled_from([0.0, 1.0, -1e7]))
def test_moments(sizes, shift):
    """They equal torch's mean and std in float64, for any batches and any shift."""
    z = latents(sum(sizes), 5) + shift
    moments = Moments.of(z.split(sizes))
    mean, std = moments.mean, moments.std
    assert mean.dtype == std.dtype == torch.float64
    torch.testing.assert_close(mean, z.mean(0), rtol=1e-12, atol=1e-12)
    if len(z) > 1:
        torch.testing.assert_close(std, z.std(0), rtol=1e-7 if shift else 1e-12, atol=1e-12)
    else:
        assert (std == 0).all()


def test_moments_of_float32_lose_no_digits():
    """In float32 the sum of squares of 1e4 ± 1e-2 would have no correct digit."""
    z = (1e4 + 1e-2 * torch.randn(5000, 3, generator=torch.Generator().manual_seed(0))).float()
    moments = Moments.of(z.split(100))
    mean, std = moments.mean, moments.std
    torch.testing.assert_close(mean, z.double().mean(0), rtol=1e-12, atol=0)
    torch.testing.assert_close(std, z.double().std(0), rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "name = None is unknown; choose active-gaussian"),
        ({"name": "gaussian"}, "name = 'gaussian' is unknown"),
        ({"name": "active-gaussian", "latent_dim": 8}, "dim"),
        ({"name": "active-gaussian", "latent_dim": 8, "dim": 9}, "dim = 9; the latent has 8 dimensions; choose 1 to 8"),
        ({"name": "active-gaussian", "latent_dim": 8, "dim": 0}, "dim = 0"),
        ({"name": "active-gaussian", "latent_dim": 8, "dim": 2, "bound": -1.0}, "bound = -1.0; must be at least 0"),
        ({"name": "active-uniform", "latent_dim": 8, "dim": 2, "bound": 0.0}, "bound = 0.0; must be above 0"),
        ({"name": "active-uniform", "latent_dim": 8, "dim": 9}, "dim = 9; the latent has 8 dimensions; choose 1 to 8"),
        ({"name": "active-gaussian", "latent_dim": 8, "dims": 2}, "dims"),
        ({"name": "active-gaussian", "latent_dim": 8, "dim": "2"}, "dim"),
        ({"name": "active-gaussian", "latent_dim": 8, "dim": 2.5}, "dim"),
        ({"name": "active-gaussian", "latent_dim": 8, "dim": 2, "choose": "last"}, "choose = 'last'; choose widest or first"),
        ({"name": "diagonal-gaussian", "latent_dim": 0}, "latent_dim = 0"),
        ({"name": "diagonal-gaussian", "latent_dim": 8, "dim": 2}, "unknown key 'dim'"),
    ],
)
def test_bad_configs(config, said):
    with pytest.raises(UsageError, match=said) as error:
        build_prior(config)
    assert str(error.value).startswith("[prior]")


@every_prior
def test_temperature_scales_around_the_mean(config):
    prior = build_prior(config)
    if isinstance(prior, DiagonalGaussian):
        prior.mean.data, prior.log_std.data = torch.arange(8.0), torch.linspace(-1, 1, 8)
    hot, mild, cold = (prior.sample(1000, torch.Generator().manual_seed(0), temperature) for temperature in (1.0, 0.5, 0.0))
    mean, std = prior.moments()
    torch.testing.assert_close(cold, mean.expand_as(cold))
    torch.testing.assert_close(mild - cold, 0.5 * (hot - cold))
    torch.testing.assert_close(((hot - mean) / std).std(0), torch.ones(prior.dim), atol=0.1, rtol=0)


def classes(d=5):
    """Return a prior with two classes. The first is three times as frequent; one dimension varies only in the second."""
    prior = ClassGaussians(d, 2).double()
    with torch.no_grad():
        prior.mean.copy_(torch.stack([torch.zeros(d), torch.full((d,), 10.0)]))
        prior.std.copy_(torch.tensor([[1.0, 0.5, 0.25, 0.0625, 0.0], [2.0, 0.1, 1.0, 0.19, 1.0]]))
        prior.share.copy_(torch.tensor([0.75, 0.25]))
    return prior


def test_class_gaussians_fit_each_class():
    z = latents(60) + torch.arange(3.0).repeat(20)[:, None]
    prior = ClassGaussians(8, 3)
    prior.fit(labelled(z, 7))
    for k in range(3):
        torch.testing.assert_close(prior.mean[k].double(), z[k::3].mean(0), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(prior.std[k].double(), z[k::3].std(0), rtol=1e-6, atol=0)
    torch.testing.assert_close(prior.share, torch.full((3,), 1 / 3))


def test_one_class_ignores_labels():
    z, prior = latents(60), ClassGaussians(8, 1)
    prior.fit(lambda: [(z, torch.full((60,), -1))])
    torch.testing.assert_close(prior.std[0].double(), z.std(0), rtol=1e-6, atol=0)


@pytest.mark.parametrize(("labels", "said"), [([0, 1, 1], "class 2 has no images"), ([0, 3, 1], "labels from 0 to 3"), ([0, -1, 1], "-1")])
def test_class_gaussians_refuse_labels_outside_the_classes(labels, said):
    with pytest.raises(UsageError, match=said):
        ClassGaussians(8, 3).fit(lambda: [(latents(3), torch.tensor(labels))])


def test_class_gaussians_sample_their_mixture():
    prior = classes()
    y = prior.sample(40_000, torch.Generator().manual_seed(0))
    of_second = y[:, 1] > 5
    assert abs(of_second.double().mean() - 0.25) < 0.01
    for k, rows in enumerate((y[~of_second], y[of_second])):
        torch.testing.assert_close(rows.std(0).double(), prior.std[k].detach(), rtol=0.03, atol=1e-9)


def test_given_a_class():
    prior = classes()
    assert (prior.given(0).sample(1000, torch.Generator().manual_seed(0))[:, 4] == 0).all()
    y = prior.given(1).sample(20_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(y.std(0).double(), prior.std[1].detach(), rtol=0.03, atol=0)
    torch.testing.assert_close(y.mean(0).double(), prior.mean[1].detach(), rtol=0.01, atol=0)


@pytest.mark.parametrize(
    ("prior", "label", "said"),
    [
        (classes(), 2, "does not exist; choose 0–1"),
        (classes(), -1, "does not exist; choose 0–1"),
        (ActiveGaussian(2, 4), 0, "'active-gaussian' has no classes"),
    ],
)
def test_given_an_unknown_class(prior, label, said):
    with pytest.raises(UsageError, match=said):
        prior.given(label)


def test_draw_by_hand_and_its_gradient():
    prior, u = classes(), torch.ones(3, 5, dtype=torch.float64)
    s = prior.draw(torch.tensor([0, 1, 1]), u)
    assert s[0].tolist() == [1.0, 0.5, 0.25, 0.0625, 0.0]
    torch.testing.assert_close(s[2], prior.mean[1] + prior.std[1])
    by_mean, by_std = torch.autograd.grad(s.sum(), [prior.mean, prior.std])
    assert by_mean[:, 0].tolist() == by_std[:, 0].tolist() == [1, 2]


def test_used_dimensions():
    """Used dimensions have at least a tenth of the largest σ."""
    assert classes().used().tolist() == [[True, True, True, False, False], [True, False, True, False, True]]


def test_clamp():
    prior = classes()
    prior.std.data -= 0.1
    prior.clamp()
    assert prior.std.min() == 0
    assert prior.std[0, 0] == 0.9
