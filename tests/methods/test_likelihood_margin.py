"""The likelihood of images that a network surrounds with a margin: an upper bound of the bits per dimension, in closed form."""

import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from genrev_cli.latents import DiagonalGaussian
from genrev_cli.methods.likelihood import MaximumLikelihood, bits_of_images, log_likelihood, noise
from genrev_cli.models import build_model
from genrev_cli.settings.likelihood import LikelihoodConfig

INN = {"name": "inn", "image_shape": [1, 1, 3], "levels": [{"couplings": 0, "hidden": 1}], "hidden_dense": 8}
REVNET = {"name": "revnet", "image_shape": [1, 3, 5], "scales": [{"blocks": 1, "hidden": 4}, {"blocks": 1, "hidden": 4}]}
LARGER_INN = {"name": "inn", "image_shape": [1, 3, 5], "levels": [{"couplings": 1, "hidden": 4}] * 2, "hidden_dense": 0}


def gaussian():
    """Return an INN that is linear, a prior, and the mean and covariance of padded images under both: (8,), (8, 8)."""
    generator = torch.Generator().manual_seed(0)
    model, prior = build_model(INN).double(), DiagonalGaussian(8).double()
    with torch.no_grad():
        for branch in (model.chain.layers[0].F, model.chain.layers[0].G):
            branch.t1.weight.copy_(torch.cat([torch.eye(4), -torch.eye(4)]))  # relu(x) − relu(−x) = x
            mixing = 0.7 * torch.randn(4, 4, generator=generator, dtype=torch.float64)
            branch.t2.weight.copy_(torch.cat([mixing, -mixing], dim=1))
            branch.t1.bias.zero_()
            branch.s2.bias.copy_(0.5 * torch.randn(4, generator=generator))
        prior.mean.copy_(torch.rand(8, generator=generator))
        prior.log_std.copy_(-1 - torch.rand(8, generator=generator))
    border = torch.rand(1, 1, 2, 4, generator=generator, dtype=torch.float64)  # at 0 the ReLUs have no derivative
    split = lambda y: model.encode_log_det(y[:, :, :1, :3], y)[0][0]  # noqa: E731
    A = torch.func.jacrev(split)(border).view(8, 8)
    back = torch.linalg.inv(A)
    mean = border.flatten() + back @ (prior.mean - split(border)).detach()
    return model, prior, mean, back @ torch.diag((2 * prior.log_std.detach()).exp()) @ back.T


def grid(nodes, dims):
    """Return the nodes and weights of a Gauss-Legendre rule on [0, 1]^dims: (nodes^dims, dims), (nodes^dims,)."""
    points, weights = (torch.from_numpy(array) / 2 for array in np.polynomial.legendre.leggauss(nodes))
    return torch.cartesian_prod(*[points + 0.5] * dims), torch.cartesian_prod(*[weights] * dims).prod(1)


@torch.no_grad()
def test_joint_density_of_image_and_margin():
    model, prior, mean, covariance = gaussian()
    assert model.padded_shape == (1, 2, 4)
    y = torch.rand(6, 1, 2, 4, dtype=torch.float64)
    expected = torch.distributions.MultivariateNormal(mean, covariance).log_prob(y.flatten(1))
    torch.testing.assert_close(log_likelihood(model, prior, y[:, :, :1, :3], y), expected, rtol=1e-11, atol=1e-11)


@torch.no_grad()
def test_bits_per_dim_are_an_upper_bound():
    """All integrals, over pixels' cells, noise and margin, are exact. The gap is E KL(U[0, 1)⁵ ‖ p(v|x̃)) / (3 ln 2)."""
    model, prior, mean, covariance = gaussian()
    image, margin = torch.tensor([0, 1, 2]), torch.tensor([3, 4, 5, 6, 7])
    u, weights = grid(8, 3)
    marginal = torch.distributions.MultivariateNormal(mean[image], covariance[image][:, image])
    gain = covariance[margin][:, image] @ torch.linalg.inv(covariance[image][:, image])
    given = covariance[margin][:, margin] - gain @ covariance[image][:, margin]
    nodes, node_weights = grid(2, 8)  # log p is quadratic in all 8 numbers
    for pixels in ([0, 128, 255], [40, 41, 200]):
        x = torch.tensor(pixels, dtype=torch.float64).view(1, 1, 1, 3) / 255
        P = (weights * marginal.log_prob((255 * x.flatten() + u) / 256).exp()).sum() / 256**3
        exact = -P.log2() / 3
        bound = (node_weights * bits_of_images(model, prior, x.expand(256, 1, 1, 3), nodes.view(256, 1, 2, 4))).sum()
        near = mean[margin] + gain @ ((255 * x.flatten() + 0.5) / 256 - mean[image])
        v, v_weights = grid(2, 5)
        gap = -(v_weights * torch.distributions.MultivariateNormal(near, given).log_prob(v)).sum() / (3 * math.log(2))
        assert bound > exact
        assert bound - exact == pytest.approx(gap.item(), abs=1e-4)


@pytest.mark.parametrize("model", [REVNET, LARGER_INN], ids=["revnet", "inn"])
def test_learns_images_with_a_margin(model):
    torch.manual_seed(0)
    autoencoder = build_model(model)
    method = MaximumLikelihood(autoencoder, DiagonalGaussian(autoencoder.latent_dim), LikelihoodConfig(lr=1e-2), nullcontext)
    x = (0.8 * torch.rand(128, 1, 1, 1) + 0.2 * torch.rand(128, 1, 3, 5)).mul(255).round() / 255
    method.start(lambda: ((part, None) for part in x.split(50)))
    assert method.prior.log_std.min() > math.log(0.1), "the margin has no spread"
    losses = [method.step(x, None, torch.Generator().manual_seed(seed))["bits_per_dim"].item() for seed in range(60)]
    assert losses[-1] < losses[0] - 0.5
    assert math.isfinite(losses[-1])
    measured = method.measure(autoencoder, method.prior, x, torch.Generator().manual_seed(3))["bits_per_dim"]
    u = noise(autoencoder, 128, torch.Generator().manual_seed(3))
    assert u.shape == (128, *autoencoder.padded_shape)
    assert torch.equal(measured, bits_of_images(autoencoder, method.prior, x, u))
