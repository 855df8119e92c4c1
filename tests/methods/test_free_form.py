"""The likelihood of autoencoders: its gradient against closed forms in float64, exactly, by an average over a basis instead of random v."""

import math
from contextlib import nullcontext
from typing import ClassVar

import pytest
import torch
from torch import nn

from genrev_cli.errors import UsageError
from genrev_cli.latents import ActiveGaussian, DiagonalGaussian
from genrev_cli.methods.free_form import directions, likelihood_loss, log_prob_on_manifold, pushed, volume_surrogate
from genrev_cli.methods.reconstruction import Reconstruction
from genrev_cli.models import Autoencoder, build_model
from genrev_cli.precision import autocast_in
from genrev_cli.settings.reconstruction import ReconstructionConfig

N = 6  # values of an image, 1×2×3


class Linear(Autoencoder):
    """f(x) = F x + b, g(y) = G y + c."""

    bijective: ClassVar[bool] = False

    def __init__(self, F, G, b=None, c=None):
        super().__init__()
        self.image_shape, self.latent_dim, self.config = (1, 2, 3), len(F), {"name": "linear"}
        zeros = F.new_zeros(1)
        self.F, self.G = nn.Parameter(F.clone()), nn.Parameter(G.clone())
        self.b, self.c = nn.Parameter((zeros if b is None else b).clone()), nn.Parameter((zeros if c is None else c).clone())

    def encode(self, x):
        return x.flatten(1) @ self.F.T + self.b

    def decode(self, z):
        return (z @ self.G.T + self.c).unflatten(1, self.image_shape)

    def decoder_modules(self):
        return [self]


def drawn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def basis(d):
    """√d e_k for all k: the mean of v vᵀ over these is I."""
    return math.sqrt(d) * torch.eye(d, dtype=torch.float64)


def over_a_basis(autoencoder, x, prior=None):
    """The mean of the surrogate over a basis of v, for one image (1, C, H, W): ()."""
    d = prior.dim if prior else autoencoder.latent_dim
    v = basis(d)
    x = x.expand(d, *x.shape[1:]).detach().requires_grad_()
    z = autoencoder.encode(x)
    y, z_hat = (prior.select(z), prior.restrict(z)) if prior else (z, z)
    moved = pushed(autoencoder.decode(z_hat), z_hat, prior.embed(v) if prior else v)
    return volume_surrogate(x, y, moved, v).mean()


@pytest.mark.parametrize("d", [1, 2, 4, N])
def test_the_gradient_is_that_of_the_volume_of_a_linear_map(d):
    """With G = F⁺: value tr(F G) = d, and gradient ∂ ½ log det(F Fᵀ) / ∂F = (F⁺)ᵀ; for d = N that of log |det F|."""
    F = drawn(d, N)
    pair = Linear(F, torch.linalg.pinv(F))
    value = over_a_basis(pair, drawn(1, 1, 2, 3, seed=1))
    of_F, *others = torch.autograd.grad(value, list(pair.parameters()), allow_unused=True)
    assert value.item() == pytest.approx(d, rel=1e-12)
    assert all(other is None or not other.any() for other in others), "the decoder's gradient is stopped"
    leaf = F.clone().requires_grad_()
    (expected,) = torch.autograd.grad(torch.logdet(leaf @ leaf.T) / 2, leaf)
    torch.testing.assert_close(of_F, expected, rtol=1e-10, atol=1e-12)
    if d == N:
        (of_det,) = torch.autograd.grad(torch.linalg.slogdet(leaf).logabsdet, leaf)
        torch.testing.assert_close(of_F, of_det, rtol=1e-10, atol=1e-12)


def test_the_gradient_needs_the_pseudo_inverse():
    """Another right inverse of F has F G = I too, and gives Gᵀ: this is the bias of a bijection with fewer dimensions."""
    F = drawn(2, N)
    beside = torch.eye(N, dtype=torch.float64) - torch.linalg.pinv(F) @ F  # projects on the null space of F
    G = torch.linalg.pinv(F) + beside @ drawn(N, 2, seed=3)
    pair = Linear(F, G)
    value = over_a_basis(pair, drawn(1, 1, 2, 3, seed=1))
    (of_F,) = torch.autograd.grad(value, [pair.F])
    assert value.item() == pytest.approx(2, rel=1e-12)
    torch.testing.assert_close(of_F, G.T, rtol=1e-10, atol=1e-12)
    assert (of_F - torch.linalg.pinv(F).T).abs().max() > 0.1


BIJECTIONS = {
    "inn": {"name": "inn", "image_shape": [1, 4, 4], "levels": [{"couplings": 2, "hidden": 4}], "hidden_dense": 4},
    "revnet": {"name": "revnet", "image_shape": [1, 4, 4], "scales": [{"blocks": 1, "hidden": 4, "kernel": 3}]},
    "revnet-with-margin": {"name": "revnet", "image_shape": [1, 3, 4], "scales": [{"blocks": 1, "hidden": 4, "kernel": 3}]},
    "revnet-exact": {"name": "revnet", "image_shape": [1, 4, 4], "scales": [{"blocks": 1, "hidden": 4}], "exact_bits": 16},
}


@pytest.mark.parametrize("name", ["inn", "revnet"])
def test_with_all_dimensions_a_bijection_has_the_exact_gradient(name):
    """Its log-determinant is known: the INN changes volumes, the reversible network keeps them."""
    torch.manual_seed(0)
    network = build_model(BIJECTIONS[name]).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    x = drawn(1, 1, 4, 4, seed=1).sigmoid()
    parameters = list(network.parameters())
    found = torch.autograd.grad(over_a_basis(network, x), parameters, allow_unused=True)
    z, log_det = network.encode_log_det(x)
    expected = torch.autograd.grad(log_det.sum() + 0 * z.sum(), parameters, allow_unused=True)
    assert (name == "inn") == any(gradient.abs().max() > 1e-3 for gradient in expected)
    for of_surrogate, exact, parameter in zip(found, expected, parameters, strict=True):
        zero = torch.zeros_like(parameter)
        torch.testing.assert_close(zero if of_surrogate is None else of_surrogate, exact, rtol=1e-8, atol=1e-10)


def test_a_derivative_in_a_direction_by_differences():
    torch.manual_seed(0)
    network = build_model({"name": "strided", "image_shape": [1, 8, 8], "latent_dim": 3, "channels": [4, 4]}).double()
    z, v, h = drawn(5, 3).requires_grad_(), drawn(5, 3, seed=1), 1e-6
    moved = pushed(network.decode(z), z, v)
    by_difference = (network.decode(z + h * v) - network.decode(z - h * v)) / (2 * h)
    torch.testing.assert_close(moved, by_difference, rtol=1e-6, atol=1e-8)


def test_directions_are_on_a_sphere_and_white():
    v = directions(torch.zeros(40_000, 3), torch.Generator().manual_seed(0))
    torch.testing.assert_close(v.norm(dim=1), torch.full((40_000,), math.sqrt(3.0)))
    torch.testing.assert_close(v.T @ v / len(v), torch.eye(3), atol=0.03, rtol=0)


def test_the_loss_by_hand():
    """E (½‖y‖² − S) / values = ((½·25 − 1) + (½·4 − 3)) / 2 / 7."""
    y, S = torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([1.0, 3.0])
    assert likelihood_loss(y, S, 7).item() == pytest.approx((11.5 - 1.0) / 14)


def prior_of(d, latent_dim, bound=0.0):
    return ActiveGaussian(d, latent_dim, bound=bound, choose="first")


def test_the_density_on_the_manifold_of_a_linear_decoder():
    """x̂ = G y + c has density N(y; 0, I) / √det(GᵀG); in full dimension that is N(x̂; c, G Gᵀ)."""
    F, x = drawn(2, N), drawn(4, 1, 2, 3, seed=1)
    pair = Linear(F, drawn(N, 2, seed=2), c=drawn(N, seed=4))
    y = x.flatten(1) @ F.T
    normal = torch.distributions.MultivariateNormal(torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64))
    with torch.no_grad():
        expected = normal.log_prob(y) - torch.logdet(pair.G.T @ pair.G) / 2
        torch.testing.assert_close(log_prob_on_manifold(pair, prior_of(2, 2), x), expected)
        square = Linear(drawn(N, N), drawn(N, N, seed=2), c=drawn(N, seed=4))
        decoded = square.decode(square.encode(x)).flatten(1)
        whole = torch.distributions.MultivariateNormal(square.c.data, square.G.data @ square.G.data.T).log_prob(decoded)
        torch.testing.assert_close(log_prob_on_manifold(square, prior_of(N, N), x), whole)


def method(autoencoder, *, d=None, prior=None, autocast=nullcontext, **settings):
    prior = prior or prior_of(d or autoencoder.latent_dim, autoencoder.latent_dim, settings.pop("bound", 0.0))
    config = ReconstructionConfig(10.0, 0.0, image_norm="l2", betas=(0.9, 0.999), max_grad_norm=0.0, **settings)
    return Reconstruction(autoencoder, prior, config, autocast)


def stepped(method, x, seed=0):
    return method.step(x, torch.zeros(len(x), dtype=torch.int64), torch.Generator().manual_seed(seed))


def test_maximum_likelihood_makes_codes_of_gaussian_data_standard_normal():
    """A linear autoencoder of N(c, A Aᵀ) with A of rank 2: at the optimum codes are white, and the decoder's density is the data's."""
    A, c = drawn(N, 2, seed=5), 0.1 * drawn(N, seed=6)
    x = (drawn(1000, 2, seed=7) @ A.T + c).unflatten(1, (1, 2, 3)).float()
    start = Linear(0.3 * drawn(2, N).float(), 0.3 * drawn(N, 2, seed=2).float(), torch.zeros(2), torch.zeros(N))
    learner = method(start, weight_nll=20.0, lr=2e-2)
    for seed in range(800):
        learner.optimizers["R"].scale(0.5 ** (seed / 130))
        scalars = stepped(learner, x, seed)
    assert scalars.keys() == {"L_x", "L_z", "L_ml", "agreement", "grad_norm"}
    assert scalars["agreement"].item() == pytest.approx(1, abs=0.02)
    with torch.no_grad():
        y = start.encode(x)
        torch.testing.assert_close(y.T.cov(), torch.eye(2), atol=0.05, rtol=0)
        torch.testing.assert_close(y.mean(0), torch.zeros(2), atol=0.03, rtol=0)
        assert (start.decode(y) - x).abs().max() < 0.05
        spread = x.flatten(1).T.cov()
        torch.testing.assert_close(start.G @ start.G.T, spread, atol=0.07 * spread.abs().max().item(), rtol=0)


CONVOLUTIONAL = {
    "name": "convolutional", "image_shape": [1, 4, 4], "latent_dim": 3, "stages": [{"channels": 4, "pool": True}],
}  # fmt: skip
NETWORKS = BIJECTIONS | {
    "dense": {"name": "dense", "image_shape": [1, 4, 4], "latent_dim": 3, "hidden": [8]},
    "convolutional": CONVOLUTIONAL,
    "strided": {"name": "strided", "image_shape": [1, 4, 4], "latent_dim": 3, "channels": [4]},
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_with_every_kind_of_network(name, precision):
    """The other terms stay as they are, no scalar carries a graph, and the likelihood changes the update."""
    config, x = NETWORKS[name], torch.rand(6, *NETWORKS[name]["image_shape"], generator=torch.Generator().manual_seed(1))
    cast = autocast_in(torch.device("cpu"), precision)
    results, weights = [], []
    for weight_nll in (0.0, 1.0):
        torch.manual_seed(0)
        learner = method(build_model(config), d=3, bound=2.0, autocast=cast, weight_nll=weight_nll, lr=1e-3)
        results.append(stepped(learner, x))
        weights.append([parameter.detach().clone() for parameter in learner.autoencoder.parameters()])
    plain, likely = results
    assert likely.keys() - plain.keys() == {"L_ml", "agreement"}
    assert all(torch.equal(plain[key], likely[key]) for key in ("L_x", "L_z"))
    assert not any(scalar.requires_grad for scalar in likely.values())
    assert any(not torch.equal(a, b) for a, b in zip(*weights, strict=True))


def test_a_bijection_of_all_dimensions_agrees_with_itself():
    """vᵀ f′ g′ v = ‖v‖² = d for all weights."""
    torch.manual_seed(0)
    learner = method(build_model(BIJECTIONS["inn"]), weight_nll=1.0)
    assert stepped(learner, torch.rand(6, 1, 4, 4))["agreement"].item() == pytest.approx(1, abs=1e-4)


def test_the_image_is_left_as_it_was():
    x = torch.rand(4, 1, 4, 4)
    stepped(method(build_model(CONVOLUTIONAL), weight_nll=1.0), x)
    assert not x.requires_grad


def test_what_has_no_likelihood():
    normed = build_model({"name": "strided", "image_shape": [1, 4, 4], "latent_dim": 3, "channels": [4], "norm": "all"})
    with pytest.raises(UsageError, match="weight_nll needs the Jacobian of each image, and batch norm mixes the images of a mini-batch"):
        method(normed, weight_nll=1.0)
    method(normed)  # without it batch norm is fine
    network = build_model(BIJECTIONS["revnet"])
    with pytest.raises(UsageError, match="weight_nll needs N\\(0, I\\) as prior, not 'diagonal-gaussian'"):
        method(network, prior=DiagonalGaussian(16), weight_nll=1.0)
