"""The INN autoencoder's method: zero padding, weight decay, and the MMD of the INN-VAE by hand (Nguyen et al. 2019, eq. 5, 6)."""

import math
from contextlib import nullcontext

import pytest
import torch

from genrev_cli.errors import UsageError
from genrev_cli.latents import ActiveGaussian
from genrev_cli.methods.reconstruction import Reconstruction, mmd_loss
from genrev_cli.models import build_model
from genrev_cli.settings.reconstruction import ReconstructionConfig

INN = {"name": "inn", "image_shape": [1, 4, 4], "levels": [{"couplings": 1, "hidden": 4}], "hidden_dense": 4}
DENSE = {"name": "dense", "image_shape": [1, 4, 4], "latent_dim": 3, "hidden": [8]}


def make(model=INN, **settings):
    torch.manual_seed(0)
    autoencoder = build_model(model)
    prior = ActiveGaussian(3, autoencoder.latent_dim, bound=0.0, choose="first")
    return Reconstruction(autoencoder, prior, ReconstructionConfig(1.0, 1.0, betas=(0.8, 0.8), lr=1e-3, **settings), nullcontext)


def images(n=6, seed=1):
    return torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


def stepped(method, x, seed=2):
    return method.step(x, torch.zeros(len(x), dtype=torch.int64), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("widths", [(0.2, 0.5, 0.9, 1.3), (2.0,)])
def test_mmd_by_a_double_loop(widths):
    """The estimate is a mean over all pairs, including each code with itself."""
    u, v = (torch.randn(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(n)) for n in (5, 7))

    def mean(a, b):
        kernel = [[sum(w * w / (w * w + math.dist(p, q) ** 2) for w in widths) for q in b.tolist()] for p in a.tolist()]
        return sum(map(sum, kernel)) / (len(a) * len(b))

    expected = mean(u, u) + mean(v, v) - 2 * mean(u, v)
    assert mmd_loss(u, v, widths).item() == pytest.approx(expected, rel=1e-11)
    assert mmd_loss(u, u, widths).item() == pytest.approx(0, abs=1e-12)


def test_one_code_each_by_hand():
    """k(u, u) = 1 per width, so L = 2·(number of widths) − 2·Σ a²/(a² + |u − v|²)."""
    loss = mmd_loss(torch.tensor([[0.0, 3.0]]), torch.tensor([[4.0, 0.0]]), (5.0, 10.0))
    assert loss.item() == pytest.approx(4 - 2 * (25 / 50 + 100 / 125))


@pytest.mark.parametrize("model", [INN, DENSE], ids=["inn", "dense"])
def test_step_with_mmd(model):
    """The MMD compares codes with prior samples from the step's generator; the other terms do not change."""
    method, x = make(model, weight_mmd=2.0), images()
    with torch.no_grad():
        y = method.autoencoder.encode(x)[:, :3]
        expected = mmd_loss(y, torch.randn(6, 3, generator=torch.Generator().manual_seed(2)), (0.2, 0.5, 0.9, 1.3))
    scalars, plain = stepped(method, x), stepped(make(model), x)
    assert scalars.keys() == {"L_x", "L_z", "L_mmd", "grad_norm"}
    assert plain.keys() == {"L_x", "L_z", "grad_norm"}
    assert scalars["L_mmd"].item() == pytest.approx(expected.item(), rel=1e-6)
    assert all(torch.equal(scalars[name], plain[name]) for name in ("L_x", "L_z"))
    assert not torch.equal(scalars["grad_norm"], plain["grad_norm"])
    assert not any(scalar.requires_grad for scalar in scalars.values())


def test_mmd_moves_codes_towards_the_prior():
    method, x = make(weight_mmd=1.0), images(200)
    losses = [stepped(method, x, seed)["L_mmd"].item() for seed in range(80)]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_the_first_dimensions_stay_active():
    method, x = make(), images(50)
    method.start(lambda: ((part, None) for part in x.split(20)))
    assert method.prior.active.tolist() == [0, 1, 2]
    z_hat = method.prior.restrict(method.autoencoder.encode(100 * x))
    assert (z_hat[:, 3:] == 0).all()
    assert z_hat[:, :3].max() > 10, "a bound of 0 clamps nothing"


@pytest.mark.parametrize("model", [INN, DENSE], ids=["inn", "dense"])
def test_learns(model):
    method, x = make(model), images()
    first, *_, last = [stepped(method, x)["L_x"].item() for _ in range(150)]
    assert last < 0.8 * first


def test_decay_and_eps_reach_the_optimiser():
    """With a large eps a step is nearly lr·(g + decay·w)/eps."""
    one, other = (make(weight_decay=decay, eps=1e4, max_grad_norm=0.0) for decay in (0.0, 50.0))
    before = [parameter.detach().clone() for parameter in one.autoencoder.parameters()]
    for method in (one, other):
        method.optimizers["R"].scale(1e7)  # lr·10⁷/eps = 1
        stepped(method, images())
    for w, plain, decayed in zip(before, one.autoencoder.parameters(), other.autoencoder.parameters(), strict=True):
        torch.testing.assert_close(plain - decayed, 50 * w, rtol=0.05, atol=1e-3)


@pytest.mark.parametrize("settings", [{"weight_mmd": -1.0}, {"mmd_widths": ()}, {"mmd_widths": (0.2, 0.0)}])
def test_impossible_settings(settings):
    with pytest.raises(UsageError, match="--weight-mmd -1: must be at least 0|mmd_widths = .*; must"):
        ReconstructionConfig(**settings)
