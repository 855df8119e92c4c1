"""The error of the inverse, which a reversible backward pass measures and records."""

import pytest
from memory_cases import built, images, loss


@pytest.mark.parametrize("network", ["revnet", "inn"])
@pytest.mark.parametrize("direction", ["encode", "decode"])
def test_roundtrip_error_of_the_backward_pass(network, direction):
    """It is returned once; it is small for fresh weights, and large for weights so large that the inverse is lost."""
    for gain, low, high in ((1.0, 0.0, 1e-5), (4.0, 1e-2, float("inf"))):
        model = built(network, "reversible", gain=gain)
        x = images(model) if direction == "encode" else images(model).flatten(1)
        assert model.take_roundtrip() is None
        value = getattr(model, direction)(x).square().mean()
        assert model.take_roundtrip() is None
        value.backward()
        error = model.take_roundtrip()
        assert error.shape == ()
        assert not error.requires_grad
        assert low < error < high
        assert model.take_roundtrip() is None


def test_the_largest_roundtrip_error_is_kept():
    model = built("revnet", "reversible", gain=2.0)
    x = images(model)
    errors = []
    for batch in (x, 10 * x, x):
        loss(model, batch).backward()
        errors.append(model.take_roundtrip())
    for batch in (x, 10 * x, x):
        loss(model, batch).backward()
    assert model.take_roundtrip() == max(errors) == errors[1] > errors[0]


@pytest.mark.parametrize("position", range(3))
def test_a_nan_is_not_lost(position):
    model = built("revnet", "reversible")
    for number in range(3):
        x = images(model)
        if number == position:
            x[1, 0, 3, 3] = float("nan")
        loss(model, x).backward()
    assert model.take_roundtrip().isnan()
    loss(model, images(model)).backward()
    assert model.take_roundtrip() < 1e-5


@pytest.mark.parametrize("memory", ["plain", "checkpoint"])
def test_other_modes_record_no_roundtrip_error(memory):
    model = built("revnet", memory)
    loss(model, images(model)).backward()
    assert model.take_roundtrip() is None


def test_no_images():
    model = built("revnet", "reversible")
    model.encode(images(model, 0)).sum().backward()
    assert all(not parameter.grad.any() for parameter in model.parameters())
    assert model.take_roundtrip() is None
