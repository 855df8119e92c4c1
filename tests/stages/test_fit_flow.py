"""fit-flow and the maps that it pairs by: files, resuming, and what is refused."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_fit_ot import Interrupting

from genrev_cli.errors import FileError, InterruptedRun, UsageError
from genrev_cli.files.checkpoint import read_checkpoint, read_checkpoint_header
from genrev_cli.files.writers import write_codes
from genrev_cli.latents.flow import Flow
from genrev_cli.methods.flow_matching import SemiDiscrete
from genrev_cli.runs.resume import run_folder
from genrev_cli.settings.flow import FitFlowOptions
from genrev_cli.settings.sampling import SamplerFile
from genrev_cli.settings.transport_map import FitOtOptions
from genrev_cli.stages.fit_flow import fit_flow
from genrev_cli.stages.fit_ot import fit_ot
from genrev_cli.store.samplers import load_sampler
from genrev_cli.training.log import read_log

pytestmark = pytest.mark.usefixtures("coarse_maps")

OPTIONS = FitFlowOptions(steps=40, batch=32, width=32, blocks=1, log_every=10, device="cpu")
MAP = FitOtOptions(source="gaussian", target_error=0.3, precision="fp32", device="cpu")


@pytest.fixture
def codes(tmp_path):
    """Two clusters in the plane, 30 codes of each, far apart; the labels say which."""
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(-5, 0.3, (30, 2)), rng.normal(5, 0.3, (30, 2))]).astype(np.float32)
    path = tmp_path / "codes.h5"
    write_codes(path, values, labels=np.repeat([0, 1], 30))
    return path


@pytest.fixture
def potential(codes, tmp_path):
    return fit_ot(codes, tmp_path / "map.safetensors", MAP).out


def opened(path, **settings):
    return load_sampler(SamplerFile(path, "flow", **settings))


def test_a_map_from_a_gaussian_has_equal_masses(codes, tmp_path):
    result = fit_ot(codes, tmp_path / "map.safetensors", replace(MAP, target_error=0.2, target_chi2=0.02, max_samples=60_000))
    assert result.numbers["chi2"] < 0.02
    assert result.numbers["rel"] == pytest.approx(max(result.numbers["chi2"], 0) ** 0.5)
    header, found = load_sampler(SamplerFile(result.out, "ot"))
    assert (found.source, found.rule, header.config["fit"]["source"]) == ("gaussian", "nearest", "gaussian")
    y = found.sample_numbered(0, range(3000))
    counts = torch.unique(y, dim=0, return_counts=True)[1]
    assert len(counts) == 60  # it joins no codes
    assert counts.double().std() / 50 < 0.3


def test_the_source_belongs_to_the_run(codes, potential):
    with pytest.raises(UsageError, match=r"other settings \(source: gaussian → None\)"):
        fit_ot(codes, potential, replace(MAP, source="cube"))
    assert "source" not in read_checkpoint_header(fit_ot(codes, potential, replace(MAP, source="cube", restart=True)).out).config["sampler"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"theta": "0.5"}, "--theta: a map from a Gaussian joins no codes"),
        ({"rule": "two-cell"}, "--rule"),
        ({"neighbours": 5}, "--neighbours"),
        ({"drop": True}, "--drop"),
        ({"target_chi2": 0.1}, "--target-chi2 0.1 and --target-error 0.3: give one"),
        ({"source": "sphere"}, "--source sphere: choose cube or gaussian"),
    ],
)
def test_settings_that_do_not_apply_are_refused(settings, said):
    with pytest.raises(UsageError, match=said):
        replace(MAP, **settings)


def test_the_file_tells_how_it_was_made(codes, potential, tmp_path):
    result = fit_flow(codes, tmp_path / "flow.safetensors", replace(OPTIONS, ot=potential))
    header, flow = opened(result.out)
    assert isinstance(flow, Flow)
    assert header.config["fit"]["pairs"] == result.numbers["pairs"] == "semidiscrete"
    assert header.inputs.keys() == {"codes", "ot"}
    assert [line["step"] for line in header.config["history"]] == [10, 20, 30, 40]
    assert (flow.solver, flow.steps, header.step) == ("heun", 16, 40)
    header, flow = opened(result.out, solver="euler", solver_steps=3)
    assert (flow.solver, flow.steps, header.config["sampler"]["solver"]) == ("euler", 3, "euler")


def test_a_flow_of_two_clusters_leaves_the_gap_empty(codes, potential, tmp_path):
    for pairs, least in (("semidiscrete", 0.95), ("independent", 0.9)):
        ot = potential if pairs == "semidiscrete" else None
        options = replace(OPTIONS, pairs=pairs, ot=ot, steps=600, batch=128, width=64, blocks=2, lr=3e-3, ema_halflife=20)
        result = fit_flow(codes, tmp_path / f"{pairs}.safetensors", options)
        y = opened(result.out)[1].sample_numbered(0, range(2000))
        outside = (y.mean(1).abs() > 3).double().mean().item()
        assert outside > least, f"{pairs}: {1 - outside:.3f} of the codes lie in the gap"
        assert (y[:, 0] > 0).double().mean().item() == pytest.approx(0.5, abs=0.06)
        assert result.numbers["swd_codes"] < 0.25


@pytest.mark.parametrize("source", ["cube", "gaussian"])
def test_a_map_of_two_clusters_has_no_code_in_the_gap(codes, tmp_path, source):
    """None of 5,000: with 95 % confidence the share is below 3/5,000."""
    ot = fit_ot(codes, tmp_path / "map.safetensors", replace(MAP, source=source, target_error=0.1)).out
    y = load_sampler(SamplerFile(ot, "ot"))[1].sample_numbered(0, range(5000))
    assert (y.mean(1).abs() > 3).all()
    assert (y[:, 0] > 0).double().mean().item() == pytest.approx(0.5, abs=0.05)


def test_the_chi2_of_a_map_is_that_of_the_pairs_that_it_makes(codes, tmp_path):
    """E n (N Σ p̂² − 1)/(N − 1) − 1 = χ² for the shares p̂ of N pairs among n codes; 50 sets of pairs give its uncertainty."""
    result = fit_ot(codes, tmp_path / "map.safetensors", replace(MAP, target_error=0.5))
    found = load_sampler(SamplerFile(result.out, "ot"))[1]
    flow, n, N = Flow(2, width=4, blocks=1), 60, 4000
    pairs = SemiDiscrete(found, flow)
    own = torch.unique(flow.standardised(found.codes), dim=0)
    estimates = []
    for seed in range(50):
        x = torch.randn(N, 2, generator=torch.Generator().manual_seed(seed))
        cells = torch.cdist(pairs(x, x, torch.zeros(N, dtype=torch.int64)), own).argmin(1)
        shares = torch.bincount(cells, minlength=n).double() / N
        estimates.append(n * (N * shares.square().sum() - 1) / (N - 1) - 1)
    estimates = torch.stack(estimates)
    told, error = result.numbers["chi2"], estimates.std() / math.sqrt(50)
    assert told > 0.02  # a map that is far from equal masses: noise alone cannot agree
    assert told == pytest.approx(estimates.mean().item(), abs=4 * error.item() + 4 * 2 * told**0.5 * result.numbers["rel_std"])


@pytest.mark.parametrize("steps", [1, 17])
def test_interrupted_and_run_again_is_the_same_to_the_bit(codes, potential, tmp_path, steps):
    options = replace(OPTIONS, ot=potential)
    whole = fit_flow(codes, tmp_path / "whole.safetensors", options).out
    broken = tmp_path / "broken.safetensors"
    with pytest.raises(InterruptedRun, match="the same command goes on"):
        fit_flow(codes, broken, options, progress=Interrupting(steps))
    assert not broken.exists()
    fit_flow(codes, broken, options)
    (_, ours), (_, theirs) = read_checkpoint(whole), read_checkpoint(broken)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert read_log(run_folder(whole) / "log.jsonl")[-1]["L_flow"] == read_log(run_folder(broken) / "log.jsonl")[-1]["L_flow"]


def test_more_steps_go_on_and_another_solver_trains_nothing(codes, tmp_path):
    out = fit_flow(codes, tmp_path / "flow.safetensors", replace(OPTIONS, steps=20)).out
    fit_flow(codes, out, OPTIONS)
    whole = fit_flow(codes, tmp_path / "whole.safetensors", OPTIONS).out
    (_, ours), (_, theirs) = read_checkpoint(whole), read_checkpoint(out)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert fit_flow(codes, out, replace(OPTIONS, solver="rk4", solver_steps=2)).numbers["steps"] == 40
    header, flow = opened(out)
    assert (flow.solver, flow.steps, header.step) == ("rk4", 2, 40)
    assert all(torch.equal(theirs[name], tensor) for name, tensor in read_checkpoint(out)[1].items())


def test_other_settings_are_refused_by_name(codes, tmp_path):
    out = fit_flow(codes, tmp_path / "flow.safetensors", OPTIONS).out
    with pytest.raises(UsageError, match=r"other settings \(method.pairs: minibatch → independent\); use --restart"):
        fit_flow(codes, out, replace(OPTIONS, pairs="independent"))
    fit_flow(codes, out, replace(OPTIONS, pairs="independent", restart=True))
    assert read_checkpoint_header(out).config["fit"]["pairs"] == "independent"


def test_per_class(codes, tmp_path):
    ot = fit_ot(codes, tmp_path / "classes.safetensors", replace(MAP, per_class=True)).out
    options = replace(OPTIONS, ot=ot, per_class=True, steps=300, lr=3e-3, ema_halflife=20)
    flow = opened(fit_flow(codes, tmp_path / "flow.safetensors", options).out)[1]
    assert flow.classes == 2
    for label, side in ((0, -5), (1, 5)):
        assert flow.given(label).sample_numbered(0, range(200)).mean().item() == pytest.approx(side, abs=0.5)


def test_maps_that_do_not_fit_are_refused(codes, potential, tmp_path):
    cube = fit_ot(codes, tmp_path / "cube.safetensors", replace(MAP, source="cube")).out
    out = tmp_path / "flow.safetensors"
    with pytest.raises(FileError, match="is a map from the cube"):
        fit_flow(codes, out, replace(OPTIONS, ot=cube))
    with pytest.raises(FileError, match="has one map of all classes; leave out --per-class"):
        fit_flow(codes, out, replace(OPTIONS, ot=potential, per_class=True))
    write_codes(tmp_path / "other.h5", np.random.default_rng(1).normal(size=(60, 2)).astype(np.float32))
    with pytest.raises(FileError, match="was fitted to other codes"):
        fit_flow(tmp_path / "other.h5", out, replace(OPTIONS, ot=potential))
    with pytest.raises(FileError, match="is not a sampler 'flow'"):
        fit_flow(codes, cube, OPTIONS)
    with pytest.raises(UsageError, match="holds a sampler 'ot', which has no solver"):
        load_sampler(SamplerFile(potential, "ot", solver="euler"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"pairs": "semidiscrete"}, "--pairs semidiscrete: needs --ot FILE"),
        ({"pairs": "optimal"}, "choose independent, minibatch or semidiscrete"),
        ({"steps": 0}, "--steps 0"),
        ({"solver": "rk45"}, "choose euler, heun or rk4"),
        ({"solver_steps": 0}, "--solver-steps 0"),
    ],
)
def test_options_without_meaning_are_refused(settings, said):
    with pytest.raises(UsageError, match=said):
        replace(OPTIONS, **settings)


def test_a_map_is_used_only_by_its_pairs(potential):
    with pytest.raises(UsageError, match="is used only by --pairs semidiscrete"):
        replace(OPTIONS, ot=potential, pairs="minibatch")


@pytest.mark.parametrize(
    ("n", "dim", "size"), [(1000, 8, (128, 3)), (20_000, 64, (512, 4)), (60_000, 1000, (1024, 4)), (60_000, 17, (256, 4))]
)
def test_the_size_follows_from_codes_and_dimensions(n, dim, size):
    assert FitFlowOptions().size(n, dim) == size
