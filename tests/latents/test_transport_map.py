"""Draws of a transport map: when it is set up again, how many operators a draw takes, and that no draw waits for the device."""

import copy

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from genrev_cli.latents import ActiveGaussian
from genrev_cli.latents.samplers import Resampled
from genrev_cli.latents.transport import TransportMap
from genrev_cli.ot import scores, top_cells

N, DIM, CODES = 2000, 16, 96
MOST_OPERATORS = 150
WAITING = ("_local_scalar_dense", "nonzero", "unique", "masked_select", "bincount", "equal", "is_nonzero", "repeat_interleave")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def transport_map(sizes=(N,), theta=0.9, **settings):
    """Return a map of random codes, heights and centres."""
    sampler = TransportMap(DIM, sizes, () if "epsilon" in settings else [theta] * len(sizes), **settings)
    sampler.codes.normal_(generator=generator(1))
    sampler.centres.uniform_(-0.5, 0.5, generator=generator(2))
    sampler.heights.normal_(std=0.1, generator=generator(3))
    return sampler


# Set up once


def test_a_second_draw_sets_nothing_up():
    sampler = transport_map()
    sampler.sample(3, generator())
    ready = sampler._ready
    sampler.sample(3, generator())
    sampler.sample_numbered(0, range(3))
    assert sampler._ready is ready


def written(sampler):
    sampler.codes.mul_(2)
    return sampler


def loaded(sampler):
    sampler.load_state_dict({name: 0.5 * tensor for name, tensor in sampler.state_dict().items()})
    return sampler


def assigned(sampler):
    sampler.load_state_dict({name: 0.5 * tensor for name, tensor in sampler.state_dict().items()}, assign=True)
    return sampler


def moved(sampler):
    sampler.heights.neg_()
    return sampler.double()


def copied(sampler):
    other = copy.deepcopy(sampler)
    other.centres.neg_()
    return other


@pytest.mark.parametrize("change", [written, loaded, assigned, moved, copied], ids=lambda change: change.__name__)
def test_a_map_is_set_up_again_for_new_tensors(change):
    sampler = transport_map()
    before = sampler.sample(50, generator())
    changed = change(sampler)
    fresh = TransportMap(DIM, [N], [0.9]).to(changed.codes.dtype)
    fresh.load_state_dict(changed.state_dict())
    after = changed.sample(50, generator())
    assert torch.equal(after, fresh.sample(50, generator()))
    assert not torch.equal(after, before)


def test_the_setup_is_neither_saved_nor_copied():
    sampler = transport_map()
    names = sampler.state_dict().keys()
    sampler.sample(3, generator())
    assert sampler.state_dict().keys() == names
    assert copy.deepcopy(sampler)._ready is None
    assert sampler._ready is not None


# Operators and waits


class Operators(TorchDispatchMode):
    """Records the operators that would start a kernel, and those that would make the host wait."""

    def __init__(self):
        super().__init__()
        self.started, self.waited = [], []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        aliases = [value.alias_info for value in func._schema.returns]
        if not any(alias is not None and not alias.is_write for alias in aliases):
            self.started.append(name)
        masks = [one for one in (args[1] if name in ("index", "index_put", "index_put_") else []) if one is not None]
        if name.startswith(WAITING) or (name == "_to_copy" and "device" in (kwargs or {})) or any(one.dtype == torch.bool for one in masks):
            self.waited.append(name)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def as_on_cuda(monkeypatch):
    """Let a map use on the CPU the operators that it uses on CUDA."""
    monkeypatch.setattr(top_cells, "searched_by_host", lambda _: False)
    monkeypatch.setattr(scores, "HostScores", scores.DeviceScores)


def counted(sampler, n, rows):
    prior = Resampled(ActiveGaussian(DIM, DIM), sampler, full=False)
    prior.sample(1, generator())  # sets it up
    with Operators() as operators:
        codes = prior.sample_rows(n, rows, generator())
    assert len(codes) == len(range(n)[rows])
    return operators


@pytest.mark.parametrize("rule", ["barycentric", "inverse-distance", "nearest"])
def test_a_draw_takes_few_operators_and_waits_for_nothing(as_on_cuda, rule):
    sampler = transport_map(rule=rule)
    alone = counted(sampler, CODES, slice(None))
    assert alone.waited == []
    assert len(alone.started) <= MOST_OPERATORS, alone.started
    of_eight = counted(sampler, 8 * CODES, slice(3, None, 8))
    assert of_eight.started == alone.started
    assert of_eight.waited == []


def test_a_draw_along_short_edges_takes_as_few(as_on_cuda):
    drawn = counted(transport_map(epsilon=[4.0]), CODES, slice(None))
    assert drawn.waited == []
    assert len(drawn.started) <= MOST_OPERATORS, drawn.started


def test_the_count_sees_what_waits(as_on_cuda):
    """Maps of classes wait for the number of samples of each class; a rule that rejects waits for the number that is left."""
    assert "_local_scalar_dense" in counted(transport_map(drop=True), CODES, slice(None)).waited
    assert counted(transport_map((N // 2, N // 2), conditional=True), CODES, slice(None)).waited


def test_the_device_draws_what_the_cpu_draws(monkeypatch):
    expected = transport_map().sample_numbered(3, range(200))
    monkeypatch.setattr(top_cells, "searched_by_host", lambda _: False)
    assert torch.equal(transport_map().sample_numbered(3, range(200)), expected)


@pytest.mark.parametrize("settings", [{}, {"drop": True, "theta": 0.5}, {"sizes": (1200, 800), "conditional": True}], ids=str)
def test_rows_leave_the_generator_where_a_whole_draw_leaves_it(settings):
    """Otherwise the next draws of processes would differ, because their rows take different numbers of tries."""
    sampler, states = transport_map(**settings), []
    for rows in (slice(None), slice(0, None, 4), slice(3, None, 4)):
        source = generator(8)
        codes = sampler.sample_rows(40, rows, source)
        assert torch.equal(codes, sampler.sample(40, generator(8))[rows])
        states.append(source.get_state())
    assert all(torch.equal(state, states[0]) for state in states)
