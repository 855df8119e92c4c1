"""The networks of perceptual and Wasserstein autoencoders: layers, sizes, the posterior, and settings that are refused."""

import math

import pytest
import torch
from torch import nn

from genrev_cli.config import read_recipe
from genrev_cli.errors import UsageError
from genrev_cli.models import build_model
from genrev_cli.models.blocks import Spread

FACES = {"name": "strided", "image_shape": [3, 16, 16], "latent_dim": 5, "channels": [2, 4, 6, 8]}


def model_of(**settings):
    torch.manual_seed(0)
    return build_model({**FACES, **settings})


def norms(module):
    """Return, for each convolution or linear layer with a rectifier after it, whether batch norm lies between."""
    kinds = [
        layer
        for layer in module.modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.BatchNorm2d | nn.BatchNorm1d)
    ]
    is_norm = [isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d) for layer in kinds] + [False]
    return [is_norm[i + 1] for i in range(len(kinds)) if not is_norm[i]]


# From the authors' code: the layers with batch norm, from the input on. The last layer of a decoder has none.
@pytest.mark.parametrize(
    ("channels", "dense", "encoder", "decoder"),
    [
        ([2, 4], 8, [False, True, True], [False, True, False, False]),  # MNIST, if batch norm is on
        ([2, 4, 6], 0, [False, True, True], [False, True, False, False]),  # 32×32
        ([2, 4, 6, 8], 0, [False, False, True, True], [False, True, True, False, False]),  # 64×64
    ],
)
def test_inner_layers_are_normalised_as_published(channels, dense, encoder, decoder):
    model = model_of(channels=channels, dense=dense, norm="inner")
    assert norms(model.features) == encoder
    assert norms(model.decoder) == decoder
    plain = model_of(channels=channels, dense=dense)
    assert not any(norms(plain.features) + norms(plain.decoder))


def test_all_layers_are_normalised_and_the_decoder_starts_at_twice_the_size():
    """The Wasserstein autoencoder has 4 convolutions down to 1×1, linear to 2×2, three up, and one of stride 1."""
    model = model_of(norm="all", slope=0.0, last_stride=1)
    assert all(norms(model.features))
    assert norms(model.decoder) == [True] * 4 + [False]
    assert model.decoder[0].out_features == 8 * 2 * 2
    assert model.decoder[-1].stride == (1, 1)
    assert model.decode(torch.randn(2, 5)).shape == (2, 3, 16, 16)


@pytest.mark.parametrize(
    ("recipe", "shape", "count"),
    [
        ("lpga-mnist", (1, 28, 28), 13_291_021),
        ("vpga-mnist", (1, 28, 28), 13_364_801),
        ("lpga-cifar10", (3, 32, 32), 3_111_555),
        ("vpga-celeba64", (3, 64, 64), 11_767_939),
        ("wae-mmd-celeba64", (3, 64, 64), 39_676_227),
    ],
)
def test_parameter_counts_of_the_recipes(recipe, shape, count):
    tables = read_recipe(recipe)
    with torch.device("meta"):
        model = build_model({**tables["model"], "image_shape": list(shape), "latent_dim": tables["prior"]["dim"]})
    assert model.parameter_count() == count


@pytest.mark.parametrize("name", ["strided", "residual"])
def test_the_posterior_starts_narrow_and_its_mean_is_the_code(name):
    table = FACES if name == "strided" else {"name": "residual", "image_shape": [3, 16, 16], "latent_dim": 5, "width": 4}
    torch.manual_seed(0)
    model, x = build_model({**table, "variational": True}).eval(), torch.rand(6, 3, 16, 16)
    mean, log_variance = model.posterior(x)
    assert torch.equal(mean, model.encode(x))
    assert model.log_variance.bias.tolist() == pytest.approx([2 * math.log(0.1)] * 5)
    assert log_variance.mean().item() == pytest.approx(2 * math.log(0.1), abs=2)
    assert build_model(model.config).config == model.config


def test_without_a_variance_there_is_no_posterior():
    with pytest.raises(UsageError, match="has no variance of codes"):
        model_of().posterior(torch.rand(1, 3, 16, 16))


def test_pixels_are_in_the_unit_interval():
    x_hat = model_of().decode(100 * torch.randn(50, 5))
    assert x_hat.min() >= 0
    assert x_hat.max() <= 1
    assert x_hat.max() - x_hat.min() > 0.9


def test_spread_puts_zeros_between_pixels():
    spread = Spread()(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
    assert spread[0, 0].tolist() == [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("norm", [False, True])
def test_the_residual_network_has_the_published_blocks(norm):
    """The encoder goes down to a quarter of the sides; the decoder goes up from an eighth, with 4w channels; batch norm is optional."""
    torch.manual_seed(0)
    model = build_model({"name": "residual", "image_shape": [3, 16, 16], "latent_dim": 5, "width": 4, "norm": norm})
    assert model.features(torch.rand(2, 3, 16, 16)).shape == (2, 4 * 4 * 4)
    assert model.decoder[0].out_features == 16 * 2 * 2
    assert any(norms(model)) == norm
    assert model.decode(model.encode(torch.rand(2, 3, 16, 16))).shape == (2, 3, 16, 16)


@pytest.mark.parametrize("table", [{**FACES, "norm": "all"}, {"name": "residual", "image_shape": [3, 16, 16], "width": 4, "norm": True}])
@pytest.mark.parametrize(("settings", "eps"), [({}, 1e-5), ({"norm_eps": 1e-3}, 1e-3)])
def test_the_eps_of_batch_norm(table, settings, eps):
    """Every layer has it, older tables without the key keep torch's, and the first layer computes x̂ = (x − μ)/√(σ² + ε)."""
    torch.manual_seed(0)
    model = build_model({**table, "latent_dim": 5, **settings})
    layers = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert len(layers) > 3
    assert {layer.eps for layer in layers} == {eps}
    assert build_model(model.config).config == model.config
    x = 0.01 * torch.randn(6, layers[0].num_features, 4, 4)
    expected = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), correction=0, keepdim=True) + eps).sqrt()
    torch.testing.assert_close(layers[0](x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["lpga", "vpga", "lvpga", "vae"])
@pytest.mark.parametrize("data", ["cifar10", "celeba64"])
def test_recipes_with_the_networks_of_pga_have_the_authors_eps(family, data):
    assert read_recipe(f"{family}-{data}")["model"]["norm_eps"] == 1e-3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"norm_eps": 0.0}, "norm_eps = 0.0; must be above 0"),
        ({"kernel": 4}, "kernel 4 must be odd"),
        ({"norm": "batch"}, "choose none, inner, all"),
        ({"last_stride": 3}, "last_stride 3"),
        ({"channels": []}, "smallest of channels = 0"),
        ({"image_shape": [3, 5, 7]}, "strided: images of 5×7 pixels cannot be halved 4 times; use fewer halvings"),
        ({"latent_dim": 0}, "latent_dim = 0"),
    ],
)
def test_settings_that_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        model_of(**settings)
