"""What every autoencoder of the registry must keep, and the paper's numbers for its own networks."""

import json

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck
from torch.func import functional_call

from genrev_cli.config import read_recipe
from genrev_cli.errors import UsageError
from genrev_cli.models import MODELS, build_model


def revnet(image_shape, *scales):
    scales = [dict(zip(("blocks", "hidden", "kernel"), scale, strict=True)) for scale in scales]
    return {"name": "revnet", "image_shape": list(image_shape), "scales": scales}


# name → (configs that the mathematics is tested on, a tiny one for finite differences)
CONFIGS = {
    "revnet": (
        [
            revnet((3, 32, 32), (2, 25, 3), (2, 50, 3), (2, 50, 3), (1, 60, 1)),  # CelebA's, smaller
            revnet((1, 28, 28), (2, 10, 3), (2, 20, 3), (1, 20, 3), (1, 20, 1)),  # MNIST's: padded to 32
            revnet((2, 5, 7), (1, 6, 3), (1, 6, 5)),  # padded by odd numbers
            revnet((1, 2, 2), (0, 1, 1)),  # no coupling at all
        ],
        revnet((1, 4, 4), (1, 2, 3), (1, 2, 1)),
    )
}
every_config = pytest.mark.parametrize(
    "config", [config for configs, _ in CONFIGS.values() for config in configs], ids=lambda c: str(c["image_shape"])
)
every_model = pytest.mark.parametrize("name", MODELS)


def built(config, dtype=torch.float32, device="cpu"):
    torch.manual_seed(0)
    return build_model(config).to(device, dtype)


def images(model, n=4, dtype=torch.float32, device="cpu"):
    return torch.rand(n, *model.image_shape, dtype=dtype, generator=torch.Generator().manual_seed(1)).to(device)


def loss(model, x):
    """Through both directions, like training: a latent with a part removed is decoded."""
    z = model.encode(x)
    return (x - model.decode(z * (torch.arange(z.shape[1], device=z.device) % 3 > 0))).abs().mean() + z.square().mean()


def gradients(model, x, **options):
    return torch.autograd.grad(loss(model, x), list(model.parameters()), **options)


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
    assert model.latent_dim >= x[0].numel()
    if model.bijective:
        assert (model.decode(z) - x).abs().max() < bound
        other = torch.randn_like(z)
        padded = model.latent_dim > x[0].numel()  # the border that the decoder crops is lost
        assert padded or (model.encode(model.decode(other)) - other).abs().max() < 10 * bound


@every_config
def test_bfloat16_networks_keep_the_streams_in_float32(config, device):
    model = built(config, device=device)
    x = images(model, device=device)
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
        z = model.encode(x)
        x_hat = model.decode(z)
    assert z.dtype == x_hat.dtype == torch.float32
    assert (x_hat - x).abs().mean() < 1e-3
    if list(model.parameters()):
        assert not torch.equal(z, model.encode(x)), "autocast did nothing"


@every_config
def test_images_of_a_batch_do_not_meet(config):
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
    again = build_model(json.loads(json.dumps(model.config)))
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
    model = built(CONFIGS[name][0][0])
    assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients(model, images(model)))


@every_model
def test_backward_twice(name):
    """`retain_graph` and `torch.autograd.grad` work, and give what `backward` gives."""
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
    x = images(model)
    z = model.train().encode(x)
    assert torch.equal(model.eval().encode(x), z)


class Direction(nn.Module):
    """One direction of a model as a forward pass."""

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
    ],
)
def test_parameter_counts(recipe, image_shape, parameters, latent_dim):
    """Figure 4, and the authors' MNIST network."""
    with torch.device("meta"):
        model = build_model({**read_recipe(recipe)["model"], "image_shape": list(image_shape)})
    assert model.parameter_count() == parameters
    assert model.latent_dim == latent_dim


def test_initialisation():
    """Xavier-uniform weights with gain 1, i.e. within ±√(6 / (fan_in + fan_out)), and zero biases (A1)."""
    model = built(revnet((3, 8, 8), (1, 50, 3)))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert (parameter == 0).all()
        else:
            bound = (6 / (9 * (50 + 6))) ** 0.5
            assert 0.98 * bound < parameter.abs().max() <= bound
            assert parameter.var().item() == pytest.approx(bound**2 / 3, rel=0.1)


def test_padding_is_cropped():
    """28 → 32: two zeros on every side go into the latent, and the decoder takes them off again."""
    scales = [(0, 1, 1)] * 4
    model = build_model(revnet((1, 28, 28), *scales))
    x = images(model) + 1
    z = model.encode(x)
    assert z.shape == (4, 1024)
    assert (z == 0).sum(dim=1).tolist() == [1024 - 784] * 4
    padded = build_model(revnet((1, 32, 32), *scales)).decode(z)
    assert torch.equal(padded[:, :, 2:30, 2:30], x)
    assert torch.equal(model.decode(z), x)


def test_coupling_is_the_equation():
    """y₁ = x₁ + F(x₂), y₂ = x₂ + G(y₁) with F, G by hand (eq. 1)."""
    from genrev_cli.models.invertible import AdditiveCoupling

    class Times(nn.Module):
        def __init__(self, factor):
            super().__init__()
            self.factor = factor

        def forward(self, x):
            return self.factor * x

    coupling = AdditiveCoupling(Times(2.0), Times(10.0))
    assert coupling((torch.tensor(1.0), torch.tensor(3.0))) == (7.0, 73.0)
    assert coupling.inverse((torch.tensor(7.0), torch.tensor(73.0))) == (1.0, 3.0)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "name = None is unknown; there is revnet"),
        ({"name": "renvet"}, "name = 'renvet' is unknown"),
        ({"name": "revnet", "image_shape": [1, 8, 8]}, "key 'scales' is missing"),
        (revnet((1, 8, 8)), "at least one scale is needed"),
        (revnet((0, 8, 8), (1, 8, 3)), "is no network"),
        (revnet((1, 8), (1, 8, 3)), "image_shape: 3 values are needed, not 2"),
        (revnet((1, 8, 8), (-1, 8, 3)), "blocks ≥ 0"),
        (revnet((1, 8, 8), (1, 0, 3)), "hidden ≥ 1"),
        (revnet((1, 8, 8), (1, 8, 2)), "odd kernel"),
        (revnet((1, 8, 8), (1, 8, -1)), "odd kernel"),
        (revnet((1, 8, 8), *[(1, 8, 3)] * 5), "5 scales are too many for images of 8×8"),
        ({**revnet((1, 8, 8), (1, 8, 3)), "scale": 1}, "unknown key 'scale'; did you mean 'scales'?"),
        (
            {"name": "revnet", "image_shape": [1, 8, 8], "scales": [{"blocks": 1, "hiden": 8}]},
            "unknown key 'hiden'; did you mean 'hidden'?",
        ),
    ],
)
def test_bad_configs(config, said):
    with pytest.raises(UsageError, match=said.replace("?", r"\?")):
        build_model(config)
