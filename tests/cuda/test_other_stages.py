"""Every command that trains nothing, on the emulated device: it runs, and gives what the CPU gives."""

import json

import pytest
import torch
from commands import OTHERS, TRAINING_CASES, all_inputs, words_on
from equality import difference
from process_cases import prepare
from safetensors.torch import save_file

from genrev_cli.bench.random_inception import random_inception_weights
from genrev_cli.cli import main
from genrev_cli.metrics import weights

BEFORE = ("recon", "ot", "flow", "features", "fit-gmm", "fit-directions", "sample", "flow-classes", "encode-flow")
"""Cases whose results others take."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The data, and every file that a command takes, made on the device."""
    folder = tmp_path_factory.mktemp("inputs")
    prepare(folder)
    digits = ["prepare-data", "digits", "--out", f"{folder}/digits.h5"]
    commands = [digits, *all_inputs(folder), *(words_on("cuda", (TRAINING_CASES | OTHERS)[name], folder, folder) for name in BEFORE)]
    assert [main(words) for words in commands] == [0] * len(commands)
    return folder


@pytest.mark.parametrize("name", OTHERS)
def test_a_command_gives_what_the_cpu_gives(folder, tmp_path, name):
    case, made = OTHERS[name], [tmp_path / "cuda", tmp_path / "cpu"]
    for place in made:
        place.mkdir()
        assert main(words_on(place.name, case, folder, place)) == 0
    one, two = (place / case.out for place in made)
    if one.suffix in (".safetensors", ".h5"):
        assert difference(one, two) in ("=", "0.0e+00")
    elif one.suffix == ".json" and "value" in json.loads(one.read_text()):
        values = [json.loads(path.read_text())["value"] for path in (one, two)]
        assert values[0] == pytest.approx(values[1], rel=1e-6)
    elif one.suffix == ".png":
        assert one.read_bytes()[-1000:] == two.read_bytes()[-1000:]
    else:
        assert one.exists()


def test_the_distance_of_inception(folder, tmp_path, monkeypatch):
    """With random weights: nothing is fetched."""
    monkeypatch.setattr(weights, "SHA256_PREFIX", "")
    file = tmp_path / "inception.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in random_inception_weights(0).items()}, file)
    words = ["fid", "--ckpt", folder / "start.safetensors", "-n", 4, "--ref", folder / "data.h5", "--split", "val", "--weights", file]
    values = []
    for device in ("cuda", "cpu"):
        out = tmp_path / f"{device}.json"
        assert main([str(word) for word in [*words, "--no-cache", "--device", device, "--out", out]]) == 0
        values.append(json.loads(out.read_text())["value"])
    assert torch.isfinite(torch.tensor(values)).all()
    assert values[0] == pytest.approx(values[1], rel=1e-4)


def test_the_doctor_examines_the_device(capsys):
    """Only its first checks have time here; NCCL is none of the emulation's."""
    assert main(["doctor", "--device", "cuda", "--recipe", "grn-digits", "--minutes", "0.5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    states = {check["name"]: check["state"] for check in found["checks"]}
    assert "FAIL" not in states.values()
    assert states["exact bits, bf16"] == "PASS"
