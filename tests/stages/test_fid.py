"""`fid` from files to numbers: known values, the same for every file format, and every metric compared with its own function."""

import json

import numpy as np
import pytest
import torch
from fid_files import DIMS, PIXEL, SHAPE, h5, npy, npz, numbers, pngs, zipped
from pytorch_fid.fid_score import compute_statistics_of_path

from genrev_cli.errors import FileError, UsageError
from genrev_cli.metrics.features import PixelExtractor
from genrev_cli.metrics.kernel import kid
from genrev_cli.metrics.neighbours import prdc
from genrev_cli.metrics.reconstruction import psnr, ssim
from genrev_cli.progress import Progress
from genrev_cli.scoring import measure as measuring
from genrev_cli.scoring import metrics as metrics_of_pairs
from genrev_cli.scoring.images import open_image_input
from genrev_cli.scoring.measure import measure
from genrev_cli.seeds import derive
from genrev_cli.settings.fid import OF_MODELS, FidOptions
from genrev_cli.settings.figures import ReconstructSettings
from genrev_cli.settings.sample import SampleSettings
from genrev_cli.shapes import to_float
from genrev_cli.stages.fid import fid
from genrev_cli.stages.figures import reconstruct
from genrev_cli.stages.sample import sample
from genrev_cli.store.checkpoints import load_checkpoint

WRITERS = {
    "folder": lambda path, x: pngs(path, x),
    "capitals": lambda path, x: pngs(path, x, ".PNG"),
    "zip": lambda path, x: zipped(path.with_suffix(".zip"), x),
    "h5": lambda path, x: h5(path.with_suffix(".h5"), x),
    "npz": lambda path, x: npz(path.with_suffix(".npz"), x),
    "ADM npz": lambda path, x: npz(path.with_suffix(".npz"), x, arr_0=x.transpose(0, 2, 3, 1)),
    "npy": lambda path, x: npy(path.with_suffix(".npy"), x.transpose(0, 2, 3, 1)),
}


def test_constant_images(tmp_path):
    """FD = D (c₁ − c₂)², because the covariances are 0."""
    for name, level in (("a", 51), ("b", 204)):
        npy(tmp_path / f"{name}.npy", np.full((5, *SHAPE), level, np.uint8))
    assert numbers(tmp_path / "a.npy", tmp_path / "b.npy")["value"] == pytest.approx(DIMS * 0.6**2, rel=1e-6)


def test_shifted_images(tmp_path):
    """FD = D k², because the covariances are equal."""
    x = np.random.default_rng(0).integers(0, 200, (300, *SHAPE), np.uint8)
    found = numbers(npy(tmp_path / "x.npy", x), npy(tmp_path / "y.npy", x + np.uint8(51)))
    assert found["value"] == pytest.approx(DIMS * 0.2**2, rel=1e-6)


def test_the_order_of_images_does_not_matter(tmp_path, sets, notes):
    x = np.load(sets[0])
    shuffled = npy(tmp_path / "s.npy", x[np.random.default_rng(1).permutation(len(x))])
    assert numbers(shuffled, sets[0], notes)["value"] < 1e-12 * DIMS
    assert "they may be the same images" in notes


@pytest.mark.parametrize("kind", WRITERS)
def test_the_file_format_does_not_matter(tmp_path, sets, kind):
    samples = WRITERS[kind](tmp_path / "x", np.load(sets[0]))
    found, plain = numbers(samples, sets[1]), numbers(sets[0], sets[1])
    assert found == plain
    assert (found["metric"], found["n"], found["n_reference"]) == ("FD-pixel", 40, 50)
    assert numbers(samples, sets[0])["value"] < 1e-12 * DIMS
    assert numbers(samples, sets[1], n=7) == numbers(npy(tmp_path / "7.npy", np.load(sets[0])[:7]), sets[1])


def test_statistics_replace_images(tmp_path, sets, notes):
    plain = numbers(sets[0], sets[1], save_stats=tmp_path / "a.npz")
    numbers(sets[1], sets[0], save_stats=tmp_path / "b.npz")
    for samples, ref in ((sets[0], tmp_path / "b.npz"), (tmp_path / "a.npz", sets[1]), (tmp_path / "a.npz", tmp_path / "b.npz")):
        found = numbers(samples, ref, notes)
        assert found["value"] == pytest.approx(plain["value"], abs=1e-12 * DIMS)
        assert {**found, "value": 0, "bias_floor": 0} == {**plain, "value": 0, "bias_floor": 0}
    assert "unknown origin" not in notes


def test_statistics_are_exchanged_with_pytorch_fid(tmp_path, sets, notes):
    plain = numbers(sets[0], sets[1], save_stats=tmp_path / "a.npz")
    mu, sigma = compute_statistics_of_path(str(tmp_path / "a.npz"), None, 50, DIMS, "cpu")
    np.savez_compressed(tmp_path / "theirs.npz", mu=mu, sigma=sigma)
    found = numbers(tmp_path / "theirs.npz", sets[1], notes)
    assert found["value"] == pytest.approx(plain["value"], abs=1e-12 * DIMS)
    assert (found["n"], found["bias_floor"]) == (None, None)
    assert "unknown origin" in notes
    both = measure(tmp_path / "theirs.npz", FidOptions(str(tmp_path / "theirs.npz")), Progress()).numbers
    assert (both["metric"], both["extractor"]) == ("FD-unknown", "unknown")
    assert both["value"] < 1e-12 * DIMS


def test_statistics_of_other_features_are_refused(tmp_path, sets):
    small = npy(tmp_path / "small.npy", np.load(sets[0])[:, :, :4, :4])
    numbers(small, small, save_stats=tmp_path / "small.npz")
    with pytest.raises(FileError, match=r"layer 3x4x4, not 3x8x8; dimensions 48, not 192"):
        numbers(sets[0], tmp_path / "small.npz")
    with pytest.raises(FileError, match="small.npz: was computed with features 'pixel', but the options ask for 'inception'"):
        measure(tmp_path / "small.npz", FidOptions(str(tmp_path / "small.npz")), Progress())


def test_every_metric_equals_its_own_function(sets, notes):
    rows = [PixelExtractor(SHAPE)(torch.from_numpy(np.load(path))).numpy() for path in sets]
    found = numbers(sets[0], sets[1], notes, metrics=("kid", "prdc", "fid"), seed=3)
    value, error = kid(*rows, generator=np.random.default_rng(derive(3, "kid")), subset_size=40)
    assert (found["metric"], found["value"], found["KD-pixel_standard_error"]) == ("KD-pixel", value, error)
    balls = prdc(rows[1], rows[0], k_precision=3, k_density=5)
    assert tuple(found[name] for name in ("precision", "recall", "density", "coverage")) == balls
    assert found["FD-pixel"] == pytest.approx(numbers(sets[0], sets[1])["value"], rel=1e-12)
    assert (found["k_precision"], found["k_density"], found["kid_subset_size"], found["feature_precision"]) == (3, 5, 40, "fp32")
    assert "subsets have 40 images" in notes
    assert "every subset holds all of the samples; the standard error covers only the choice of the reference" in notes
    assert "n = 40 < 192 dimensions" in notes
    assert numbers(sets[0], sets[1], metrics=("kid",), seed=4)["value"] != value


def test_kid_of_whole_sets_has_no_standard_error(tmp_path, sets, notes):
    found = numbers(sets[0], npy(tmp_path / "40.npy", np.load(sets[1])[:40]), notes, metrics=("kid",))
    assert "KD-pixel_standard_error" not in found
    assert "standard error" not in notes
    assert "every subset holds all of the reference" not in notes
    numbers(sets[1], sets[0], notes, metrics=("kid",))
    assert "every subset holds all of the reference" in notes


@pytest.mark.parametrize(("levels", "collapsed"), [([9, 9, 9, 9], True), ([9, 9, 10, 9], False)])
def test_samples_that_are_copies_of_one_image_are_noted(tmp_path, sets, notes, levels, collapsed):
    samples = np.array(levels, np.uint8)[:, None, None, None] * np.ones((1, *SHAPE), np.uint8)
    numbers(npy(tmp_path / "x.npy", samples), sets[1], notes)
    assert ("samples hardly differ from each other" in notes) is collapsed


def test_a_checkpoint_is_scored_by_its_samples(tmp_path, model, data):
    sample(model, tmp_path / "s.npz", SampleSettings(n=130, seed=5, temperature=0.7, device="cpu"))
    made = measure(None, FidOptions(str(data), n=130, seed=5, temperature=0.7, ckpt=model, features=PIXEL, device="cpu"), Progress())
    assert made.numbers == numbers(tmp_path / "s.npz", data, device="cpu") | {"seed": 5, "temperature": 0.7, "sampler": "prior"}
    record = made.inputs["samples"]
    assert (record["kind"], record["selection"]) == (
        "checkpoint",
        {"n": 130, "seed": 5, "temperature": 0.7, "labels": (), "sampler": "prior"},
    )


def test_reconstructions(tmp_path, model, data):
    found = measure(None, FidOptions(str(data), split="train", metrics=("recon",), ckpt=model, device="cpu"), Progress()).numbers
    loaded = load_checkpoint(model, torch.device("cpu"))
    x = to_float(torch.from_numpy(np.concatenate(list(open_image_input(data, "train", 0, Progress()).blocks()))))
    decoded = loaded.autoencoder.decode(loaded.prior.restrict(loaded.autoencoder.encode(x)))
    y = decoded.clamp(0, 1)
    assert not torch.equal(y, decoded), "nothing is clipped, so this test shows nothing"
    shown = reconstruct(model, tmp_path / "r.png", ReconstructSettings(split="train", device="cpu"), data=data).numbers
    assert shown["l1_restricted"] == pytest.approx(found["value"], rel=1e-6)
    assert (found["metric"], found["n"], found["split"]) == ("L1", 22, "train")
    assert found["value"] == pytest.approx((x - y).abs().mean().item(), rel=1e-6)
    assert found["PSNR"] == pytest.approx(psnr(x, y).mean().item(), rel=1e-6)
    assert found["SSIM"] == pytest.approx(ssim(x, y).mean().item(), rel=1e-6)


def test_reconstructions_and_samples_together(tmp_path, model, data):
    samples = npy(tmp_path / "s.npy", np.random.default_rng(0).integers(0, 256, (9, 1, 8, 8), np.uint8))
    found = measure(samples, FidOptions(str(data), metrics=("fid", "recon"), ckpt=model, features=PIXEL, device="cpu"), Progress())
    assert (found.numbers["metric"], found.numbers["n"], "L1" in found.numbers) == ("FD-pixel", 9, True)
    assert list(found.inputs) == ["ckpt", "samples", "ref"]


def test_the_result_records_what_was_measured(tmp_path, sets):
    result = fid(sets[0], tmp_path / "r.json", FidOptions(str(sets[1]), features=PIXEL, seed=2, device="cpu"))
    written = json.loads((tmp_path / "r.json").read_text())
    header = written.pop("genrev")
    assert written == result.numbers
    assert list(written)[:2] == ["metric", "value"]
    assert (header["kind"], header["made_by"]["seed"], header["config"]["identity"]["extractor"]) == ("score", 2, "pixel")
    assert {role: record["kind"] for role, record in header["inputs"].items()} == {"samples": "images", "ref": "images"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"metrics": ("fid", "fid")}, "each once"),
        ({"metrics": ()}, "at least one metric"),
        ({"metrics": ("recon",)}, "give it with --ckpt"),
        ({"n": 1}, "at least 2 images"),
        ({"temperature": 0.5}, "only with --ckpt"),
    ],
)
def test_invalid_options_are_refused(options, sentence):
    with pytest.raises(UsageError, match=sentence):
        FidOptions("digits", **options)


def test_an_unknown_metric_is_named(sets):
    with pytest.raises(UsageError, match="--metrics isc: no such metric; choose from fid, kid, prdc, mind"):
        numbers(*sets, metrics=("fid", "isc"))


def test_the_metrics_of_models_are_those_in_the_settings():
    assert tuple(metrics_of_pairs.OF_MODELS) == OF_MODELS


@pytest.mark.parametrize("metrics", [("fid", "bpd"), ("bpd",), ("recon", "bpd")])
def test_a_model_without_a_likelihood_is_refused_before_anything_is_measured(tmp_path, model, data, monkeypatch, metrics):
    for name in ("open_reference", "open_pair"):
        monkeypatch.setattr(measuring, name, lambda *_, **__: pytest.fail("measured"))
    with pytest.raises(UsageError, match="a likelihood needs a prior over all 64 dimensions"):
        fid(None, tmp_path / "r.json", FidOptions(str(data), metrics=metrics, ckpt=model, features=PIXEL, device="cpu"))
    assert not (tmp_path / "r.json").exists()


def test_exactly_one_source(sets, model):
    with pytest.raises(UsageError, match="nothing to score"):
        numbers(None, sets[1])
    with pytest.raises(UsageError, match="both name samples"):
        numbers(sets[0], sets[1], ckpt=model)
    with pytest.raises(UsageError, match="does not use samples"):
        numbers(sets[0], sets[1], ckpt=model, metrics=("recon",))
