"""Every kind of autoencoder goes through every command unchanged."""

import json

import pytest
from family_cases import TABLES, chain

from genrev_cli.cli import main
from genrev_cli.models import MODELS


@pytest.mark.parametrize(("stage", "prior"), [("train-flow", "diagonal-gaussian"), ("train-pga", "active-gaussian")])
def test_a_reversible_network_may_be_exact_to_the_bit_in_any_stage(tmp_path, data, capsys, stage, prior):
    recipe, model = tmp_path / "r.toml", tmp_path / "model.safetensors"
    dim = "dim = 3" if prior == "active-gaussian" else ""
    recipe.write_text(f'[model]\n{TABLES["revnet"]}\n[prior]\nname = "{prior}"\n{dim}\n[{stage}]\nbatch = 8\nsteps = 3\n')
    words = [stage, "--data", data, "--recipe", recipe, "--exact-bits", 16, "--out", model, "--device", "cpu"]
    assert main([str(word) for word in words]) == 0
    capsys.readouterr()
    assert main(["reconstruct", "--ckpt", str(model), "--out", str(tmp_path / "rows.png"), "--verify-exact", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["exact_bits"], found["images_differing"], found["exact_error"]) == (16, 0, 0)


@pytest.mark.parametrize("name", MODELS)
def test_the_whole_chain(tmp_path, data, name, capsys):
    for words in chain(tmp_path, data, name):
        code, (out, err) = main(words), capsys.readouterr()
        assert code == 0, err
        if "--json" in words:
            assert json.loads(out)["metric"] == "L1"
    assert (tmp_path / "report.html").stat().st_size > 10_000
