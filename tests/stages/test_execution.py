"""--memory, --compile, --channels-last, --exact-bits and the guard, in the stages."""

import copy
import os
import re
import shutil
import tempfile
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from fid_files import Notes
from torch import nn

from genrev_cli.cli import main
from genrev_cli.errors import DivergedError, FileError, UsageError
from genrev_cli.files.checkpoint import read_checkpoint
from genrev_cli.models import MEMORY, RevNet, build_model
from genrev_cli.models.revnet import Scale
from genrev_cli.precision import autocast_in
from genrev_cli.runs.execution import _faster_with_channels_last, effect_of_precision, execute
from genrev_cli.runs.resume import run_folder
from genrev_cli.runs.train import train
from genrev_cli.scoring.exactness import Exactness, exact, filled
from genrev_cli.settings.figures import ReconstructSettings
from genrev_cli.settings.reconstruction import PRETRAIN_RECON
from genrev_cli.settings.schedule import RunOptions, Schedule
from genrev_cli.stages.figures import reconstruct
from genrev_cli.store.checkpoints import load_checkpoint
from genrev_cli.training import guard
from genrev_cli.training.log import read_log

RUN = RunOptions(device="cpu", log_every=1)


@pytest.fixture(autouse=True)
def compiled_folder(monkeypatch):
    """Share the cache between tests, so that only the first run compiles."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", os.path.join(tempfile.gettempdir(), "genrev-tests-compiled"))


def weights(path):
    return read_checkpoint(path)[1]


def distance(a, b):
    """Return the largest difference between the weights of two checkpoints."""
    return max((a[name].double() - b[name].double()).abs().max().item() for name in a)


@pytest.mark.parametrize("memory", MEMORY[1:])
def test_memory_changes_only_rounding(recon, tmp_path, memory):
    plain = weights(recon(tmp_path / "plain.safetensors", steps=4).out)
    saved = weights(recon(tmp_path / "saved.safetensors", steps=4, memory=memory).out)
    assert distance(plain, saved) < 1e-5
    assert distance(plain, saved) == 0 or memory == "reversible"


def test_memory_may_change_in_a_resumed_run(recon, tmp_path):
    """This is what the guard's error advises, from the last saved state."""
    whole = weights(recon(tmp_path / "whole.safetensors", steps=4).out)
    out = recon(tmp_path / "a.safetensors", steps=2, memory="reversible").out
    assert distance(whole, weights(recon(out, steps=4).out)) < 1e-5
    assert read_checkpoint(out)[0].config["schedule"]["memory"] == "plain"


@pytest.mark.parametrize("name", ["adversarial", "transport"])
def test_other_stages_save_memory_too(request, tmp_path, name):
    stage = request.getfixturevalue(name)
    plain, saved = (weights(stage(tmp_path / f"{memory}.safetensors", steps=3, memory=memory).out) for memory in ("plain", "reversible"))
    assert distance(plain, saved) < 1e-4


def test_reversible_memory_needs_an_invertible_network(perceptual, tmp_path):
    with pytest.raises(UsageError, match="--memory reversible: needs an invertible network, and 'strided' is not"):
        perceptual(tmp_path / "a.safetensors", memory="reversible")
    with pytest.raises(UsageError, match="--memory reversible: needs an invertible network"):
        perceptual(tmp_path / "a.safetensors", memory="reversible", run=replace(RUN, dry_run=True))
    with pytest.raises(UsageError, match="--memory lean: choose plain, reversible or checkpoint"):
        Schedule(memory="lean")


def test_channels_last_changes_only_rounding_and_resumes(recon, tmp_path):
    run, off = replace(RUN, channels_last="on"), replace(RUN, channels_last="off")
    plain = weights(recon(tmp_path / "plain.safetensors", steps=6, run=off).out)
    whole = weights(recon(tmp_path / "whole.safetensors", steps=6, run=run).out)
    assert distance(plain, whole) < 1e-5
    out = recon(tmp_path / "parts.safetensors", steps=3, run=run).out
    assert distance(whole, weights(recon(out, steps=6, run=run).out)) == 0


def test_channels_last_is_chosen_for_invertible_networks_on_a_cpu():
    image = {"image_shape": [1, 8, 8]}
    revnet = build_model({"name": "revnet", "scales": [{"blocks": 1, "hidden": 4}], **image})
    other = build_model({"name": "strided", "channels": [4], "dense": 4, "latent_dim": 2, "norm": "none", **image})
    for model, auto in ((revnet, True), (other, False)):
        for choice, expected in (("auto", auto), ("on", True), ("off", False)):
            method = SimpleNamespace(autoencoder=model, modules={"model": copy.deepcopy(model)}, second_order=False)
            execute(method, Schedule(), replace(RUN, channels_last=choice))
            kernels = [
                weight
                for weight in method.modules["model"].parameters()
                if weight.ndim == 4 and weight.shape[1] > 1 and weight.shape[2] > 1
            ]
            assert all(weight.is_contiguous(memory_format=torch.channels_last) == expected for weight in kernels), (choice, expected)
    with torch.device("meta"):
        assert not _faster_with_channels_last(build_model(revnet.config))


def test_only_branches_are_compiled(recon, perceptual, tmp_path, monkeypatch):
    """Modules with state, and those that choose between memory modes, are never compiled."""
    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda module, **how: compiled.append(type(module).__name__))
    recon(tmp_path / "a.safetensors", steps=1, run=replace(RUN, compile=True))
    assert compiled == ["ConvBranch", "ConvBranch"]
    compiled.clear()
    perceptual(tmp_path / "b.safetensors", steps=1, run=replace(RUN, compile=True))
    assert compiled == ["Sequential", "Sequential", "Linear", "Linear"]


@pytest.mark.filterwarnings("ignore")  # torch's own, within
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
def test_two_losses_go_through_one_compiled_graph(perceptual, tmp_path):
    """They are really compiled; the losses of f and g share a graph."""
    run = replace(RUN, compile=True)
    plain = weights(perceptual(tmp_path / "plain.safetensors", steps=1).out)
    assert distance(plain, weights(perceptual(tmp_path / "compiled.safetensors", steps=1, run=run).out)) < 1e-4


@pytest.fixture
def graphs(monkeypatch):
    """Return a list of the graphs that torch gives to the compiler, which does not run."""
    found, asked = [], nn.Module.compile

    def count(graph, inputs):
        found.append(graph)
        return graph.forward

    torch._dynamo.reset()
    monkeypatch.setattr(nn.Module, "compile", lambda module, **how: asked(module, backend=count, **how))
    yield found
    torch._dynamo.reset()


TWO_SHAPES = {"scales": [{"blocks": 2, "hidden": 8, "kernel": 3}] * 2}
LOOKS = replace(RUN, compile=True, monitor_every=1, preview_every=1)


@pytest.mark.filterwarnings("ignore")  # torch's own, within
@pytest.mark.parametrize(("memory", "expected"), [("plain", 4), ("reversible", 7), ("checkpoint", 4)])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_branch_shape_is_compiled_once(data, recipe, tmp_path, graphs, memory, expected, precision):
    """It is compiled once for the forward pass, and once more if the backward pass runs branches again. Two more cases are compiled: the
    first branch needs no gradient for the image, and the first of the decoder gets half a latent, with other strides. Measurements and
    later steps compile nothing.
    """
    for steps in (1, 4):
        overrides = {"pretrain-recon": {"steps": steps, "memory": memory, "precision": precision}, "model": TWO_SHAPES}
        train(PRETRAIN_RECON, data, tmp_path / "a.safetensors", recipe=recipe, overrides=overrides, run=LOOKS)
        assert len(graphs) == expected


@pytest.mark.filterwarnings("ignore")  # torch's own, within
@pytest.mark.parametrize("name", ["adversarial", "transport", "perceptual", "variational"])
def test_later_steps_and_measurements_compile_nothing(request, tmp_path, graphs, name):
    stage = request.getfixturevalue(name)
    stage(tmp_path / "a.safetensors", steps=4, run=LOOKS)  # of which the first three are a warm-up, in train-pga
    first = len(graphs)
    assert first > 0
    stage(tmp_path / "a.safetensors", steps=8, run=LOOKS)
    assert len(graphs) == first


@pytest.mark.parametrize("named", [True, False])
def test_compiled_code_is_kept_in_the_cache(recon, tmp_path, monkeypatch, named):
    monkeypatch.setattr(nn.Module, "compile", lambda module, **how: None)
    monkeypatch.setenv("GENREV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "elsewhere"))
    if not named:
        monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    recon(tmp_path / "a.safetensors", steps=1, run=replace(RUN, compile=True))
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / ("elsewhere" if named else "cache/compiled"))


def test_a_cache_that_cannot_be_written_is_refused(recon, tmp_path, monkeypatch):
    (tmp_path / "cache").touch()
    monkeypatch.setenv("GENREV_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    with pytest.raises(FileError, match="cache is no folder; set GENREV_CACHE to another folder, or leave out --compile"):
        recon(tmp_path / "a.safetensors", steps=1, run=replace(RUN, compile=True))


def test_the_guard_logs_the_error_of_recomputed_inputs(recon, tmp_path):
    out = recon(tmp_path / "a.safetensors", steps=4, memory="reversible").out
    lines = [line for line in read_log(run_folder(out) / "log.jsonl") if line["kind"] == "loss"]
    assert len(lines) == 4
    assert all(0 < line[guard.ROUNDTRIP] < 1e-5 for line in lines)


def test_the_guard_refuses_gradients_of_a_wrong_inverse(recon, tmp_path, monkeypatch):
    """With weights times 4 nothing is saved, and the error says what to do."""
    built = RevNet.__init__

    def grown(self, *args, **settings):
        built(self, *args, **settings)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.mul_(60)

    monkeypatch.setattr(RevNet, "__init__", grown)
    with pytest.raises(
        DivergedError, match="gradients of --memory reversible are wrong .*; resume from the last saved state with --memory plain"
    ):
        recon(tmp_path / "a.safetensors", steps=2, memory="reversible")
    assert not (tmp_path / "a.safetensors").exists()


def test_each_kind_of_warning_is_shown_once(recon, tmp_path, monkeypatch):
    notes = Notes()
    monkeypatch.setattr(guard, "WARN", 0.0)
    recon(tmp_path / "a.safetensors", steps=4, progress=notes)
    assert sum("the round trip misses its input" in note for note in notes.said) == 1


def test_bf16_has_no_roundtrip_warning():
    model = RevNet((1, 4, 4), (Scale(1, 2),), 16)
    assert guard.warnings_of({"roundtrip_max": 5e-3}, model, "bf16") == {}
    assert list(guard.warnings_of({"roundtrip_max": 5e-3}, model, "fp32")) == ["roundtrip"]
    assert list(guard.warnings_of({guard.LARGEST: 256.0}, model, "bf16")) == ["range"]
    assert guard.warnings_of({guard.LARGEST: 255.9}, model, "bf16") == {}


@pytest.mark.parametrize(("precision", "cause"), [("tf32", "because TF32 rounds"), ("bf16", "because bfloat16 rounds")])
def test_the_guard_names_the_precision_that_spoils_an_inverse(precision, cause):
    model = RevNet((1, 4, 4), (Scale(1, 2),))
    sentence = guard.warnings_of({"roundtrip_max": 2e-2}, model, precision)["roundtrip"]
    assert cause in sentence
    assert sentence.endswith("--precision fp32 is exact up to rounding")
    with pytest.raises(DivergedError, match=f"gradients .* are wrong .*, {cause} .* --memory plain, or start again with --precision fp32"):
        guard.require_inverse({guard.ROUNDTRIP: 2e-2}, 5, precision)
    with pytest.raises(DivergedError, match="with a lower learning rate"):
        guard.require_inverse({guard.ROUNDTRIP: 2e-2}, 5, "fp32")


def test_a_run_starts_with_a_note_on_its_precision(recon, tmp_path):
    notes = Notes()
    recon(tmp_path / "a.safetensors", steps=1, precision="bf16", progress=notes)
    recon(tmp_path / "b.safetensors", steps=1, progress=notes)
    (said,) = [note for note in notes.said if "round trip" in note]
    assert re.match(r"--precision bf16: the round trip of this network misses its input by \d\.\de-\d\d at most, in float32 by", said)


def test_the_effect_of_a_precision_is_measured():
    """Each number is the largest error of the round trip in its own precision."""
    torch.manual_seed(0)
    model, autocast = RevNet((1, 8, 8), (Scale(3, 32), Scale(3, 32))), autocast_in(torch.device("cpu"), "bf16")
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        exact = (model.decode(model.encode(x)) - x).abs().max()
        with autocast():
            rounded = (model.decode(model.encode(x)) - x).abs().max()
    assert rounded != exact
    said = effect_of_precision(SimpleNamespace(autoencoder=model, autocast=autocast), "bf16", x)
    assert re.findall(r"\d\.\de-\d+", said) == [f"{rounded:.1e}", f"{exact:.1e}"]
    assert effect_of_precision(SimpleNamespace(autoencoder=model, autocast=autocast), "fp32", x) == ""


def test_on_a_grid_every_precision_is_exact():
    model = RevNet((1, 8, 8), (Scale(2, 8), Scale(1, 8)), 16)
    method = SimpleNamespace(autoencoder=model, autocast=autocast_in(torch.device("cpu"), "bf16"))
    said = effect_of_precision(method, "bf16", torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert "misses its input by 0.0e+00 at most, in float32 by 0.0e+00" in said


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("trained_so", [True, False])
def test_images_come_back_to_the_bit(data, recipe, tmp_path, precision, trained_so, recon):
    """This holds also for a network trained without --exact-bits, and for a split that is not a multiple of the batch."""
    model = {"exact_bits": 16} if trained_so else {}
    overrides = {"pretrain-recon": {"steps": 3}, "model": model}
    ckpt = train(PRETRAIN_RECON, data, tmp_path / "a.safetensors", recipe=recipe, overrides=overrides, run=RUN).out
    settings = {"split": "train", "batch": 16, "verify_exact": True, "precision": precision, "device": "cpu"}
    numbers = reconstruct(ckpt, tmp_path / "r.png", ReconstructSettings(exact_bits=0 if trained_so else 16, **settings)).numbers
    assert (numbers["images"], numbers["images_differing"], numbers["exact_error"]) == (22, 0, 0.0)
    assert 0 < numbers["largest_stream"] < numbers["exact_range"] == 256
    assert numbers["roundtrip_max"] <= 2**-17


def test_inexact_round_trips_are_refused(recon, tmp_path):
    ckpt = recon(tmp_path / "a.safetensors", steps=2).out
    with pytest.raises(UsageError, match="inverts up to rounding only"):
        reconstruct(ckpt, tmp_path / "r.png", ReconstructSettings(verify_exact=True, device="cpu"))
    with pytest.raises(UsageError, match=r"^--exact-bits 30: must be 0 \(off\) or 8 to 22"):
        reconstruct(ckpt, tmp_path / "r.png", ReconstructSettings(verify_exact=True, exact_bits=30, device="cpu"))
    with pytest.raises(UsageError, match="--precision fp16"):
        reconstruct(ckpt, tmp_path / "r.png", ReconstructSettings(precision="fp16", device="cpu"))
    assert not (tmp_path / "r.png").exists()


def test_other_couplings_have_no_exact_mode(perceptual, tmp_path):
    ckpt = load_checkpoint(perceptual(tmp_path / "a.safetensors", steps=1).out, torch.device("cpu"))
    with pytest.raises(UsageError, match="needs additive couplings, and 'strided' has none"):
        exact(ckpt.autoencoder, 16)


def test_one_wrong_pixel_is_found(tmp_path):
    """This tests the check itself."""
    model = exact(RevNet((1, 4, 4), (Scale(1, 2),)), 16)
    pixels = torch.randint(0, 256, (3, 1, 4, 4), dtype=torch.uint8)
    x = pixels.float() / 255
    x_hat = model.decode(model.encode(x))
    check = Exactness(model)
    check.add(pixels, x, x_hat)
    check.require(tmp_path)
    x_hat[1, 0, 2, 2] += 1 / 255
    check.add(pixels, x, x_hat)
    with pytest.raises(FileError, match="1 images differ, in 1 pixels, by up to 0.0039"):
        check.require(tmp_path)


def test_batches_are_filled_with_their_last_image():
    pixels = torch.arange(3, dtype=torch.uint8).view(3, 1, 1, 1)
    assert filled(pixels, 5).flatten().tolist() == [0, 1, 2, 2, 2]
    assert torch.equal(filled(pixels, 3), pixels)


def test_exact_mode_is_in_the_checkpoint(data, recipe, tmp_path):
    out = tmp_path / "a.safetensors"
    words = ["pretrain-recon", "--data", data, "--recipe", recipe, "--exact-bits", 14, "--steps", 1, "--out", out, "--device", "cpu"]
    assert main([str(word) for word in words]) == 0
    assert read_checkpoint(out)[0].config["model"]["exact_bits"] == 14
    assert load_checkpoint(out, torch.device("cpu")).autoencoder.exact_bits == 14
