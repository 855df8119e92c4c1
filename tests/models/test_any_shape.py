"""Every network takes images of any size, and a margin changes nothing inside it."""

import json
from math import prod

import pytest
import torch

from genrev_cli.models import MODELS, Bijection, build_model
from genrev_cli.models.blocks import most_halvings
from genrev_cli.models.classifier import Classifier
from genrev_cli.models.gan import FAMILIES, build_discriminator
from genrev_cli.models.margin import NO_MARGIN, Margin

SHAPES = [
    (1, 8, 8),
    (3, 8, 8),
    (1, 9, 13),
    (3, 33, 47),
    (1, 28, 28),
    (3, 48, 64),
    (1, 64, 40),
    (3, 96, 96),
    (1, 8, 256),
    (3, 218, 178),
    (3, 255, 256),
    (3, 256, 256),
]
TABLES = {
    "revnet": {"scales": [{"blocks": 1, "hidden": 3}] * 3},
    "inn": {"levels": [{"couplings": 1, "hidden": 3}] * 3, "hidden_dense": 0},
    "dense": {"latent_dim": 4, "hidden": [3]},
    "convolutional": {"latent_dim": 4, "stages": [{"channels": 2, "stride": 2, "padding": [1, 1]}] * 3},
    "strided": {"latent_dim": 4, "channels": [2, 2, 2]},
    "residual": {"latent_dim": 4, "width": 2},
    "infogan": {"latent_dim": 4, "width": 1},
    "sngan": {"latent_dim": 4, "width": 1},
    "sngan-resnet": {"latent_dim": 4, "width": 1},
    "dcgan": {"latent_dim": 4, "width": 1},
    "wgan-resnet": {"latent_dim": 4, "channels": [2, 2, 2, 2]},
    "wgan-qc": {"latent_dim": 4, "width": 2, "most": 2, "stages": 3},
}
every_model = pytest.mark.parametrize("name", MODELS)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "×".join(map(str, shape)))


def table(name, shape):
    return {"name": name, "image_shape": list(shape), **TABLES[name]}


def noised(network):
    """Return the network in float64 and in eval mode, with noise on parameters that start at zero, as an identity would pass every test."""
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return network.double().eval()


def images(shape):
    """Return two images, or one if it is large."""
    n = 1 if max(shape) > 100 else 2
    return torch.rand(n, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_every_model_has_a_table():
    assert TABLES.keys() == MODELS.keys()


@every_shape
@every_model
def test_a_network_takes_images_of_any_shape(name, shape):
    """Encode and decode return the right shapes, bijections invert, and every parameter gets a gradient."""
    torch.manual_seed(0)
    model = noised(build_model(table(name, shape)))
    x = images(shape)
    z = model.encode(x)
    x_hat = model.decode(z)
    assert (z.shape, x_hat.shape) == ((len(x), model.latent_dim), x.shape)
    assert build_model(json.loads(json.dumps(model.config))).config == model.config
    if isinstance(model, Bijection):
        assert model.latent_dim == prod(model.padded_shape) >= prod(shape)
        assert (x_hat - x).abs().max() < 1e-12
    loss = (x - model.decode(z * (torch.arange(z.shape[1]) % 3 > 0))).abs().mean() + z.square().mean()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(loss, list(model.parameters())))


@every_shape
@pytest.mark.parametrize("name", FAMILIES)
def test_a_discriminator_takes_images_of_any_shape(name, shape):
    torch.manual_seed(0)
    D = noised(build_discriminator(table(name, shape), "layer"))
    x = images(shape).requires_grad_()
    scores = D(x)
    assert scores.shape == (len(x),)
    (gradient,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    assert gradient.flatten(1).any(1).all()
    assert all(
        part is None or part.isfinite().all() for part in torch.autograd.grad(gradient.square().sum(), D.parameters(), allow_unused=True)
    )


@every_shape
def test_other_networks_get_a_discriminator(shape):
    with torch.device("meta"):
        D = build_discriminator(table("revnet", shape), "none")
        assert D(torch.empty(2, *shape)).shape == (2,)
        assert sum(parameter.numel() for parameter in D.parameters()) < 20_000_000


@every_shape
def test_a_classifier_takes_images_of_any_shape(shape):
    with torch.device("meta"):
        assert Classifier(shape, 10)(torch.empty(2, *shape)).shape == (2, 10)


@every_shape
@pytest.mark.parametrize("halvings", [1, 2, 4])
def test_a_margin_is_the_smallest_that_divides(shape, halvings):
    x = images(shape)
    for margin in (Margin.centred(shape, halvings), Margin.after(shape, halvings, 0.5)):
        padded = margin.pad(x)
        assert padded.shape[1:] == margin.grown(shape)
        assert all(side % 2**halvings == 0 and 0 <= side - own < 2**halvings for side, own in zip(padded.shape[2:], shape[1:], strict=True))
        assert torch.equal(margin.crop(padded), x)
        outside = padded.sum() - x.sum()
        assert outside.item() == pytest.approx(margin.value * (padded.numel() - x.numel()), abs=1e-6)
        border = images(margin.grown(shape))
        surrounded = margin.surround(x, border)
        assert torch.equal(margin.crop(surrounded), x)
        assert ((surrounded == border) | (surrounded == padded)).all()


def test_no_margin_returns_its_inputs():
    x = images((1, 8, 8))
    assert Margin.centred((1, 8, 8), 3) == NO_MARGIN
    assert not NO_MARGIN
    assert NO_MARGIN.pad(x) is x
    assert NO_MARGIN.crop(x) is x
    assert NO_MARGIN.surround(x, x + 1) is x


@pytest.mark.parametrize(("shape", "most"), [((1, 1, 1), 1), ((1, 7, 5), 3), ((1, 8, 8), 4), ((3, 8, 256), 9)])
def test_most_halvings(shape, most):
    assert most_halvings(shape) == most


def test_the_margin_of_an_inn_is_gray_and_below():
    """The first entries of the latent belong to the first rows of the image, with and without a margin."""
    model = build_model(table("inn", (1, 9, 13)))  # fresh weights are the identity
    x = images((1, 9, 13)).float()[:1]
    z = model.encode(x).view(16, 16)
    assert model.latent_dim == 256
    torch.testing.assert_close(z[:9, :13], x[0, 0], rtol=0, atol=1e-6)
    torch.testing.assert_close(z[9:], torch.full((7, 16), 0.5), rtol=0, atol=1e-6)


def test_without_the_dense_coupling_an_inn_mixes_a_neighbourhood():
    """Each coupling reaches 4 pixels of its map further; the dense coupling reaches everything."""
    shape = (1, 64, 64)
    settings = {"name": "inn", "image_shape": list(shape), "levels": [{"couplings": 1, "hidden": 2}]}
    reached = {}
    for dense in (0, 2):
        torch.manual_seed(0)
        model = noised(build_model({**settings, "hidden_dense": dense}))
        x = images(shape)[:1]
        changed = x.clone()
        changed[0, 0, 32, 32] += 1
        moved = ((model.encode(changed) - model.encode(x)).view(64, 64).abs() > 0).nonzero()
        reached[dense] = (moved - 32).abs().max().item()
    assert 2 < reached[0] <= 2 * 4 + 1
    assert reached[2] == 32
    with_dense, without = (build_model({**settings, "hidden_dense": dense}).parameter_count() for dense in (2, 0))
    assert with_dense - without > 4 * 2 * 64 * 64
