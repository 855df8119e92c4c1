"""Memory-saving back-propagation: the gradients of plain autograd, with memory that does not grow with depth."""

import copy
import itertools

import pytest
import torch
from memory_cases import NETWORKS, built, every_network, every_saving, gradient, images, loss, loss_log_det, relative, restricted, revnet
from torch.autograd import gradcheck
from torch.func import functional_call

from genrev_cli.config import read_recipe
from genrev_cli.errors import UsageError
from genrev_cli.models import build_model
from genrev_cli.models.base import MEMORY

DOUBLE = torch.float64


def saved_bytes(model, x):
    """Count the bytes of the distinct storages that autograd keeps, without parameters."""
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage  # kept alive, so that no id is used twice; meta tensors have no address
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        assert loss(model, x).requires_grad
    parameters = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    return sum(storage.nbytes() for address, storage in kept.items() if address not in parameters)


@every_network
@every_saving
@pytest.mark.parametrize("of", [loss, loss_log_det])
def test_gradients_are_those_of_plain_autograd(network, memory, of):
    plain, saving = built(network, dtype=DOUBLE), built(network, memory, DOUBLE)
    x = images(plain, dtype=DOUBLE).requires_grad_()
    expected = gradient(plain, x, of, [x, *plain.parameters()])
    assert relative(gradient(saving, x, of, [x, *saving.parameters()]), expected) < 1e-12
    assert relative(gradient(saving, x.detach(), of), expected[x.numel() :]) < 1e-12


@every_network
@every_saving
def test_float32_gradients_are_near_in_norm(network, memory):
    plain = built(network)
    x = images(plain, 16)
    assert relative(gradient(built(network, memory), x), gradient(plain, x)) < 1e-5


@every_network
@every_saving
@pytest.mark.parametrize("method", ["encode", "decode", "encode_log_det", "decode_log_det"])
def test_values_are_the_same_to_the_bit(network, memory, method):
    plain, saving = built(network), built(network, memory)
    x = images(plain)
    of = x if "encode" in method else plain.encode(x).detach()
    before = of.clone()
    expected, found = getattr(plain, method)(of), getattr(saving, method)(of)
    for a, b in zip(*((r if isinstance(r, tuple) else (r,)) for r in (expected, found)), strict=True):
        assert torch.equal(a, b)
        assert b.requires_grad or "log_det" in method  # a log-determinant of shears is a constant
    found[0].sum().backward()
    assert torch.equal(of, before)
    with torch.no_grad():
        again = getattr(saving, method)(of)
    assert torch.equal(again[0] if isinstance(again, tuple) else again, expected[0] if isinstance(expected, tuple) else expected)


@pytest.mark.parametrize("modes", list(itertools.permutations(MEMORY, 2)))
@every_network
def test_modes_mixed_in_one_graph(network, modes):
    """The mode at the time of the call counts, not the mode during the backward pass."""
    plain, model = built(network, dtype=DOUBLE), built(network, dtype=DOUBLE)
    x = images(plain, dtype=DOUBLE)
    model.memory = modes[0]
    z = model.encode(x)
    model.memory = modes[1]
    value = (x - model.decode(restricted(z))).abs().mean() + z.square().mean()
    model.memory = "plain"
    found = torch.cat([part.flatten() for part in torch.autograd.grad(value, list(model.parameters()))])
    assert relative(found, gradient(plain, x)) < 1e-12


@every_network
@every_saving
def test_backward_twice(network, memory):
    model = built(network, memory)
    x = images(model).requires_grad_()
    value, inputs = loss(model, x), [x, *model.parameters()]
    first, second = (torch.autograd.grad(value, inputs, retain_graph=True) for _ in range(2))
    value.backward()
    for a, b, tensor in zip(first, second, inputs, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, tensor.grad)


@every_network
@every_saving
def test_some_parameters_are_frozen(network, memory):
    """Only the first, second or last third of the parameters is trained, with and without a gradient of the input."""
    plain, saving = built(network, dtype=DOUBLE), built(network, memory, DOUBLE)
    x = images(plain, dtype=DOUBLE)
    for kept, input_too in itertools.product(range(3), (False, True)):
        for model in (plain, saving):
            count = len(list(model.parameters()))
            for number, parameter in enumerate(model.parameters()):
                parameter.requires_grad_(number * 3 // count == kept)
        inputs = [x.requires_grad_(input_too)] * input_too
        found, expected = (
            gradient(model, x, loss_log_det, inputs + [p for p in model.parameters() if p.requires_grad], allow_unused=False)
            for model in (saving, plain)
        )
        assert relative(found, expected) < 1e-12


@every_network
@every_saving
def test_gradient_of_the_input_alone(network, memory):
    plain, saving = (built(network, mode, DOUBLE).requires_grad_(False) for mode in ("plain", memory))
    x = images(plain, dtype=DOUBLE).requires_grad_()
    assert relative(gradient(saving, x, loss_log_det, [x]), gradient(plain, x, loss_log_det, [x])) < 1e-12


def parts(model, x, of, parameters):
    """Return the gradient as one vector, with 0 for None: a node of a whole step gives zeros where autograd gives None."""
    found = torch.autograd.grad(of(model, x), parameters, allow_unused=True)
    return torch.cat([(torch.zeros_like(p) if part is None else part).flatten() for part, p in zip(found, parameters, strict=True)])


PARTIAL = {
    "of the first stream": lambda model, x: model.encode(x)[:, 0].square().sum(),
    "of the second stream": lambda model, x: model.encode(x)[:, -1].square().sum(),
    "of an encoder's log-determinant": lambda model, x: model.encode_log_det(x)[1].square().sum(),
    "of a decoder's log-determinant": lambda model, x: model.decode_log_det(x.flatten(1))[1].square().sum(),
}


@pytest.mark.parametrize(("network", "part"), [("revnet", part) for part in list(PARTIAL)[:2]] + [("inn", part) for part in PARTIAL])
@every_saving
@pytest.mark.parametrize("share", [0.1, 1.0])
def test_gradients_of_a_part_of_the_output(network, part, memory, share):
    """Also with respect to the last parameters only, so that the backward pass stops early. (The RevNet's log-determinant is constant.)"""
    plain, saving = built(network, dtype=DOUBLE), built(network, memory, DOUBLE)
    x = images(plain, dtype=DOUBLE)
    expected, found = (
        parts(model, x, PARTIAL[part], (every := list(model.parameters()))[-max(1, int(share * len(every))) :]) for model in (plain, saving)
    )
    assert expected.any() or (share < 1 and "second" not in part)  # the last parameters change only the second stream
    assert (found - expected).norm() <= 1e-12 * expected.norm()


@every_saving
def test_parameters_of_functional_call(memory):
    """The parameters used during the call are differentiated, also when the backward pass recomputes with them."""
    model = built(revnet((1, 4, 4), (1, 2, 3), (1, 2, 1)), memory, DOUBLE)

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x):
            return self.model.encode(x)

    names, parameters = zip(*Encoder().named_parameters(), strict=True)
    others = [(parameter.detach() + 0.5).requires_grad_() for parameter in parameters]
    assert gradcheck(
        lambda x, *values: functional_call(Encoder(), dict(zip(names, values, strict=True)), (x,)),
        (images(model, 2, DOUBLE).requires_grad_(), *others),
    )


@every_saving
def test_hooks_on_parameters_run_once(memory):
    model = built("revnet", memory)
    calls = []
    parameter = next(model.parameters())
    parameter.register_hook(lambda gradient: calls.append(gradient.norm()))
    parameter.register_post_accumulate_grad_hook(lambda p: calls.append(p.grad.norm()))
    model.encode(images(model)).square().sum().backward()
    assert len(calls) == 2
    assert calls[0] == calls[1] > 0


@every_network
@every_saving
def test_bfloat16_branches(network, memory):
    """A backward pass outside autocast recomputes under the autocast of the forward pass."""
    plain, saving = built(network), built(network, memory)
    x = images(plain, 16)

    def half_loss(model, x):
        with torch.autocast("cpu", torch.bfloat16):
            return loss(model, x)

    full, expected, found = gradient(plain, x), gradient(plain, x, half_loss), gradient(saving, x, half_loss)
    assert found.dtype == torch.float32
    assert relative(found, expected) < 0.02
    assert relative(found, full) > 1e-4


@every_network
def test_autocast_around_only_the_backward_pass_changes_nothing(network):
    model = built(network, "reversible")
    x = images(model, 16)
    value = loss(model, x)
    with torch.autocast("cpu", torch.bfloat16):
        inside = torch.cat([part.flatten() for part in torch.autograd.grad(value, list(model.parameters()))])
    assert torch.equal(inside, gradient(model, x))


def test_bytes_do_not_depend_on_the_depth():
    shallow, deep = (built(revnet((3, 16, 16), *[(blocks, 6, 3)] * 2)) for blocks in (1, 8))
    x = images(shallow)
    bytes_of = {}
    for memory in MEMORY:
        shallow.memory = deep.memory = memory
        bytes_of[memory] = saved_bytes(shallow, x), saved_bytes(deep, x)
    assert bytes_of["reversible"][0] == bytes_of["reversible"][1]
    assert bytes_of["plain"][1] > 4 * bytes_of["plain"][0]
    assert bytes_of["reversible"][1] < bytes_of["checkpoint"][1] < bytes_of["plain"][1]


@pytest.mark.parametrize(
    ("recipe", "image_shape", "bound"),
    [("grn-celeba64", (3, 64, 64), 250_000), ("grn-mnist", (1, 28, 28), 20_000), ("inn-mnist", (1, 28, 28), 20_000)],
)
def test_bytes_per_image_of_the_papers_networks(recipe, image_shape, bound):
    """Bytes are counted on the meta device; nothing is computed."""
    with torch.device("meta"):
        model = build_model({**read_recipe(recipe)["model"], "image_shape": list(image_shape)})
        x = torch.empty(8, *image_shape)
    per_image = {}
    for memory in MEMORY:
        model.memory = memory
        per_image[memory] = saved_bytes(model, x) / 8
    assert per_image["reversible"] <= bound < per_image["checkpoint"] < per_image["plain"]


def test_a_second_derivative_is_refused():
    model = built("revnet", "reversible")
    x = images(model).requires_grad_()
    (first,) = torch.autograd.grad(loss(model, x), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_weights_that_changed_are_refused():
    """The inputs could not be recomputed with them."""
    model = built("revnet", "reversible")
    value = loss(model, images(model))
    with torch.no_grad():
        next(model.parameters()).add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


@pytest.mark.parametrize("name", ["revnet", "inn"])
def test_memory_is_set_on_a_built_model(name):
    model = build_model(NETWORKS[name])
    assert model.memory == "plain"
    for memory in MEMORY:
        config = copy.deepcopy(model.config)
        model.memory = memory
        assert model.memory == copy.deepcopy(model).memory == memory
        assert model.config == config
    with pytest.raises(UsageError, match="memory = 'lots'; choose plain, reversible, checkpoint"):
        model.memory = "lots"
    assert model.memory == "checkpoint"
