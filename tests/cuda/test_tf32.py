"""What is inverted on the device is computed in IEEE float32, unless TF32 is asked for; and is exact to the bit on a grid even then."""

import json

import pytest
import torch
from family_cases import TABLES
from process_cases import prepare

from genrev_cli.cli import main
from genrev_cli.models import build_model
from genrev_cli.precision import allow_tf32, autocast_in
from genrev_cli.training.devices import resolve_device

REVNET = {"name": "revnet", "image_shape": [3, 32, 32], "scales": [{"blocks": 2, "hidden": 16}, {"blocks": 2, "hidden": 32}]}
INN = {"name": "inn", "image_shape": [1, 28, 28], "levels": [{"couplings": 3, "hidden": 10}], "hidden_dense": 18}

BEFORE = {
    "nothing": "",
    "old switches on": "torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True",
    "old switches off": "torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False",
    "new switch for all": "torch.backends.fp32_precision = 'tf32'",
    "new switch for convolutions": "torch.backends.cudnn.conv.fp32_precision = 'tf32'",
    "new switch for products": "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
    "precision of products": "torch.set_float32_matmul_precision('high')",
}


@pytest.fixture(autouse=True)
def restored():
    yield
    torch.backends.fp32_precision = "none"
    allow_tf32(False)


def network(config, device, gain=1.2):
    """A network away from the identity, and images."""
    torch.manual_seed(0)
    model = build_model(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(gain).add_(0.01 * torch.randn(parameter.shape))
    return model.to(device), torch.rand(4, *config["image_shape"]).to(device)


def round_trip(config, device):
    """The codes, and how far the images are missed."""
    model, x = network(config, device)
    with torch.no_grad():
        z = model.encode(x)
        return z.cpu(), (model.decode(z) - x).abs().max().item()


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("config", [REVNET, INN], ids=["revnet", "inn"])
def test_nothing_is_rounded_by_default_whatever_the_process_had_before(config, before):
    exec(before)
    device = resolve_device("cuda")
    codes, error = round_trip(config, device)
    assert torch.equal(codes, round_trip(config, torch.device("cpu"))[0])
    assert error < 1e-4


@pytest.mark.parametrize("config", [REVNET, INN], ids=["revnet", "inn"])
def test_tf32_rounds_where_it_is_asked_for(config):
    """Codes differ by what ten bits of mantissa make, and the round trip is worse."""
    exact = round_trip(config, torch.device("cpu"))
    codes, error = round_trip(config, resolve_device("cuda", "tf32"))
    assert 1e-5 < ((codes - exact[0]).norm() / exact[0].norm()) < 1e-2
    assert error > 5 * exact[1]


def test_tf32_rounds_products_and_convolutions():
    x = torch.rand(8, 8)
    for precision, rounds in (("tf32", True), ("fp32", False)):
        device = resolve_device("cuda", precision)
        there = x.to(device)
        assert torch.equal((there @ there).cpu(), x @ x) != rounds
        images = x.view(1, 1, 8, 8)
        found = torch.conv2d(images.to(device), images[..., :3, :3].to(device)).cpu()
        assert torch.equal(found, torch.conv2d(images, images[..., :3, :3])) != rounds


def test_contradictory_switches_are_refused_as_by_torch():
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    x = torch.rand(3, 3).to("cuda")
    with pytest.raises(RuntimeError, match="mix of the legacy and new APIs"):
        x @ x


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_exact_bits_are_exact_in_every_precision(precision):
    device = resolve_device("cuda", precision)
    model, x = network({**REVNET, "exact_bits": 16}, device, gain=1.0)
    x = (x * 2**16).round() / 2**16
    with torch.no_grad(), autocast_in(device, precision)():
        assert torch.equal(model.decode(model.encode(x)), x)


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_a_training_that_is_exact_to_the_bit_stays_so(tmp_path, capsys, precision):
    """Trained and verified by the commands, on the device."""
    prepare(tmp_path)
    recipe, model = tmp_path / "r.toml", tmp_path / "model.safetensors"
    recipe.write_text(f'[model]\n{TABLES["revnet"]}\n[prior]\nname = "active-gaussian"\ndim = 3\n[pretrain-recon]\nbatch = 8\nsteps = 3\n')
    line = f"pretrain-recon --data {tmp_path}/data.h5 --recipe {recipe} --exact-bits 16 --memory reversible --out {model} --device cuda"
    assert main([*line.split(), "--precision", precision]) == 0
    said = capsys.readouterr().err
    assert ("--precision tf32: the round trip of this network" in said) == (precision == "tf32")
    line = f"reconstruct --ckpt {model} --out {tmp_path}/rows.png --verify-exact --split val --device cuda --json"
    assert main(line.split()) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["exact_bits"], found["images_differing"], found["exact_error"]) == (16, 0, 0)
