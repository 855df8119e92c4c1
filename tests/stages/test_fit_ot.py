"""fit-ot and fit-gmm: codes to samplers, and samplers in a prior's place."""

import json
import signal
from contextlib import contextmanager
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from genrev_cli.errors import FileError, InterruptedRun, UsageError
from genrev_cli.files import hdf5
from genrev_cli.files.checkpoint import read_checkpoint, read_checkpoint_header
from genrev_cli.files.header import Header
from genrev_cli.ot import semidiscrete
from genrev_cli.progress import Progress, Task
from genrev_cli.runs.resume import run_folder
from genrev_cli.settings.codes import EncodeSettings, FitGmmSettings
from genrev_cli.settings.figures import InterpolateSettings
from genrev_cli.settings.sample import SampleSettings
from genrev_cli.settings.sampling import Draw, SamplerFile
from genrev_cli.settings.transport_map import FitOtOptions
from genrev_cli.stages.encode import encode
from genrev_cli.stages.figures import interpolate
from genrev_cli.stages.fit_gmm import fit_gmm
from genrev_cli.stages.fit_ot import fit_ot
from genrev_cli.stages.sample import sample
from genrev_cli.store.drawing import Drawing
from genrev_cli.store.samplers import load_sampler, open_model
from genrev_cli.training.log import read_log

pytestmark = pytest.mark.usefixtures("coarse_maps")

OPTIONS = FitOtOptions(target_error=0.4, precision="fp32", device="cpu")
CPU = torch.device("cpu")


@pytest.fixture
def codes(tmp_path):
    """Two clusters in the plane, 30 codes of each, far apart; the labels say which."""
    rng = np.random.default_rng(0)
    values = {
        "codes": np.concatenate([rng.normal(-5, 0.3, (30, 2)), rng.normal(5, 0.3, (30, 2))]).astype(np.float32),
        "labels": np.repeat([0, 1], 30),
        "rows": np.arange(60),
    }
    path = tmp_path / "codes.h5"
    with hdf5.writing(path, Header("codes", {"latent": "restricted", "dim": 2, "split": "train"}, "")) as writer:
        for name, array in values.items():
            writer.create(name, array.shape, str(array.dtype))
            writer.write(name, 0, array)
    return path


@contextmanager
def edited(path):
    """The open file; its header is true of what becomes of it."""
    with h5py.File(path, "r+") as file:
        yield file
    header = replace(hdf5.read_header(path), sha256=hdf5.read_digest(path))
    with h5py.File(path, "r+") as file:
        file.attrs["genrev"] = header.to_json()


def drawn(path, n=400):
    return Drawing(load_sampler(SamplerFile(path))[1], Draw(), CPU).codes(range(n))


def hdf5_codes(path):
    with h5py.File(path) as file:
        return torch.from_numpy(file["codes"][:])


def test_a_map_of_two_clusters_never_draws_between_them(codes, tmp_path):
    result = fit_ot(codes, tmp_path / "ot.safetensors", OPTIONS)
    assert result.numbers["rel"] < 0.4
    assert result.numbers["empty"] == 0
    assert result.numbers["interpolated"] > 0.8
    y = drawn(result.out, 2000)
    with h5py.File(codes) as file:
        given = torch.from_numpy(file["codes"][:])
    for side, of in ((y[:, 0] < 0, given[:30]), (y[:, 0] > 0, given[30:])):
        assert side.double().mean().item() == pytest.approx(0.5, abs=0.05)
        assert (y[side] >= of.min(0).values - 1e-5).all()
        assert (y[side] <= of.max(0).values + 1e-5).all()


def test_a_complex_of_short_edges(codes, tmp_path, monkeypatch):
    """It takes the heights of an earlier map, finds an ε between the clusters, and draws no code in the gap."""
    out = fit_ot(codes, tmp_path / "ot.safetensors", OPTIONS).out
    steps = counted(monkeypatch)
    numbers = fit_ot(codes, out, replace(OPTIONS, complex="edge")).numbers
    assert not steps
    assert 0.1 < numbers["epsilon"][0] < 7
    assert numbers["edge_1"] <= numbers["edge_50"] <= numbers["edge_99"]
    assert "theta" not in numbers
    assert numbers["interpolated"] > 0.8
    header = read_checkpoint_header(out)
    assert header.config["sampler"]["epsilon"] == numbers["epsilon"]
    assert {key: header.config["fit"][key] for key in ("complex", "epsilon")} == {"complex": "edge", "epsilon": "auto"}
    y, given = drawn(out, 2000)[:, 0], hdf5_codes(codes)[:, 0]
    assert not ((y > given[given < 0].max() + 1e-5) & (y < given[given > 0].min() - 1e-5)).any()
    wide = fit_ot(codes, tmp_path / "wide.safetensors", replace(OPTIONS, complex="edge", epsilon="30")).out
    assert (drawn(wide, 2000)[:, 0].abs() < 3).any()


def test_a_map_of_angles_has_no_key_of_edges(codes, tmp_path):
    """So a run of train-gan that began with a map of an earlier version goes on with the same map fitted again."""
    header = read_checkpoint_header(fit_ot(codes, tmp_path / "ot.safetensors", OPTIONS).out)
    assert header.config["sampler"].keys() == {"name", "dim", "sizes", "theta", "rule", "neighbours", "drop", "conditional"}
    assert header.config["fit"].keys() == {"per_class", "precision", "seed", "theta"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"epsilon": "1"}, "--epsilon 1: has no meaning with --complex angle; leave it out"),
        ({"complex": "edge", "theta": "0.5"}, "--theta 0.5: has no meaning with --complex edge; leave it out"),
        ({"complex": "edge", "epsilon": "-1"}, "--epsilon -1: must be auto or a number of at least 0"),
        ({"complex": "edge", "epsilon": "inf"}, "--epsilon inf: must be auto or a number of at least 0"),
        ({"complex": "edges"}, "--complex edges: choose angle or edge"),
        ({"theta": "4"}, "--theta 4: must be auto or an angle from 0 to π"),
    ],
)
def test_bounds_that_mean_nothing(options, said):
    with pytest.raises(UsageError, match=said):
        replace(OPTIONS, **options)


def test_the_file_tells_how_it_was_made(codes, tmp_path):
    out = fit_ot(codes, tmp_path / "ot.safetensors", replace(OPTIONS, theta="0.3", rule="two-cell", neighbours=7)).out
    header = read_checkpoint_header(out)
    assert header.kind == "sampler"
    assert header.config["sampler"] | {"sizes": [60], "theta": [0.3], "rule": "two-cell", "neighbours": 7} == header.config["sampler"]
    assert header.inputs["codes"]["sha256"] == hdf5.read_header(codes).sha256
    assert [line["rel"] for line in header.config["history"]][-1] == header.config["numbers"]["rel"]
    assert header.step == header.config["history"][-1]["map_samples"]


def test_errors_are_of_fresh_samples_and_come_down(codes, tmp_path):
    out = fit_ot(codes, tmp_path / "ot.safetensors", replace(OPTIONS, target_error=0.1)).out
    errors = [line["rel"] for line in read_log(run_folder(out) / "log.jsonl")]
    assert len(errors) > 2
    assert errors[-1] < 0.5 * errors[0]


def test_per_class(codes, tmp_path):
    out = fit_ot(codes, tmp_path / "ot.safetensors", replace(OPTIONS, per_class=True)).out
    _, sampler = load_sampler(SamplerFile(out, "ot"))
    assert sampler.classes == 2
    assert sampler.sizes == (30, 30)
    assert Drawing(sampler, Draw(labels=(1,)), CPU).codes(range(100))[:, 0].min() > 0
    turns = Drawing(sampler, Draw(labels=(1, 0)), CPU)
    assert (turns.codes(range(6))[:, 0] > 0).tolist() == [True, False] * 3
    assert torch.equal(turns.codes([3])[0], turns.codes(range(6))[3])


class Interrupting(Progress):
    """Sends SIGINT after so many steps."""

    def __init__(self, steps):
        self.left = steps

    def task(self, title, total, unit="images", done=0):
        listener = self

        class Counter(Task):
            def advance(self, units=1, **numbers):
                listener.left -= bool(units)
                if listener.left == 0:
                    signal.raise_signal(signal.SIGINT)

        class Block:
            def __enter__(self):
                return Counter()

            def __exit__(self, *_):
                return False

        return Block()


@pytest.mark.parametrize("steps", [1, 7])
def test_interrupted_and_run_again_is_the_same_to_the_bit(codes, tmp_path, steps):
    options = replace(OPTIONS, target_error=0.2)
    whole = fit_ot(codes, tmp_path / "whole.safetensors", options).out
    broken = tmp_path / "broken.safetensors"
    with pytest.raises(InterruptedRun, match="the same command goes on"):
        fit_ot(codes, broken, options, progress=Interrupting(steps))
    assert not broken.exists()
    fit_ot(codes, broken, options)
    (_, ours), (_, theirs) = read_checkpoint(whole), read_checkpoint(broken)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    logs = [[line["rel"] for line in read_log(run_folder(path) / "log.jsonl")] for path in (whole, broken)]
    assert logs[0] == logs[1]


def test_every_time_limit_makes_progress(codes, tmp_path):
    """Also where a run begins with a judgement, which takes longer than a step."""
    out, options = tmp_path / "ot.safetensors", replace(OPTIONS, target_error=0.2, time_limit=1e-4)
    reached = [0]
    for _ in range(4):
        with pytest.raises(InterruptedRun):
            fit_ot(codes, out, options)
        reached.append(read_checkpoint_header(run_folder(out) / "state.safetensors").step)
    assert reached == sorted(set(reached))
    assert read_log(run_folder(out) / "log.jsonl")  # of a judgement


def counted(monkeypatch):
    steps = []
    step = semidiscrete.StreamingSolver.step
    monkeypatch.setattr(semidiscrete.StreamingSolver, "step", lambda self: (steps.append(1), step(self))[1])
    return steps


def test_another_rule_needs_no_new_heights_and_a_smaller_error_goes_on(codes, tmp_path, monkeypatch):
    out = fit_ot(codes, tmp_path / "ot.safetensors", OPTIONS).out
    heights = read_checkpoint(out)[1]["sampler.heights"]
    steps = counted(monkeypatch)
    fit_ot(codes, out, replace(OPTIONS, rule="nearest", theta="0"))
    assert not steps
    assert torch.equal(read_checkpoint(out)[1]["sampler.heights"], heights)
    before = read_checkpoint_header(out).step
    fit_ot(codes, out, replace(OPTIONS, target_error=0.1))
    assert steps
    assert read_checkpoint_header(out).step > before


def test_other_settings_are_refused_by_name(codes, tmp_path):
    out = fit_ot(codes, tmp_path / "ot.safetensors", OPTIONS).out
    with pytest.raises(UsageError, match=r"other settings \(seed: 0 → 1\); use --restart"):
        fit_ot(codes, out, replace(OPTIONS, seed=1))
    fit_ot(codes, out, replace(OPTIONS, seed=1, restart=True))
    assert read_checkpoint_header(out).config["fit"]["seed"] == 1


def test_an_interrupted_restart_stays_a_restart(codes, tmp_path):
    out = fit_ot(codes, tmp_path / "ot.safetensors", replace(OPTIONS, target_error=0.2)).out
    with pytest.raises(InterruptedRun):
        fit_ot(codes, out, replace(OPTIONS, seed=1, restart=True), progress=Interrupting(1))
    assert read_checkpoint_header(run_folder(out) / "state.safetensors").config["identity"]["seed"] == 1
    fit_ot(codes, out, replace(OPTIONS, seed=1))
    assert read_checkpoint_header(out).config["fit"]["seed"] == 1


def test_the_limit_of_steps_ends_the_solver_with_a_note(codes, tmp_path, notes):
    result = fit_ot(codes, tmp_path / "ot.safetensors", replace(OPTIONS, target_error=0.01, max_samples=500), progress=notes)
    assert result.numbers["samples"] == 500
    assert any("not surely below 0.01; raise --max-samples to go on" in note for note in notes.said)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"theta": "wide"}, "--theta wide"),
        ({"theta": "4"}, "from 0 to π"),
        ({"rule": "cubic"}, "--rule cubic"),
        ({"rule": "nearest", "drop": True}, "joins no cells"),
        ({"target_error": 0.0}, "must be more than 0"),
        ({"precision": "fp8"}, "--precision fp8"),
    ],
)
def test_options_without_meaning_are_refused(settings, said):
    with pytest.raises(UsageError, match=said):
        replace(OPTIONS, **settings)


@pytest.mark.parametrize(("labels", "said"), [([-1] + [0] * 59, "have no label"), ([0] * 30 + [2] * 30, "class 1 has no codes")])
def test_unusable_labels_are_refused(codes, tmp_path, labels, said):
    with edited(codes) as file:
        file["labels"][...] = labels
    with pytest.raises(UsageError, match=said):
        fit_ot(codes, tmp_path / "ot.safetensors", replace(OPTIONS, per_class=True))


@pytest.fixture
def fitted(model, tmp_path):
    """A checkpoint, and both kinds of samplers of its 22 codes."""
    codes = encode(model, tmp_path / "own.h5", EncodeSettings(device="cpu")).out
    files = {
        "ot": fit_ot(codes, tmp_path / "own-ot.safetensors", replace(OPTIONS, per_class=False)).out,
        "gmm": fit_gmm(codes, tmp_path / "own-gmm.safetensors", FitGmmSettings(components=2)).out,
    }
    return model, {name: SamplerFile(path, name) for name, path in files.items()}


@pytest.mark.parametrize("name", ["ot", "gmm"])
def test_samples_are_decoded_codes_of_the_sampler(fitted, tmp_path, name):
    ckpt, files = fitted
    result = sample(ckpt, tmp_path / "s.h5", SampleSettings(n=5, seed=3, sampler=files[name], batch=5, device="cpu"))
    model = open_model(ckpt, CPU, files[name])
    codes = Drawing(load_sampler(files[name])[1], Draw(3), CPU).codes(range(5))
    with torch.no_grad(), h5py.File(result.out) as file:
        images = model.autoencoder.decode(model.prior.base.embed(codes)).clamp(0, 1).mul(255).round()
        np.testing.assert_array_equal(file["images"][:], images.numpy().astype(np.uint8))
        header = json.loads(file.attrs["genrev"])
    assert header["config"]["sampler"] == name
    assert header["inputs"].keys() == {"ckpt", "sampler"}
    assert result.numbers["sampler"] == name


def test_a_sampler_of_another_model_is_refused(fitted, recon, tmp_path):
    _, files = fitted
    other = recon(tmp_path / "other.safetensors", steps=3).out
    with pytest.raises(FileError, match=r"was fitted to codes of .*, not of .*other.safetensors; run 'genrev encode"):
        sample(other, tmp_path / "s.h5", SampleSettings(sampler=files["ot"], device="cpu"))


def test_a_file_of_another_kind_is_refused_as_a_sampler(fitted, tmp_path):
    ckpt, files = fitted
    with pytest.raises(FileError, match="holds a sampler 'gmm' where 'ot' is needed; 'genrev fit-ot'"):
        open_model(ckpt, CPU, replace(files["gmm"], name="ot"))
    with pytest.raises(FileError, match="kind 'checkpoint', but 'sampler' is needed"):
        open_model(ckpt, CPU, SamplerFile(ckpt, "ot"))


def test_interpolate_follows_the_map(fitted, data, tmp_path):
    ckpt, files = fitted
    result = interpolate(
        ckpt, tmp_path / "p.png", InterpolateSettings(split="train", ot=files["ot"].path, steps=4, device="cpu"), pairs=[("0", "1")]
    )
    assert result.numbers["path"] == "OT map"
    with pytest.raises(UsageError, match="leave --latent and --path out"):
        interpolate(ckpt, tmp_path / "p.png", InterpolateSettings(ot=files["ot"].path, path="spherical", device="cpu"))


def test_gmm_is_scikit_learns(codes, tmp_path):
    result = fit_gmm(codes, tmp_path / "gmm.safetensors", FitGmmSettings(components=2))
    _, sampler = load_sampler(SamplerFile(result.out, "gmm"))
    assert sorted(round(x) for x in sampler.mean[:, 0].tolist()) == [-5, 5]
    torch.testing.assert_close(sampler.weight, torch.tensor([0.5, 0.5]))
    with pytest.raises(UsageError, match="--components 61: must be at most the number of codes, 60"):
        fit_gmm(codes, tmp_path / "gmm.safetensors", FitGmmSettings(components=61))


def test_a_signal_during_the_last_score_stops_the_run(codes, tmp_path, monkeypatch):
    from genrev_cli.stages import fit_ot as stage

    def judged(*words, **settings):
        signal.raise_signal(signal.SIGINT)
        return judge(*words, **settings)

    judge = stage.judge
    monkeypatch.setattr(stage, "judge", judged)
    with pytest.raises(InterruptedRun):
        fit_ot(codes, tmp_path / "ot.safetensors", OPTIONS)
    assert not (tmp_path / "ot.safetensors").exists()


def test_a_resumed_run_logs_each_score_once(codes, tmp_path):
    out = fit_ot(codes, tmp_path / "ot.safetensors", replace(OPTIONS, per_class=True)).out
    before = read_log(run_folder(out) / "log.jsonl")
    fit_ot(codes, out, replace(OPTIONS, per_class=True))
    assert [line["map_samples"] for line in read_log(run_folder(out) / "log.jsonl")] == [line["map_samples"] for line in before]


@pytest.mark.parametrize("settings", [{"theta": "0", "drop": True}, {"theta": "0", "rule": "two-cell"}, {"neighbours": 1, "drop": True}])
def test_a_map_that_could_draw_nothing_is_not_written(codes, tmp_path, settings):
    with pytest.raises(UsageError, match="every sample would be rejected"):
        fit_ot(codes, tmp_path / "ot.safetensors", replace(OPTIONS, **settings))
    assert not (tmp_path / "ot.safetensors").exists()


def test_one_sampler_does_not_replace_another(codes, tmp_path):
    out = fit_ot(codes, tmp_path / "ot.safetensors", OPTIONS).out
    with pytest.raises(FileError, match="is not a sampler 'gmm'"):
        fit_gmm(codes, out, FitGmmSettings(components=2))


@pytest.mark.parametrize(
    "fit", [lambda codes, out: fit_ot(codes, out, OPTIONS), lambda codes, out: fit_gmm(codes, out, FitGmmSettings(components=2))]
)
def test_codes_that_are_not_finite_are_refused(codes, tmp_path, fit):
    with edited(codes) as file:
        file["codes"][3, 1] = np.nan
    with pytest.raises(FileError, match="code 3 is not finite"):
        fit(codes, tmp_path / "out.safetensors")


def test_reconstructions_do_not_depend_on_the_sampler(fitted, data, tmp_path):
    from genrev_cli.scoring.measure import measure
    from genrev_cli.settings.fid import FidOptions

    ckpt, files = fitted
    options = FidOptions(str(data), "train", 20, metrics=("fid", "recon"), ckpt=ckpt, device="cpu", cache=False)
    options = replace(options, features=replace(options.features, features="pixel"))
    plain, resampled = (measure(None, replace(options, sampler=sampler), Progress()).numbers for sampler in (None, files["ot"]))
    assert plain["L1"] == resampled["L1"]
    assert plain["value"] != resampled["value"]
