"""The classical baselines (Nguyen, Ardizzone & Köthe 2019, section 3.1): their layers one by one, and settings that are refused."""

import pytest
import torch
from torch import nn

from genrev_cli.errors import UsageError
from genrev_cli.models import build_model


def model_of(name, image_shape, latent_dim, **layers):
    torch.manual_seed(0)
    return build_model({"name": name, "image_shape": list(image_shape), "latent_dim": latent_dim, **layers})


def kinds(layers):
    return [type(layer).__name__ for layer in layers]


def widths(layers):
    return [(layer.in_features, layer.out_features) for layer in layers if isinstance(layer, nn.Linear)]


def test_dense_is_mirrored():
    """There is a ReLU between all linear layers, none on the code, and a tanh on the pixels."""
    model = model_of("dense", (1, 4, 5), 3, hidden=[16, 8])
    assert widths(model.encoder) == [(20, 16), (16, 8), (8, 3)]
    assert widths(model.decoder) == [(3, 8), (8, 16), (16, 20)]
    assert kinds(model.encoder) == kinds(model.decoder) == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert (model.encode(torch.rand(100, 1, 4, 5)) < 0).any()
    x_hat = model.decode(100 * torch.randn(100, 3))
    assert x_hat.abs().max() <= 1
    assert x_hat.min() < -0.9


@pytest.mark.parametrize(
    ("name", "layers"), [("dense", {"hidden": [400]}), ("convolutional", {"stages": [{"channels": 4}]})], ids=["dense", "convolutional"]
)
def test_linear_layers_start_xavier_uniform_with_biases_of_one_hundredth(name, layers):
    model = model_of(name, (1, 10, 10), 50, **layers)
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            bound = (6 / (layer.in_features + layer.out_features)) ** 0.5
            assert 0.98 * bound < layer.weight.abs().max() <= bound
            assert (layer.bias == torch.tensor(0.01)).all()


def test_convolutional_is_mirrored():
    """The output shape of each encoder stage is the input shape of its mirror in the decoder."""
    stages = [{"channels": 4, "kernel": 4, "stride": 2, "padding": [1, 0]}, {"channels": 6, "pool": True}]
    model = model_of("convolutional", (3, 17, 15), 5, stages=stages)
    down = ["Conv2d", "ReLU", "Conv2d", "ReLU", "MaxPool2d", "Flatten", "Linear"]
    up = ["Linear", "ReLU", "Unflatten", "Upsample", "ConvTranspose2d", "ReLU", "ConvTranspose2d"]
    assert (kinds(model.encoder), kinds(model.decoder)) == (down, up)

    def shapes(layers, x):
        return [tuple((x := layer(x)).shape[1:]) for layer in layers]

    going = shapes(model.encoder, torch.rand(1, 3, 17, 15))
    coming = shapes(model.decoder, torch.rand(1, 5))
    assert going == [(4, 8, 6), (4, 8, 6), (6, 6, 4), (6, 6, 4), (6, 3, 2), (36,), (5,)]
    assert coming == [(36,), (36,), (6, 3, 2), (6, 6, 4), (4, 8, 6), (4, 8, 6), (3, 17, 15)]
    assert model.decode(100 * torch.randn(10, 5)).abs().max() <= 1


@pytest.mark.parametrize(
    ("name", "layers", "said"),
    [
        ("dense", {"hidden": [4, 0]}, "must be positive"),
        ("dense", {}, "key 'hidden' is missing"),
        ("convolutional", {"stages": []}, "0 stages"),
        ("convolutional", {"stages": [{"channels": 0}]}, "channels, kernel and stride must be positive"),
        ("convolutional", {"stages": [{"channels": 2, "padding": [0, -1]}]}, "padding not negative"),
        ("convolutional", {"stages": [{"channels": 2, "kernel": 9}]}, "no pixels of 8×8 are left after Stage"),
        ("convolutional", {"stages": [{"channels": 2, "pool": True}] * 3}, "no pixels of 3×3 are left"),
    ],
)
def test_bad_configs(name, layers, said):
    with pytest.raises(UsageError, match=said):
        model_of(name, (1, 8, 8), 3, **layers)


@pytest.mark.parametrize("name", ["dense", "convolutional"])
def test_latent_dim_is_required(name):
    with pytest.raises(UsageError, match="latent_dim"):
        build_model({"name": name, "image_shape": [1, 8, 8], "hidden": [4], "stages": [{"channels": 2}]} | {"latent_dim": 0})
