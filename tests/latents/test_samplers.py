"""Distributions fitted to codes: their draws, and their use instead of a prior."""

import json

import pytest
import torch

from genrev_cli.errors import UsageError
from genrev_cli.latents import SAMPLERS, ActiveGaussian, build_sampler
from genrev_cli.latents.flow import Flow
from genrev_cli.latents.samplers import Mixture, Resampled
from genrev_cli.latents.transport import TransportMap


def mixture():
    sampler = Mixture(2, 2)
    sampler.weight.copy_(torch.tensor([0.75, 0.25]))
    sampler.mean.copy_(torch.tensor([[0.0, 0.0], [10.0, 20.0]]))
    sampler.factor.copy_(torch.tensor([[[1.0, 0.0], [0.5, 0.5]], [[0.1, 0.0], [0.0, 0.2]]]))
    return sampler


def line(codes=(-3.0, -1.0, 4.0), *, theta=3.2, **settings):
    """Return the map of codes on a line, with known heights and centres: cells have equal widths."""
    n = len(codes)
    sampler = TransportMap(1, [n], [theta], **settings)
    y = torch.tensor(codes)
    sampler.codes.copy_(y[:, None])
    sampler.centres.copy_(((torch.arange(n) + 0.5) / n - 0.5)[:, None])
    steps = -(y[1:] - y[:-1]) * (torch.arange(1, n) / n - 0.5)
    sampler.heights.copy_(torch.cat([torch.zeros(1), steps.cumsum(0)]))
    return sampler


def classwise():
    """Return the map of two classes on a line: {−3, −1} with weight ¼, {5, 6, 7} with weight ¾."""
    sampler = TransportMap(1, [2, 3], [3.2, 0.0], conditional=True)
    parts = line((-3.0, -1.0)), line((5.0, 6.0, 7.0))
    for name in ("codes", "heights", "centres"):
        getattr(sampler, name).copy_(torch.cat([getattr(part, name) for part in parts]))
    sampler.weight.copy_(torch.tensor([0.125, 0.125, 0.25, 0.25, 0.25]))
    return sampler


def flow():
    """Return a flow of two classes with random weights."""
    torch.manual_seed(0)
    sampler = Flow(1, width=16, blocks=1, classes=2, steps=3)
    for parameter in sampler.parameters():
        parameter.data.normal_(0, 0.3)
    sampler.requires_grad_(False)
    drawn = [sampler.given(k).sample(20_000, generator(5)) for k in range(2)]
    sampler.class_mean.copy_(torch.stack([y.mean(0) for y in drawn]))
    sampler.class_std.copy_(torch.stack([y.std(0) for y in drawn]))
    return sampler


MADE = {"flow": flow, "gmm": mixture, "ot": classwise}
every_sampler = pytest.mark.parametrize("make", MADE.values(), ids=MADE)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_every_sampler_is_tested():
    assert MADE.keys() == SAMPLERS.keys()


@every_sampler
def test_rebuilt_from_its_config(make):
    sampler = make()
    again = build_sampler(json.loads(json.dumps(sampler.config)))
    assert again.config == sampler.config
    again.load_state_dict(sampler.state_dict())
    assert torch.equal(again.sample(5, generator()), sampler.sample(5, generator()))


@every_sampler
def test_a_numbered_code_depends_only_on_its_number(make):
    source = make().for_numbers()
    every = source.sample_numbered(5, range(700))
    assert torch.equal(torch.cat([source.sample_numbered(5, [number]) for number in range(40)]), every[:40])
    numbers = [3, 699, 698, 3, 100, 0]
    assert torch.equal(source.sample_numbered(5, numbers), every[numbers])
    assert not torch.equal(source.sample_numbered(6, range(700)), every)


@every_sampler
def test_rows_of_a_sample(make):
    sampler, whole, part = make(), generator(3), generator(3)
    y = sampler.sample(60, whole)
    assert torch.equal(sampler.sample_rows(60, slice(1, None, 3), part), y[1::3])
    assert torch.equal(whole.get_state(), part.get_state())


@every_sampler
def test_moments_are_those_of_the_samples(make):
    sampler = make()
    y, (mean, std) = sampler.sample(20_000, generator()), sampler.moments()
    torch.testing.assert_close(y.mean(0), mean, rtol=0.05, atol=0.05)
    torch.testing.assert_close(y.std(0), std, rtol=0.1, atol=0)


def test_mixture_components():
    y = mixture().sample(20_000, generator())
    second = y[:, 0] > 5
    assert second.float().mean() == pytest.approx(0.25, abs=0.01)
    torch.testing.assert_close(y[~second].T.cov(), torch.tensor([[1.0, 0.5], [0.5, 0.5]]), atol=0.03, rtol=0)
    torch.testing.assert_close(y[second].std(0), torch.tensor([0.1, 0.2]), rtol=0.03, atol=0)
    cold = mixture().sample(100, generator(), temperature=0.0)
    assert {tuple(row) for row in cold.tolist()} == {(0.0, 0.0), (10.0, 20.0)}


def test_map_of_a_line_is_linear_between_its_centres():
    """Centres −⅓, 0, ⅓ and codes −3, −1, 4 put a third of the samples on [−3, −1], a third on [−1, 4], and a sixth at each end."""
    y = line().sample(20_000, generator())[:, 0]
    assert y.min() >= -3
    assert y.max() <= 4
    for value in (-3, 4):
        assert ((y - value).abs() < 1e-4).float().mean() == pytest.approx(1 / 6, abs=0.01)
    inside = y[(y > -0.999) & (y < 3.999)]
    assert len(inside) / len(y) == pytest.approx(1 / 3, abs=0.012)
    assert inside.mean() == pytest.approx(1.5, abs=0.06)


def test_map_without_an_angle_gives_the_codes():
    assert line(theta=0.0).sample(1000, generator()).unique().tolist() == [-3, -1, 4]


def test_classes_are_drawn_by_their_share_and_each_from_its_own_map():
    y = classwise().sample(20_000, generator())[:, 0]
    assert (y > 0).float().mean() == pytest.approx(0.75, abs=0.01)
    assert y[y > 0].unique().tolist() == [5, 6, 7]
    assert y[y < 0].max() <= -1


def test_given_a_class():
    sampler = classwise()
    assert sampler.given(1).sample(1000, generator()).unique().tolist() == [5, 6, 7]
    assert sampler.given(1).classes == 0
    assert sampler.given(0).moments()[0].item() == pytest.approx(-2)
    with pytest.raises(UsageError, match="does not exist; choose 0–1"):
        sampler.given(2)
    with pytest.raises(UsageError, match="'gmm' has no classes"):
        mixture().given(0)


def test_a_rule_that_rejects_draws_again():
    """Samples beyond the outer centres, which would get the outer codes, are dropped."""
    y = line(theta=0.9, drop=True).sample(2000, generator())
    assert torch.isfinite(y).all()
    with pytest.raises(UsageError, match="theta = 0 joins no cells"):
        line(theta=0.0, drop=True).sample(3, generator())


def test_a_map_has_no_temperature():
    with pytest.raises(UsageError, match="no width to scale"):
        line().sample(3, generator(), 0.5)


def test_between_two_codes():
    """The path is straight in the cube, so it goes along the codes: −3 → −1 → 4."""
    path = line().between(torch.tensor([-2.9]), torch.tensor([5.0]), torch.tensor([0.0, 0.25, 0.5, 1.0]))
    torch.testing.assert_close(path[:, 0], torch.tensor([-3.0, -2.0, -1.0, 4.0]), atol=1e-4, rtol=0)
    with pytest.raises(UsageError, match="classes 0 and 1"):
        classwise().between(torch.tensor([-3.0]), torch.tensor([6.0]), torch.tensor([0.5]))


def test_a_sampler_instead_of_a_prior():
    """The prior embeds the codes; a sampler of the full latent is not restricted."""
    base = ActiveGaussian(2, 6, bound=1.0)
    base.activate(torch.tensor([0.0, 3.0, 0.0, 0.0, 2.0, 0.0]))
    prior = Resampled(base, mixture(), full=False)
    z, y = torch.randn(5, 6, generator=generator()), prior.sample(5, generator())
    assert torch.equal(y, mixture().sample(5, generator()))
    assert torch.equal(prior.restrict(z), base.restrict(z))
    assert torch.equal(prior.embed(y)[:, [1, 4]], y)
    assert torch.equal(prior.select(prior.embed(y)), y)
    full = Resampled(ActiveGaussian(1, 2), mixture(), full=True)
    assert torch.equal(full.restrict(y), y)
    assert torch.equal(full.embed(y), y)
    given = Resampled(ActiveGaussian(1, 3), classwise(), full=False)
    assert given.classes == 2
    assert given.given(1).sample(9, generator()).min() >= 5


def test_dimensions_that_do_not_fit():
    with pytest.raises(UsageError, match="have 2 dimensions, but the model's have 3"):
        Resampled(ActiveGaussian(3, 6), mixture(), full=False)


@pytest.mark.parametrize(
    "config",
    [
        {"name": "gmm", "dim": 2, "components": 0},
        {"name": "ot", "dim": 2, "sizes": [], "theta": []},
        {"name": "ot", "dim": 2, "sizes": [3, 3], "theta": [0.1, 0.1]},
        {"name": "ot", "dim": 2, "sizes": [3], "theta": [-0.1]},
        {"name": "ot", "dim": 2, "sizes": [3], "theta": [0.1], "rule": "cubic"},
        {"name": "vae", "dim": 2},
    ],
)
def test_bad_configs(config):
    with pytest.raises(UsageError, match=r"\[sampler\]"):
        build_sampler(config)
