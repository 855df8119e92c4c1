"""Samples by their numbers: they are the same in any order and any block."""

import pytest
import torch

from genrev_cli.errors import UsageError
from genrev_cli.latents import ActiveGaussian
from genrev_cli.latents.samplers import Mixture, Resampled
from genrev_cli.latents.transport import TransportMap
from genrev_cli.seeds import derive
from genrev_cli.settings.sampling import Draw
from genrev_cli.store import drawing
from genrev_cli.store.drawing import Drawing

CPU = torch.device("cpu")
DIM = 3


def transport_map(sizes=(300,), **settings):
    sampler, generator = TransportMap(DIM, sizes, [0.9] * len(sizes), **settings), torch.Generator().manual_seed(0)
    sampler.codes.normal_(generator=generator)
    sampler.centres.uniform_(-0.5, 0.5, generator=generator)
    sampler.heights.normal_(std=0.1, generator=generator)
    return sampler


def resampled(sampler):
    return Resampled(ActiveGaussian(DIM, 5), sampler, full=False)


PRIORS = {
    "gaussian": lambda: ActiveGaussian(DIM, 5),
    "mixture": lambda: resampled(Mixture(DIM, 2)),
    "map": lambda: resampled(transport_map()),
    "map that rejects": lambda: resampled(transport_map(drop=True)),
    "map of two cells": lambda: resampled(transport_map(rule="two-cell")),
    "map of classes": lambda: resampled(transport_map((200, 100), conditional=True)),
}
every_prior = pytest.mark.parametrize("prior", [make() for make in PRIORS.values()], ids=PRIORS)


@every_prior
def test_sample_i_depends_only_on_the_seed_and_on_i(prior, monkeypatch):
    monkeypatch.setattr(drawing, "AHEAD", 40)
    labels = (1, 0, 1) if prior.classes else ()
    every = Drawing(prior, Draw(5, labels=labels), CPU).codes(range(600))
    assert len(every.unique(dim=0)) > 40
    for batch in (1, 7, 64):
        blocks = [range(first, first + batch) for first in range(0, 150, batch)]
        for mine in (blocks, blocks[1::3]):
            source = Drawing(prior, Draw(5, labels=labels), CPU, mine)
            for numbers in mine:
                assert torch.equal(source.codes(numbers), every[numbers.start : numbers.stop])
    numbers = [599, 3, 4, 300, 3]
    assert torch.equal(Drawing(prior, Draw(5, labels=labels), CPU).codes(numbers), every[numbers])
    assert not torch.equal(Drawing(prior, Draw(6, labels=labels), CPU).codes(range(600)), every)


def test_a_prior_draws_each_sample_from_a_generator_of_its_own():
    """A seed gives the same as in earlier releases."""
    expected = [torch.randn(1, DIM, generator=torch.Generator().manual_seed(derive(5, "sample", i))) for i in range(9)]
    assert torch.equal(Drawing(PRIORS["gaussian"](), Draw(5), CPU).codes(range(9)), torch.cat(expected))
    assert torch.equal(Drawing(PRIORS["gaussian"](), Draw(5, 0.5), CPU).codes(range(9)), 0.5 * torch.cat(expected))


def test_codes_are_drawn_ahead_in_one_block(monkeypatch):
    prior, asked = PRIORS["gaussian"](), []
    original = ActiveGaussian.sample_numbered
    monkeypatch.setattr(
        ActiveGaussian,
        "sample_numbered",
        lambda self, seed, numbers, *rest: (asked.append(list(numbers)), original(self, seed, numbers, *rest))[1],
    )
    monkeypatch.setattr(drawing, "AHEAD", 8)
    blocks = [range(first, first + 3) for first in range(0, 15, 3)]
    source = Drawing(prior, Draw(), CPU, blocks)
    for numbers in (*blocks, range(20, 22)):
        source.codes(numbers)
    assert asked == [[*range(6)], [*range(6, 12)], [12, 13, 14], [20, 21]]


def test_few_long_codes_are_drawn_ahead(monkeypatch):
    monkeypatch.setattr(drawing, "AHEAD_VALUES", 2 * DIM)
    source = Drawing(PRIORS["gaussian"](), Draw(), CPU, [range(2), range(2, 4), range(4, 6)])
    source.codes(range(2))
    assert source._ahead.keys() == {range(2)}


def test_a_map_is_set_up_once_for_all_blocks_and_classes():
    prior = PRIORS["map of classes"]()
    source = Drawing(prior, Draw(labels=(0, 1)), CPU)
    source.codes(range(4))
    ready = [given._ready for given in source._given.values()]
    source.codes(range(4, 9))
    assert all(given._ready is one for given, one in zip(source._given.values(), ready, strict=True))


def test_an_unknown_class():
    with pytest.raises(UsageError, match="class 2"):
        Drawing(PRIORS["map of classes"](), Draw(labels=(2,)), CPU)
