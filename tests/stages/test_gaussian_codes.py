"""encode --flow and what reads its codes: they go back through the same flow, and are never taken for codes of the encoder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files import hdf5
from genrev_cli.files.codes import GAUSSIAN, SPACE, open_code_file, open_codes, writing_codes
from genrev_cli.files.directions import open_directions
from genrev_cli.files.header import Header
from genrev_cli.files.writers import write_codes
from genrev_cli.report.chain import Record
from genrev_cli.runs.following import next_command
from genrev_cli.scoring.latent_planes import code_clouds
from genrev_cli.settings.codes import DecodeSettings, EncodeSettings, FitGmmSettings
from genrev_cli.settings.directions import FitDirectionsSettings
from genrev_cli.settings.figures import TraverseSettings
from genrev_cli.settings.flow import FitFlowOptions
from genrev_cli.settings.probe import ProbeSettings
from genrev_cli.settings.sampling import SamplerFile
from genrev_cli.stages.decode import decode
from genrev_cli.stages.encode import encode
from genrev_cli.stages.figures import traverse
from genrev_cli.stages.fit_directions import fit_directions
from genrev_cli.stages.fit_flow import fit_flow
from genrev_cli.stages.fit_gmm import fit_gmm
from genrev_cli.stages.probe import probe
from genrev_cli.store.belonging import directions_of
from genrev_cli.store.checkpoints import load_checkpoint
from genrev_cli.store.gaussian import moved
from genrev_cli.store.samplers import load_sampler

ENCODE, DECODE, CPU = EncodeSettings(device="cpu"), DecodeSettings(device="cpu"), torch.device("cpu")
FLOW = FitFlowOptions(steps=30, batch=16, width=16, blocks=1, lr=1e-2, ema_halflife=5, solver="rk4", solver_steps=32, device="cpu")
PCA = FitDirectionsSettings(methods=("pca",), components=2, device="cpu")


@pytest.fixture
def codes(model, tmp_path):
    """The 22 codes of the encoder."""
    return encode(model, tmp_path / "codes.h5", ENCODE).out


@pytest.fixture
def flow(codes, tmp_path):
    return fit_flow(codes, tmp_path / "flow.safetensors", FLOW).out


@pytest.fixture
def noise(model, flow, tmp_path):
    """The same codes as Gaussian codes."""
    return encode(model, tmp_path / "noise.h5", replace(ENCODE, flow=flow)).out


@pytest.fixture
def other(codes, tmp_path):
    """Another flow of the same codes."""
    return fit_flow(codes, tmp_path / "other.safetensors", replace(FLOW, seed=1)).out


def images_of(path):
    with np.load(path) as file:
        return file["images"]


def loaded(path):
    return load_sampler(SamplerFile(path, "flow"))[1]


def test_codes_and_gaussian_codes_are_one_to_one(codes, flow, noise):
    y, x = open_codes(codes), open_codes(noise)
    assert x.header.config == {**y.header.config, SPACE: GAUSSIAN}
    assert x.header.inputs.keys() == {"ckpt", "flow", "data"}
    assert np.abs(x.codes - y.codes).max() > 0.1
    np.testing.assert_allclose(loaded(flow).codes(torch.from_numpy(x.codes)).numpy(), y.codes, atol=1e-4)
    np.testing.assert_array_equal(x.labels, y.labels)


def test_decode_goes_back_through_the_flow(model, codes, noise, tmp_path):
    made = [images_of(decode(path, model, tmp_path / f"{path.stem}.npz", DECODE).out) for path in (codes, noise)]
    assert np.abs(made[0].astype(int) - made[1]).max() <= 1
    assert len(np.unique(made[0])) > 10
    assert open_code_file(noise).gaussian


def test_the_solver_of_decode_is_that_of_encode(model, codes, flow, noise, tmp_path):
    before = images_of(decode(noise, model, tmp_path / "before.npz", DECODE).out)
    fit_flow(codes, flow, replace(FLOW, solver="euler", solver_steps=1))
    assert np.array_equal(images_of(decode(noise, model, tmp_path / "after.npz", DECODE).out), before)


def test_codes_that_were_edited_are_written_with_their_flow(model, flow, noise, tmp_path):
    x = open_codes(noise).codes
    write_codes(tmp_path / "own.h5", x, ckpt=model, flow=flow)
    made = [images_of(decode(path, model, tmp_path / f"{path.stem}.npz", DECODE).out) for path in (noise, tmp_path / "own.h5")]
    np.testing.assert_array_equal(*made)
    with pytest.raises(UsageError, match="holds a flow of 4 dimensions, but a flow of 3 dimensions is needed"):
        write_codes(tmp_path / "own.h5", x[:, :3], flow=flow)
    with pytest.raises(UsageError, match="holds a sampler 'gmm', but a flow"):
        gmm = fit_gmm(tmp_path / "codes.h5", tmp_path / "gmm.safetensors", FitGmmSettings(components=1)).out
        write_codes(tmp_path / "own.h5", x, flow=gmm)


def test_a_flow_that_moved_can_be_named(model, flow, noise, tmp_path):
    moved_to = flow.rename(tmp_path / "moved.safetensors")
    with pytest.raises(FileError, match=r"flow.safetensors: is missing, and .* give the flow with --flow FILE"):
        decode(noise, model, tmp_path / "x.npz", DECODE)
    assert decode(noise, model, tmp_path / "x.npz", replace(DECODE, flow=moved_to)).numbers["images"] == 22


def test_another_flow_is_refused(model, codes, noise, other, tmp_path):
    with pytest.raises(FileError, match=r"other.safetensors: is not the flow of the Gaussian codes in"):
        decode(noise, model, tmp_path / "x.npz", replace(DECODE, flow=other))
    with pytest.raises(UsageError, match=r"--flow .*other.safetensors: .*codes.h5 has no Gaussian codes"):
        decode(codes, model, tmp_path / "x.npz", replace(DECODE, flow=other))


@pytest.mark.parametrize("fit", [fit_gmm, fit_flow], ids=["gmm", "flow"])
def test_nothing_is_fitted_to_gaussian_codes_as_if_they_were_codes(noise, tmp_path, fit):
    with pytest.raises(UsageError, match="has Gaussian codes, which are N"):
        fit(noise, tmp_path / "x.safetensors", FLOW if fit is fit_flow else FitGmmSettings(components=1))


def test_codes_of_both_spaces_are_not_mixed(model, codes, noise, other, tmp_path):
    with pytest.raises(FileError, match="has codes of another space"):
        probe(codes, tmp_path / "p.json", ProbeSettings(test=noise))
    apart = encode(model, tmp_path / "apart.h5", replace(ENCODE, flow=other, split="val")).out
    with pytest.raises(FileError, match="has codes of another space"):
        probe(noise, tmp_path / "p.json", ProbeSettings(test=apart))
    pictures = replace(FitDirectionsSettings(device="cpu"), before=tmp_path, after=tmp_path)
    with pytest.raises(UsageError, match="has Gaussian codes, but --from and --to are encoded to other codes"):
        fit_directions(noise, tmp_path / "d.safetensors", pictures, ckpt=model)


@pytest.mark.parametrize(
    ("settings", "said"), [({"full": True}, "was fitted to codes of the active dimensions; leave --full out")], ids=["restricted"]
)
def test_the_flow_says_which_codes(model, flow, tmp_path, settings, said):
    with pytest.raises(UsageError, match=said):
        encode(model, tmp_path / "x.h5", replace(ENCODE, flow=flow, **settings))


def test_a_flow_of_the_full_latent(model, tmp_path):
    whole = encode(model, tmp_path / "whole.h5", replace(ENCODE, full=True)).out
    flow = fit_flow(whole, tmp_path / "whole.safetensors", replace(FLOW, steps=2)).out
    noise = encode(model, tmp_path / "whole-noise.h5", replace(ENCODE, full=True, flow=flow)).out
    found = loaded(flow).codes(torch.from_numpy(open_codes(noise).codes)).numpy()
    np.testing.assert_allclose(found, open_codes(whole).codes, atol=1e-3)
    with pytest.raises(UsageError, match="was fitted to codes of the full latent; add --full"):
        encode(model, tmp_path / "x.h5", replace(ENCODE, flow=flow))
    with pytest.raises(UsageError, match="up to the error of its solver; leave --exact-bits out"):
        replace(ENCODE, full=True, exact_bits=16, flow=flow)


def test_another_models_flow_is_refused(recon, flow, tmp_path):
    with pytest.raises(FileError, match="was fitted to codes of"):
        encode(recon(tmp_path / "another.safetensors", steps=1).out, tmp_path / "x.h5", replace(ENCODE, flow=flow))


def test_a_flow_of_classes_takes_the_labels(model, codes, tmp_path):
    given = open_codes(codes)
    labels = np.arange(22) % 2
    write_codes(tmp_path / "two.h5", given.codes, labels=labels, ckpt=model)
    flow = fit_flow(tmp_path / "two.h5", tmp_path / "two.safetensors", replace(FLOW, per_class=True)).out
    with pytest.raises(UsageError, match="is a flow of 2 classes, and some codes have no label among them"):
        encode(model, tmp_path / "x.h5", replace(ENCODE, flow=flow))  # the data have ten classes
    x = loaded(flow).gaussian(torch.from_numpy(given.codes), torch.from_numpy(labels)).numpy()
    write_codes(tmp_path / "noise.h5", x, labels=labels, ckpt=model, flow=flow)
    made = [images_of(decode(path, model, tmp_path / f"{path.stem}.npz", DECODE).out) for path in (codes, tmp_path / "noise.h5")]
    assert np.abs(made[0].astype(int) - made[1]).max() <= 1
    write_codes(tmp_path / "unlabelled.h5", x, ckpt=model, flow=flow)
    with pytest.raises(UsageError, match="some codes have no label"):
        decode(tmp_path / "unlabelled.h5", model, tmp_path / "x.npz", DECODE)


def test_directions_of_gaussian_codes_move_along_the_flow(model, flow, noise, tmp_path, notes):
    path = fit_directions(noise, tmp_path / "d.safetensors", PCA).out
    found = open_directions(path)
    assert found.gaussian
    numbers = traverse(model, tmp_path / "t.png", TraverseSettings(directions=path, around="0", device="cpu")).numbers
    assert numbers["directions"] == ["pc1", "pc2"]
    opened, one = load_checkpoint(model, CPU), loaded(flow)
    prior = opened.own_prior
    z = torch.randn(1, prior.latent_dim, generator=torch.Generator().manual_seed(0))
    moves = torch.stack([torch.zeros(4), found.move("pc1", 2.0)])
    y = prior.select(prior.restrict(z))
    wanted = one.codes(one.gaussian(y) + moves)
    restricted = moved(prior, prior.restrict(z), directions=found, moves=moves, flow=one)
    torch.testing.assert_close(prior.select(restricted), wanted)
    torch.testing.assert_close(restricted[:1], prior.restrict(z), atol=1e-4, rtol=0)
    whole = moved(prior, z, directions=found, moves=moves, flow=one)
    torch.testing.assert_close(whole - prior.embed(prior.select(whole)), (z - prior.embed(prior.select(z))).expand(2, -1))
    torch.testing.assert_close(moved(prior, None, directions=found, moves=moves, flow=one), prior.embed(one.codes(found.mean + moves)))


def test_directions_of_gaussian_codes_are_refused_elsewhere(model, codes, flow, noise, tmp_path, notes):
    path = fit_directions(noise, tmp_path / "d.safetensors", PCA).out
    with pytest.raises(UsageError, match="has directions of Gaussian codes, which only 'genrev traverse' can follow"):
        directions_of(load_checkpoint(model, CPU), path, notes)
    plain = fit_directions(codes, tmp_path / "plain.safetensors", PCA).out
    with pytest.raises(UsageError, match=r"plain.safetensors has no Gaussian codes"):
        traverse(model, tmp_path / "t.png", TraverseSettings(directions=plain, flow=flow, device="cpu"))
    with pytest.raises(UsageError, match="is for directions of Gaussian codes"):
        TraverseSettings(flow=flow)


def test_the_next_command_fits_the_space(model, codes, noise, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert next_command("encode", Path("codes.h5")) == "genrev fit-ot codes.h5"
    assert next_command("encode", Path("noise.h5")) == "genrev decode noise.h5 --ckpt model.safetensors --out decoded"
    fit_directions(noise, tmp_path / "d.safetensors", PCA)
    assert next_command("fit-directions", Path("d.safetensors")) == "genrev traverse --ckpt model.safetensors --directions d.safetensors"


def test_a_page_does_not_plot_gaussian_codes_beside_a_prior(noise, notes):
    assert code_clouds(Record(noise, hdf5.read_header(noise)), [], [], notes) == []
    assert "Gaussian codes of a flow, which are not plotted" in notes.said[-1]


def test_gaussian_codes_that_do_not_name_their_flow_are_damaged(model, tmp_path):
    header = Header("codes", {"latent": "restricted", "dim": 4, "split": "", SPACE: GAUSSIAN}, "")
    with writing_codes(tmp_path / "x.h5", header, labels=np.zeros(2), rows=np.arange(2)) as writer:
        writer.add(np.zeros((2, 4), np.float32))
    with pytest.raises(FileError, match="damaged: its header does not say whose Gaussian codes it has"):
        decode(tmp_path / "x.h5", model, tmp_path / "y.npz", DECODE)
