"""Properties that every registered autoencoder must have, and the papers' numbers for their own networks."""

import json

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck
from torch.func import functional_call

from genrev_cli.config import read_recipe
from genrev_cli.models import MODELS, Bijection, build_model, sized


def revnet(image_shape, *scales):
    scales = [dict(zip(("blocks", "hidden", "kernel"), scale, strict=True)) for scale in scales]
    return {"name": "revnet", "image_shape": list(image_shape), "scales": scales}


def inn(image_shape, *levels, dense=5, clamp=1.0):
    levels = [dict(zip(("couplings", "hidden"), level, strict=True)) for level in levels]
    return {"name": "inn", "image_shape": list(image_shape), "levels": levels, "hidden_dense": dense, "clamp": clamp}


def classical(name, image_shape, latent_dim, **layers):
    return {"name": name, "image_shape": list(image_shape), "latent_dim": latent_dim, **layers}


def stages(*rows):
    return [dict(zip(("channels", "kernel", "stride", "padding", "pool"), row, strict=True)) for row in rows]


# name → (configs for tests of the mathematics, a tiny one for finite differences)
CONFIGS = {
    "revnet": (
        [
            revnet((3, 32, 32), (2, 25, 3), (2, 50, 3), (2, 50, 3), (1, 60, 1)),  # CelebA's, smaller
            revnet((1, 28, 28), (2, 10, 3), (2, 20, 3), (1, 20, 3), (1, 20, 1)),  # MNIST's: padded to 32
            revnet((2, 5, 7), (1, 6, 3), (1, 6, 5)),  # padded by odd numbers
            revnet((1, 2, 2), (0, 1, 1)),  # no coupling at all
        ],
        revnet((1, 4, 4), (1, 2, 3), (1, 2, 1)),
    ),
    "inn": (
        [
            inn((1, 28, 28), (3, 10), dense=18),  # MNIST's, narrower
            inn((3, 12, 8), (2, 6), (1, 8), clamp=2.0),  # CelebA's, smaller
            inn((3, 9, 13), (1, 6), (1, 8), dense=0),  # padded, without the dense coupling
            inn((2, 2, 2), (0, 1)),  # only the dense coupling
        ],
        inn((1, 4, 4), (1, 1), (0, 1), dense=1),
    ),
    "dense": (
        [classical("dense", (1, 28, 28), 12, hidden=[64, 32]), classical("dense", (3, 4, 6), 5, hidden=[])],
        classical("dense", (1, 2, 2), 2, hidden=[5]),
    ),
    "convolutional": (
        [
            classical("convolutional", (3, 32, 32), 9, stages=stages((4, 3, 1, [0, 0], False), (8, 3, 1, [0, 0], True))),  # CIFAR-10's
            classical("convolutional", (3, 27, 22), 7, stages=stages((6, 4, 2, [0, 1], False), (9, 4, 2, [1, 0], True))),  # odd sides
        ],
        classical("convolutional", (1, 5, 4), 2, stages=stages((2, 2, 1, [0, 0], True))),
    ),
    "strided": (
        [
            classical("strided", (1, 28, 28), 7, channels=[3, 4], dense=9),  # MNIST's, narrower
            classical("strided", (3, 32, 16), 5, channels=[2, 3, 4], norm="inner", variational=True),
            classical("strided", (3, 16, 16), 5, channels=[2, 3, 4, 5], norm="all", slope=0.0, last_stride=1),  # WAE's
        ],
        classical("strided", (1, 4, 4), 2, channels=[1], kernel=3),
    ),
    "residual": ([classical("residual", (3, 32, 16), 5, width=4)], classical("residual", (1, 8, 8), 2, width=1)),
    "infogan": ([classical("infogan", (1, 28, 28), 7, width=4)], classical("infogan", (1, 4, 4), 2, width=1)),
    "sngan": ([classical("sngan", (3, 32, 24), 9, width=4)], classical("sngan", (1, 8, 8), 2, width=1)),
    "sngan-resnet": ([classical("sngan-resnet", (3, 24, 32), 9, width=4)], classical("sngan-resnet", (1, 8, 8), 2, width=1)),
    "dcgan": ([classical("dcgan", (3, 64, 64), 9, width=4)], classical("dcgan", (1, 4, 4), 2, width=1, stages=2)),
    "wgan-resnet": (
        [classical("wgan-resnet", (3, 64, 32), 9, channels=[8, 4])],
        classical("wgan-resnet", (1, 4, 4), 2, channels=[2, 1]),
    ),
    "wgan-qc": (
        [classical("wgan-qc", (3, 32, 16), 9, width=4, most=8, stages=2)],
        classical("wgan-qc", (1, 4, 4), 2, width=1, most=2, stages=1, blocks=1),
    ),
}
every_config = pytest.mark.parametrize(
    "config", [config for configs, _ in CONFIGS.values() for config in configs], ids=lambda c: str(c["image_shape"])
)
every_model = pytest.mark.parametrize("name", MODELS)
every_bijection = pytest.mark.parametrize(
    "name", [name for name, (_, made) in MODELS.items() if isinstance(made, type) and issubclass(made, Bijection)]
)


def built(config, dtype=torch.float32, device="cpu"):
    """Build a network in eval mode, with a little noise on parameters that start at zero: an identity would pass every test."""
    torch.manual_seed(0)
    model = build_model(config)
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    return model.to(device, dtype).eval()


def images(model, n=4, dtype=torch.float32, device="cpu"):
    return torch.rand(n, *model.image_shape, dtype=dtype, generator=torch.Generator().manual_seed(1)).to(device)


def loss(model, x):
    """Compute a loss through both directions, as in training: decode a latent of which a part is removed."""
    z = model.encode(x)
    return (x - model.decode(z * (torch.arange(z.shape[1], device=z.device) % 3 > 0))).abs().mean() + z.square().mean()


def coding(model):
    """Return the parameters that `encode` and `decode` use."""
    return [parameter for module in model.coding_modules() for parameter in module.parameters()]


def gradients(model, x, **options):
    return torch.autograd.grad(loss(model, x), coding(model), **options)


def test_every_model_is_tested():
    assert CONFIGS.keys() == MODELS.keys()


@every_config
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_round_trip(config, device, dtype, bound):
    model = built(config, dtype, device)
    x = images(model, dtype=dtype, device=device)
    z = model.encode(x)
    assert z.shape == (4, model.latent_dim)
    assert model.decode(z).shape == x.shape
    assert model.bijective == isinstance(model, Bijection) == (model.latent_dim >= x[0].numel())
    if model.bijective:
        assert (model.decode(z) - x).abs().max() < bound
        other = torch.randn_like(z)
        padded = model.latent_dim > x[0].numel()  # the decoder crops the border
        assert padded or (model.encode(model.decode(other)) - other).abs().max() < 10 * bound


@every_config
def test_bfloat16_networks_keep_the_streams_in_float32(config, device):
    model = built(config, device=device)
    x = images(model, device=device)
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
        z = model.encode(x)
        x_hat = model.decode(z)
    assert z.dtype == x_hat.dtype == torch.float32
    assert not model.bijective or (x_hat - x).abs().mean() < 1e-3
    if list(model.parameters()):
        assert not torch.equal(z, model.encode(x)), "autocast did nothing"


@every_config
def test_bfloat16_gradients_are_near(config, device):
    """Gradients agree within 10 % in norm: a few layers round to 8 bits of mantissa, and some ReLUs switch sides."""
    model = built(config, device=device)
    if not list(model.parameters()):
        pytest.skip("the network has no parameters")
    x = images(model, device=device)
    full = torch.cat([gradient.flatten() for gradient in gradients(model, x)])
    with torch.autocast(device.type, torch.bfloat16):
        value = loss(model, x)
    half = torch.cat([gradient.flatten() for gradient in torch.autograd.grad(value, coding(model))])
    assert half.dtype == torch.float32
    assert half.isfinite().all()
    assert 0 < (half - full).norm() < 0.1 * full.norm()


@every_bijection
def test_log_determinants(name):
    """They equal those of autograd's Jacobian; the decoder's are minus the encoder's; computing them changes no value."""
    model = built(CONFIGS[name][1], torch.float64)
    x = images(model, 3, torch.float64)
    z, encoded = model.encode_log_det(x)
    x_hat, decoded = model.decode_log_det(z)
    assert torch.equal(z, model.encode(x))
    assert torch.equal(x_hat, model.decode(z))
    jacobians = torch.func.vmap(torch.func.jacrev(lambda image: model.encode(image[None])[0]))(x).flatten(2)
    torch.testing.assert_close(encoded, torch.linalg.slogdet(jacobians).logabsdet, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(decoded, -encoded, rtol=1e-11, atol=1e-11)


@every_config
def test_log_determinants_of_both_directions(config):
    model = built(config, torch.float64)
    if not model.bijective:
        pytest.skip("it has no log-determinant")
    z, encoded = model.encode_log_det(images(model, dtype=torch.float64))
    _, decoded = model.decode_log_det(z)
    assert encoded.shape == decoded.shape == (4,)
    torch.testing.assert_close(decoded, -encoded, rtol=1e-11, atol=1e-11)


@every_config
def test_images_of_a_batch_do_not_affect_each_other(config):
    model = built(config, torch.float64)
    x = images(model, dtype=torch.float64)
    torch.testing.assert_close(model.encode(x), torch.cat([model.encode(image[None]) for image in x]), rtol=1e-12, atol=1e-12)


@every_config
def test_inputs_are_not_modified(config):
    model = built(config)
    for of, tensor in ((model.encode, images(model)), (model.decode, torch.randn(4, model.latent_dim))):
        for needs_gradient in (False, True):
            before = tensor.clone()
            of(tensor.requires_grad_(needs_gradient)).sum().backward() if needs_gradient else of(tensor)
            assert torch.equal(tensor, before)


@every_config
def test_rebuilt_from_its_config(config):
    model = built(config)
    again = build_model(json.loads(json.dumps(model.config))).eval()
    assert again.config == model.config
    again.load_state_dict(model.state_dict())
    x = images(model)
    assert torch.equal(again.encode(x), model.encode(x))


@every_config
def test_meta_device(config):
    with torch.device("meta"):
        model = build_model(config)
    assert all(tensor.is_meta for tensor in model.state_dict().values())
    assert model.parameter_count() == built(config).parameter_count()
    x = torch.empty(2, *model.image_shape, device="meta")
    assert model.decode(model.encode(x)).shape == x.shape


@every_model
def test_trains_on_images_that_need_no_gradient(name):
    model = built(CONFIGS[name][0][0]).train()
    assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients(model, images(model)))


@every_model
def test_backward_twice(name):
    """`retain_graph` and `torch.autograd.grad` work, and give the same gradients as `backward`."""
    model = built(CONFIGS[name][0][0])
    x = images(model).requires_grad_()
    value, inputs = loss(model, x), [x, *model.parameters()]
    first = torch.autograd.grad(value, inputs, retain_graph=True)
    second = torch.autograd.grad(value, inputs, retain_graph=True)
    value.backward()
    for a, b, tensor in zip(first, second, inputs, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, tensor.grad)


@every_model
def test_train_and_eval_agree(name):
    model = built(CONFIGS[name][0][0])
    if any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in model.modules()):
        pytest.skip("the network has batch norm")
    x = images(model)
    z = model.train().encode(x)
    assert torch.equal(model.eval().encode(x), z)


class Direction(nn.Module):
    """One direction of a model as a module."""

    def __init__(self, model, direction):
        super().__init__()
        self.model, self.direction = model, direction

    def forward(self, x):
        return getattr(self.model, self.direction)(x)


@every_model
@pytest.mark.parametrize("direction", ["encode", "decode"])
def test_gradients_by_finite_differences(name, direction):
    model = built(CONFIGS[name][1], torch.float64)
    call = Direction(model, direction)
    names, parameters = zip(*call.named_parameters(), strict=True)
    x = images(model, 2, torch.float64) if direction == "encode" else model.encode(images(model, 2, torch.float64)).detach()
    assert gradcheck(
        lambda x, *values: functional_call(call, dict(zip(names, values, strict=True)), (x,)), (x.requires_grad_(), *parameters)
    )


@pytest.mark.parametrize(
    ("recipe", "image_shape", "parameters", "latent_dim"),
    [
        ("grn-celeba64", (3, 64, 64), 60_409_572, 12_288),
        ("grn-mnist", (1, 28, 28), 2_108_180, 1024),
        ("grn-digits", (1, 8, 8), 150_440, 64),
        ("inn-mnist", (1, 28, 28), 1_121_192, 784),
        ("inn-cifar10", (3, 32, 32), 13_235_176, 3072),
        ("inn-celeba", (3, 156, 128), 50_070_152, 59_904),
        ("classic-mnist", (1, 28, 28), 1_136_156, 12),
        ("classic-1024-mnist", (1, 28, 28), 5_831_452, 12),
        ("classic-2048-mnist", (1, 28, 28), 20_050_716, 12),
        ("classic-deep-mnist", (1, 28, 28), 7_930_652, 12),
        ("classic-cifar10", (3, 32, 32), 18_079_279, 300),
        ("classic-celeba", (3, 218, 178), 67_900_463, 300),
    ],
)
def test_parameter_counts(recipe, image_shape, parameters, latent_dim):
    """Figure 4 of Schirrmeister et al. 2018 and their MNIST network; section 3.1 of Nguyen et al. 2019."""
    tables = read_recipe(recipe)
    with torch.device("meta"):
        model = build_model({**sized(tables["model"], tables["prior"]["dim"]), "image_shape": list(image_shape)})
        assert model.decode(model.encode(torch.empty(2, *image_shape))).shape == (2, *image_shape)
    assert model.parameter_count() == parameters
    assert model.latent_dim == latent_dim


def test_sized():
    """`sized` adds `latent_dim` to tables that take it and do not set it, and to no others."""
    assert sized({"name": "dense", "hidden": [2]}, 3) == {"name": "dense", "hidden": [2], "latent_dim": 3}
    for table, dim in (({"name": "dense", "latent_dim": 4}, 3), ({"name": "dense"}, 0), ({"name": "inn"}, 3), ({"name": "x"}, 3), ({}, 3)):
        assert sized(table, dim) == table
