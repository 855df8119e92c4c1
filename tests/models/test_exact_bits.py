"""Streams on a grid (`exact_bits`): the inverse has no error at all."""

import math

import pytest
import torch
from memory_cases import built, gradient, images, loss, relative, revnet

from genrev_cli.errors import UsageError
from genrev_cli.models import build_model
from genrev_cli.models.invertible import AdditiveCoupling, to_grid

DEEP = ((3, 16, 16), (4, 9, 3), (4, 12, 3), (4, 10, 3), (2, 20, 1))


def exact(bits=16, **options):
    return built(revnet(*DEEP, exact_bits=bits), **options)


def autocast(enabled):
    return torch.autocast("cpu", torch.bfloat16, enabled=enabled)


@pytest.mark.parametrize("bits", [8, 16, 22])
def test_to_grid(bits):
    """`to_grid` returns the nearest multiple of 2^−K, halves to even, as exact arithmetic does; its gradient is that of the identity."""
    x = torch.randn(1000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    q = to_grid(x, bits)
    assert torch.equal(q * 2**bits, (x * 2**bits).round())
    assert (q - x).abs().max() <= 2.0 ** -(bits + 1)
    assert torch.equal(to_grid(q, bits), q)
    assert torch.equal(to_grid(x.float(), bits).double() * 2**bits % 1, torch.zeros_like(x))
    step = 2.0**-bits
    halves = torch.tensor([0.5, 1.5, -0.5, -1.5]) * step
    assert (to_grid(halves, bits) / step).tolist() == [0, 2, 0, -2]
    leaf = x.clone().requires_grad_()
    to_grid(leaf, bits).square().sum().backward()
    assert torch.equal(leaf.grad, 2 * q)


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize(("gain", "bits"), [(1.0, 16), (1.5, 12)])
def test_the_inverse_has_no_error(bfloat16, gain, bits):
    model, off = exact(bits, gain=gain), built(revnet(*DEEP), gain=gain)
    x = images(model, 64)
    snapped = (x * 2**bits).round() / 2**bits
    with torch.no_grad(), autocast(bfloat16):
        z = model.encode(x)
        assert torch.equal(model.decode(z), snapped)
        assert not torch.equal(off.decode(off.encode(x)), x)
    assert model.take_largest() < model.grid_range
    assert torch.equal(z * 2**bits, (z * 2**bits).round())


def test_another_batch_size():
    """A library may use another kernel for another batch size. Then the branches and the images differ by rounding."""
    model = exact()
    x = images(model, 64)
    with torch.no_grad():
        z = model.encode(x)
        for size in (1, 32):
            decoded = torch.cat([model.decode(part) for part in z.split(size)])
            assert (decoded - to_grid(x, 16)).abs().max() < 1e-3
            assert torch.equal(to_grid(decoded, 16), decoded)


def test_latents_are_rounded_to_the_grid():
    """A mean or a sample lies between grid points; decoding and encoding it gives the nearest grid point."""
    model = exact()
    z = torch.randn(4, model.latent_dim, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert torch.equal(model.encode(model.decode(z)), to_grid(z, 16))


@pytest.mark.parametrize("bfloat16", [False, True])
def test_reversible_training_is_exact(bfloat16):
    """The inputs are recomputed to the bit, so the gradients are those of plain autograd at the same points."""
    x = images(exact(), 16)
    model = exact(memory="reversible")

    def of(model, x):
        with autocast(bfloat16):
            return loss(model, x)

    found = gradient(model, x, of)
    assert model.take_roundtrip() == 0
    assert relative(found, gradient(exact(), x, of)) < (5e-3 if bfloat16 else 1e-6)


@pytest.mark.parametrize("memory", ["plain", "reversible", "checkpoint"])
def test_every_parameter_gets_a_gradient(memory):
    """Rounding has zero gradient of its own, so the straight-through gradient must reach all of them."""
    model, off = exact(memory=memory), built(revnet(*DEEP))
    x = images(model)
    assert relative(gradient(model, x), gradient(off, x)) < 0.05
    x.requires_grad_()
    assert relative(gradient(model, x, inputs=[x]), gradient(off, x, inputs=[x])) < 0.05


def test_streams_beyond_the_range_are_reported():
    """With K = 22 sums above 2^(24 − 22) = 4 are rounded, and `take_largest` shows it."""
    model = exact(22, gain=2.0)
    assert model.grid_range == 4.0
    x = images(model)
    with torch.no_grad():
        error = (model.decode(model.encode(x)) - to_grid(x, 22)).abs().max()
    assert error > 0
    assert model.take_largest() > model.grid_range
    assert model.take_largest() is None


def test_largest_stream_by_hand():
    coupling = AdditiveCoupling(torch.nn.Identity(), torch.nn.Identity(), exact_bits=8)
    a, b = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5, -3.0]])
    coupling((a, b))  # (1.5, −5), (2, −8)
    coupling((b, b))  # (1, −6), (1.5, −9)
    coupling((a, b))
    assert coupling.take_largest() == 9
    assert coupling.take_largest() is None
    coupling.inverse((a, b))  # x₂ = (−0.5, −1), x₁ = (1.5, −1)
    assert coupling.take_largest() == 1.5
    for a in (torch.tensor([[float("nan"), 1.0]]), torch.ones(1, 2)):
        coupling((a, b))
    assert coupling.take_largest().isnan()


def test_nothing_is_recorded_without_exact_bits():
    model = built("revnet")
    model.encode(images(model))
    assert model.take_largest() is None
    assert model.grid_range == math.inf
    inn = built("inn")
    inn.encode(images(inn))
    assert inn.take_largest() is None


def test_functorch_leaves_nothing_behind():
    """The recorded maximum is a plain tensor; the straight-through Jacobian has determinant 1."""
    model = built(revnet((1, 4, 4), (1, 2, 3), exact_bits=16), dtype=torch.float64)
    x = images(model, 3, torch.float64)
    jacobians = torch.func.vmap(torch.func.jacrev(lambda image: model.encode(image[None])[0]))(x).flatten(2)
    torch.testing.assert_close(torch.linalg.slogdet(jacobians).logabsdet, torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-12)
    seen = model.take_largest()
    model.encode(x)
    assert seen == model.take_largest()


def test_config():
    """`exact_bits` is in the config only if it is on, so the configs of other networks stay as they were."""
    table = revnet((1, 4, 4), (1, 2, 3))
    assert "exact_bits" not in build_model(table).config
    assert "exact_bits" not in build_model({**table, "exact_bits": 0}).config
    model = build_model({**table, "exact_bits": 12})
    assert model.config["exact_bits"] == 12
    assert model.grid_range == 4096
    assert build_model(model.config).state_dict().keys() == build_model(table).state_dict().keys()


@pytest.mark.parametrize("bits", [7, 23, -1, 1])
def test_bad_bits(bits):
    said = rf"exact_bits = {bits}; must be 0 \(off\) or 8 to 22"
    with pytest.raises(UsageError, match=said):
        build_model(revnet((1, 4, 4), (1, 2, 3), exact_bits=bits))
    with pytest.raises(UsageError, match=said):
        AdditiveCoupling(torch.nn.Identity(), torch.nn.Identity(), exact_bits=bits)
