"""`descend`: every optimizer goes down its own loss, and changes no other parameters."""

import pytest
import torch
from torch import nn

from genrev_cli.errors import UsageError
from genrev_cli.training.optim import Optimizer, descend


class Number(nn.Module):
    """Trainable numbers."""

    def __init__(self, *values):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(values, dtype=torch.float64))


def optimizer(*modules, lr=1.0, betas=(0.0, 0.9), max_grad_norm=0.0, **settings):
    return Optimizer(modules, lr=lr, betas=betas, max_grad_norm=max_grad_norm, **settings)


def test_reaches_only_its_own_parameters():
    a, b = Number(1.0), Number(2.0)
    descend((optimizer(a), (a.value * b.value).sum()))
    assert a.value.item() == pytest.approx(0, abs=1e-7)
    assert b.value.item() == 2
    assert a.value.grad is None
    assert b.value.grad is None


def test_all_gradients_before_any_step():
    """Both minimise L = a·b. From (1, 0.5) both gradients are positive. If a stepped first, it would be 0 and b would not move."""
    a, b = Number(1.0), Number(0.5)
    opt_a, opt_b = optimizer(a), optimizer(b)
    product = (a.value * b.value).sum()
    norms = descend((opt_a, product), (opt_b, product))
    assert [norm.item() for norm in norms] == pytest.approx([0.5, 1.0])
    assert (a.value.item(), b.value.item()) == pytest.approx((0.0, -0.5), abs=1e-6)


@pytest.mark.parametrize(("max_grad_norm", "factor"), [(0.0, 1.0), (1.0, 0.2), (4.0, 0.8), (5.1, 1.0)])
def test_clips_the_norm_over_all_parameters(max_grad_norm, factor):
    """The gradient (3, 4) has norm 5. With β₁ = 0 Adam's first moment is the clipped gradient."""
    a, b = Number(0.0), Number(0.0)
    one = optimizer(a, b, max_grad_norm=max_grad_norm)
    (norm,) = descend((one, (3 * a.value + 4 * b.value).sum()))
    assert norm.item() == pytest.approx(5)
    moments = [one.tensors()[f"{i}.exp_avg"].item() for i in (0, 1)]
    assert moments == pytest.approx([3 * factor, 4 * factor], rel=1e-6)


@pytest.mark.parametrize(
    ("decay", "eps", "factors"), [(0.0, 1e-8, (1, 1, 1)), (0.2, 1e-8, (1, 1, 1)), (0.0, 0.3, (1, 1, 1)), (0.2, 0.3, (1, 0.5, 0.1))]
)
def test_adam_by_hand(decay, eps, factors):
    """Three steps with β = (0.5, 0.9) follow Kingma & Ba 2015, Algorithm 1; weight decay is added to the gradient."""
    w, m, v, lr = 1.0, 0.0, 0.0, 0.1
    number = Number(w)
    one = optimizer(number, lr=lr, betas=(0.5, 0.9), weight_decay=decay, eps=eps)
    for t, factor in enumerate(factors, 1):
        one.scale(factor)
        descend((one, number.value.pow(3).sum()))
        gradient = 3 * w**2 + decay * w
        m, v = 0.5 * m + 0.5 * gradient, 0.9 * v + 0.1 * gradient**2
        w -= factor * lr * (m / (1 - 0.5**t)) / ((v / (1 - 0.9**t)) ** 0.5 + eps)
        assert number.value.item() == pytest.approx(w, rel=1e-9)


def test_a_parameter_that_the_loss_does_not_reach_is_an_error():
    a, unused = Number(1.0), Number(1.0)
    with pytest.raises(RuntimeError, match="not have been used"):
        descend((optimizer(a, unused), a.value.sum()))
    assert a.value.item() == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"lr": -1.0},
        {"lr": float("nan")},
        {"betas": (0.0, 1.5)},
        {"betas": (-0.1, 0.9)},
        {"max_grad_norm": -1.0},
        {"weight_decay": -1e-5},
        {"eps": -1e-8},
    ],
)
def test_impossible_settings(settings):
    with pytest.raises(UsageError, match=next(iter(settings))):
        optimizer(Number(1.0), **settings)


def test_frozen_parameters_stay():
    a, frozen = Number(1.0), Number(1.0)
    frozen.requires_grad_(False)
    descend((optimizer(a, frozen), (a.value + frozen.value).sum()))
    assert frozen.value.item() == 1


def test_resumes_from_saved_tensors():
    """Five steps, and five more by a new optimizer with the saved tensors, equal ten steps to the bit, also with a schedule."""

    def loss(number):
        return (number.value - 3).square().sum()

    def run(number, steps, tensors):
        one = optimizer(number, lr=0.1, betas=(0.5, 0.9), weight_decay=0.01)
        one.load_tensors(tensors)
        for step in steps:
            one.scale(0.1 ** (step >= 4))
            descend((one, loss(number)))
        return {name: tensor.clone() for name, tensor in one.tensors().items()}

    straight, broken = Number(1.0, -2.0), Number(1.0, -2.0)
    expected, found = run(straight, range(10), {}), run(broken, range(5, 10), run(broken, range(5), {}))
    assert torch.equal(straight.value, broken.value)
    assert expected.keys() == found.keys()
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


def test_learning_rate_is_not_taken_from_saved_tensors():
    number = Number(1.0)
    one = optimizer(number, lr=0.5)
    one.scale(0.1)
    descend((one, number.value.sum()))
    two = optimizer(number, lr=0.25)
    two.load_tensors(one.tensors())
    assert two.rule.param_groups[0]["lr"] == 0.25


def test_float32_on_every_device(device):
    layer = nn.Linear(3, 2).to(device)
    before = layer.weight.detach().clone()
    descend((optimizer(layer, lr=1e-3), layer(torch.ones(4, 3, device=device)).square().mean()))
    torch.testing.assert_close((layer.weight - before).abs(), torch.full_like(before, 1e-3), rtol=1e-3, atol=0)


@pytest.mark.parametrize("rule", [{"betas": (0.9, 0.99)}, {"momentum": 0.9}])
def test_gradients_in_another_memory_order_are_the_same_gradients(rule):
    """Fused optimizers read parameters and gradients in memory order, and would pair the wrong numbers."""
    layers = [nn.Linear(3, 4, bias=False) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    gradient = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    for layer, given in zip(layers, (gradient.T, gradient.T.contiguous()), strict=True):
        optimizer = Optimizer([layer], lr=0.1, max_grad_norm=0.0, **rule)
        for _ in range(3):
            optimizer.apply([given])
    assert torch.equal(layers[0].weight, layers[1].weight)


def test_moments_are_saved_in_order_and_loaded_in_the_order_of_their_parameters():
    conv = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    optimizer = Optimizer([conv], lr=0.1, max_grad_norm=0.0)
    optimizer.apply([torch.randn_like(parameter) for parameter in conv.parameters()])
    saved = optimizer.tensors()
    assert all(tensor.is_contiguous() for tensor in saved.values())
    again = Optimizer([conv], lr=0.1, max_grad_norm=0.0)
    again.load_tensors(saved)
    state = again.rule.state_dict()["state"][0]
    assert state["exp_avg"].stride() == conv.weight.stride()
    assert torch.equal(state["exp_avg"], saved["0.exp_avg"])
