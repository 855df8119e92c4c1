"""Distances that replace the adversary: one step, and codes that move to the prior."""

import copy
from contextlib import nullcontext

import pytest
import torch

from genrev_cli.errors import UsageError
from genrev_cli.latents import ActiveGaussian, ActiveUniform
from genrev_cli.methods.matching import MATCHERS, LatentMatching
from genrev_cli.models import build_model
from genrev_cli.settings.adversarial import MatchingConfig

every_matcher = pytest.mark.parametrize("matcher", MATCHERS)


def images(n=64, seed=1):
    return torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


def make(matcher, prior=ActiveGaussian, **settings):
    torch.manual_seed(0)
    autoencoder = build_model({"name": "revnet", "image_shape": [1, 4, 4], "scales": [{"blocks": 1, "hidden": 4}]})
    return LatentMatching(autoencoder, prior(3, 16), MatchingConfig(matcher, **settings), nullcontext)


def stepped(method, x, seed=2):
    return method.step(x, torch.zeros(len(x), dtype=torch.int64), torch.Generator().manual_seed(seed))


@every_matcher
def test_a_step_is_adam_on_the_loss_by_hand(matcher):
    method, x = make(matcher, lr=1e-3, weight_match=2.0), images()
    spelled = copy.deepcopy(method)
    generator = torch.Generator().manual_seed(2)
    z = spelled.autoencoder.encode(x)
    z_hat = spelled.prior.restrict(z)
    x_hat = spelled.autoencoder.decode(z_hat)
    y_prior = torch.randn(64, 3, generator=generator)
    L_match = MATCHERS[matcher](z[:, :3], y_prior, generator)
    loss = 2 * L_match + 10 * (x - x_hat).abs().mean() + 10 * (z - z_hat).square().mean()
    parameters = list(spelled.autoencoder.parameters())
    gradients = torch.autograd.grad(loss, parameters)
    adam = torch.optim.Adam(parameters, lr=1e-3, betas=(0.0, 0.9))
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    torch.nn.utils.clip_grad_norm_(parameters, 5.0)
    adam.step()
    scalars = stepped(method, x)
    assert scalars["L_match"].item() == pytest.approx(L_match.item(), rel=1e-5)
    for mine, theirs in zip(method.autoencoder.parameters(), parameters, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)


@every_matcher
@pytest.mark.parametrize("prior", [ActiveGaussian, ActiveUniform])
def test_codes_move_to_the_prior(matcher, prior):
    """Without other losses, their mean and spread move from those of pixels to those of the prior."""
    method, x = make(matcher, prior, lr=1e-2, weight_match=10.0, weight_x=0.0, weight_z=0.0), images(256)
    with torch.no_grad():
        before = method.prior.select(method.autoencoder.encode(x))
    for seed in range(150):
        stepped(method, x, seed)
    with torch.no_grad():
        after = method.prior.select(method.autoencoder.encode(x))
    assert before.mean(0).abs().max() > 0.3
    std = method.prior.moments()[1]
    assert (after.mean(0) / std).abs().max() < 0.25
    assert (after.std(0) / std - 1).abs().max() < 0.3


@every_matcher
def test_a_distance_is_small_between_samples_of_the_prior(matcher):
    y, other, far = (torch.randn(256, 3, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1, 2))
    generator = torch.Generator().manual_seed(3)
    near, wide = (MATCHERS[matcher](y, to, generator).item() for to in (other, far + 2))
    assert near < 0.25 * wide


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"matcher": "gan"}, "--matcher gan: choose adversary, mmd"),
        ({"matcher": "mmd", "weight_match": -1.0}, "--weight-match -1: must be at least 0"),
    ],
)
def test_impossible_settings(settings, said):
    with pytest.raises(UsageError, match=said):
        MatchingConfig(**settings)
