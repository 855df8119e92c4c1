"""Optimal transport through the commands: train-ot, fit-ot, fit-gmm, and --ot, --gmm, --sampler, --class where codes are drawn."""

import json

import h5py
import pytest

from genrev_cli.scoring import latent_planes

pytestmark = pytest.mark.usefixtures("coarse_maps")

RECIPE = """
[model]
name = "revnet"
scales = [{ blocks = 1, hidden = 8 }]
[prior]
name = "class-gaussians"
[train-ot]
batch = 128
steps = 4
"""

FLOW = ["--steps", 100, "--width", 32, "--solver-steps", 4]


@pytest.fixture(scope="module")
def maps(chain):
    """The chain's checkpoint with both kinds of samplers of its codes."""
    from genrev_cli.cli import main

    for words in (
        ["fit-ot", chain / "codes.h5", "--out", chain / "ot.safetensors", "--target-error", 0.4],
        ["fit-ot", chain / "codes.h5", "--per-class", "--target-error", 0.5, "--out", chain / "classes.safetensors"],
        ["fit-gmm", chain / "codes.h5", "--components", 3, "--out", chain / "gmm.safetensors"],
        ["fit-ot", chain / "codes.h5", "--source", "gaussian", "--target-chi2", 0.2, "--out", chain / "pairs.safetensors"],
        ["fit-flow", chain / "codes.h5", "--ot", chain / "pairs.safetensors", *FLOW, "--out", chain / "flow.safetensors"],
    ):
        assert main([str(word) for word in words]) == 0
    return chain


def test_a_map_from_a_gaussian_leads_to_a_flow(maps, monkeypatch):
    from genrev_cli.runs.following import next_command

    monkeypatch.chdir(maps)
    assert next_command("fit-ot", maps / "pairs.safetensors").replace(f"{maps}/", "") == "genrev fit-flow codes.h5 --ot pairs.safetensors"
    assert next_command("fit-ot", maps / "ot.safetensors").startswith("genrev sample --ckpt ")


@pytest.fixture
def trained(chain, run_json, tmp_path):
    """A checkpoint of train-ot on digits, and its result."""
    recipe, out = tmp_path / "ot.toml", tmp_path / "transport.safetensors"
    recipe.write_text(RECIPE)
    result = run_json("train-ot", "--data", chain / "digits.h5", "--recipe", recipe, "--out", out, "--device", "cpu")
    return out, result


def test_train_ot(trained, run, run_json, tmp_path):
    out, result = trained
    assert len(result["dims_of_class"]) == 10
    assert result["dims_used"] <= 64
    drawn = run_json("sample", "--ckpt", out, "-n", 20, "--class", "3,5", "--out", tmp_path / "s.h5", "--grid", tmp_path / "s.png")
    assert drawn["images"] == 20
    with h5py.File(tmp_path / "s.h5") as file:
        assert json.loads(file.attrs["genrev"])["config"]["labels"] == [3, 5]
    info = run_json("traverse", "--ckpt", out, "--class", 4, "--count", 2, "--out", tmp_path / "t.png")
    assert len(info["dims"]) == 2
    code, _, err = run("sample", "--ckpt", out, "--class", 10, "--out", tmp_path / "x.h5")
    assert (code, "does not exist; choose 0–9" in err) == (2, True)


def test_traverse_has_a_row_for_every_class_and_dimension(trained, run, tmp_path):
    from genrev_cli.files.pictures import read_picture

    out, _ = trained
    assert run("traverse", "--ckpt", out, "--count", 3, "--steps", 5, "--no-labels", "--out", tmp_path / "t.png")[0] == 0
    header, pixels = read_picture(tmp_path / "t.png")
    assert header.config["classes"] == list(range(10))
    assert len(header.config["dims"]) == 3
    words = ("--count", 3, "--steps", 5, "--class", 0, "--no-labels", "--out", tmp_path / "one.png")
    assert run("traverse", "--ckpt", out, *words)[0] == 0
    rows = (pixels.shape[1] - 1) / (read_picture(tmp_path / "one.png")[1].shape[1] - 1)
    assert rows == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("matcher", ["mmd", "sliced", "ot"])
def test_a_distance_replaces_the_adversary(chain, run_json, tmp_path, matcher):
    words = ["train-adversarial", "--ckpt", chain / "recon.safetensors", "--matcher", matcher, "--weight-match", 2, "--steps", 2]
    result = run_json(*words, "--out", tmp_path / "m.safetensors", "--device", "cpu")
    assert result["steps"] == 2
    assert "relative_swd" in result


def test_settings_of_the_adversary_are_refused_with_a_matcher(chain, run, tmp_path):
    words = ["train-adversarial", "--ckpt", chain / "recon.safetensors", "--matcher", "mmd", "--out", tmp_path / "m.safetensors"]
    code, out, err = run(*words, "--lr-adversary", 1e-3)
    assert (code, out) == (2, "")
    assert "--lr-adversary: has no meaning with --matcher mmd" in err
    code, _, err = run(*words[:-4], "--matcher", "gan", "--out", tmp_path / "m.safetensors")
    assert code == 2
    assert "gan: choose adversary, mmd, sliced or ot" in err


def test_fit_ot_prints_its_path_and_does_nothing_twice(maps, run):
    code, out, err = run("fit-ot", maps / "codes.h5", "--out", maps / "ot.safetensors", "--target-error", 0.4)
    assert (code, out.strip()) == (0, str(maps / "ot.safetensors"))
    assert "Error of the cells' masses" in err


@pytest.mark.parametrize(
    ("words", "sampler"),
    [
        ([], "prior"),
        (["--ot", "ot.safetensors"], "ot"),
        (["--gmm", "gmm.safetensors"], "gmm"),
        (["--ot", "ot.safetensors", "--gmm", "gmm.safetensors", "--sampler", "gmm"], "gmm"),
        (["--ot", "ot.safetensors", "--sampler", "prior"], "prior"),
        (["--ot", "classes.safetensors", "--class", "7"], "ot"),
        (["--flow", "flow.safetensors"], "flow"),
        (["--flow", "flow.safetensors", "--solver", "euler", "--solver-steps", "2"], "flow"),
    ],
)
def test_codes_come_from_the_map_or_the_prior(maps, run_json, tmp_path, words, sampler):
    words = [maps / word if word.endswith("safetensors") else word for word in words]
    result = run_json("sample", "--ckpt", maps / "adversarial.safetensors", "-n", 10, "--out", tmp_path / "s.h5", *words)
    assert result["sampler"] == sampler


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--ot", "ot.safetensors", "--gmm", "gmm.safetensors"], 2, "both are given; choose one with --sampler"),
        (["--sampler", "ot"], 2, "needs --ot FILE; 'genrev fit-ot' makes one"),
        (["--sampler", "vae"], 2, "vae: choose prior, ot, gmm or flow"),
        (["--ot", "gmm.safetensors"], 3, "holds a sampler 'gmm' where 'ot' is needed"),
        (["--ot", "ot.safetensors", "--temperature", "0.5"], 2, "no width to scale"),
        (["--ot", "ot.safetensors", "--class", "1"], 2, "'ot' has no classes"),
        (["--ot", "ot.safetensors", "--gmm", "a", "--flow", "b"], 2, "--ot and --gmm and --flow: all are given"),
        (["--ot", "ot.safetensors", "--solver", "euler"], 2, "--solver euler: has a meaning only for codes of a flow"),
        (["--solver-steps", "3"], 2, "--solver-steps 3: has a meaning only for codes of a flow"),
        (["--flow", "ot.safetensors"], 3, "holds a sampler 'ot' where 'flow' is needed; 'genrev fit-flow'"),
        (["--class", "one"], 2, "--class one: no such class; the classes are 0, 1, 2"),
    ],
)
def test_samples_that_cannot_be_drawn_are_refused(maps, run, tmp_path, words, code, said):
    words = [maps / word if word.endswith("safetensors") else word for word in words]
    found, out, err = run("sample", "--ckpt", maps / "adversarial.safetensors", "--out", tmp_path / "s.h5", *words)
    assert (found, out) == (code, "")
    assert said in err
    assert not (tmp_path / "s.h5").exists()


def test_samples_of_the_map_are_scored(maps, run_json, tmp_path):
    words = ["--ckpt", maps / "adversarial.safetensors", "-n", 50, "--ref", maps / "digits.h5", "--features", "pixel", "--no-cache"]
    ot = run_json("fid", *words, "--ot", maps / "ot.safetensors", "--out", tmp_path / "ot.json")
    prior = run_json("fid", *words, "--out", tmp_path / "prior.json")
    assert (ot["sampler"], prior["sampler"]) == ("ot", "prior")
    assert ot["value"] != prior["value"]
    assert json.loads((tmp_path / "ot.json").read_text())["genrev"]["inputs"]["sampler"]["kind"] == "sampler"


def test_samplers_side_by_side(maps, run_json, tmp_path):
    ckpt = maps / "adversarial.safetensors"
    models = [f"prior={ckpt}", f"gmm={ckpt}+{maps / 'gmm.safetensors'}", f"ot={ckpt}+{maps / 'ot.safetensors'}"]
    result = run_json("compare", *models, "-n", 40, "--features", "pixel", "--metrics", "fid", "--out", tmp_path / "c.html")
    rows = result["tables"][0]["rows"]
    assert len({row["FD-pixel"] for row in rows}) == 3
    page = (tmp_path / "c.html").read_text(encoding="utf-8")
    assert "sampler: name" in page


def test_the_same_model_with_the_same_sampler_twice(maps, run, tmp_path):
    model = f"{maps / 'adversarial.safetensors'}+{maps / 'ot.safetensors'}"
    code, _, err = run("compare", model, model, "--out", tmp_path / "c.html")
    assert (code, "give it once" in err) == (2, True)


def test_interpolate_follows_the_map(maps, run, tmp_path):
    words = ["interpolate", "--ckpt", maps / "adversarial.safetensors", "--ot", maps / "ot.safetensors", "--out", tmp_path / "p.png"]
    assert run(*words)[0] == 0
    code, _, err = run(*words, "--latent", "full")
    assert (code, "leave --latent and --path out" in err) == (2, True)


def test_interpolate_follows_the_flow(maps, run, run_json, tmp_path):
    words = ["interpolate", "--ckpt", maps / "adversarial.safetensors", "--flow", maps / "flow.safetensors", "--random-pairs", 1]
    assert run_json(*words, "--out", tmp_path / "p.png")["path"] == "flow"
    assert run(*words[:-2], 0, 1, "--seconds", 0.2, "--out", tmp_path / "f.gif")[0] == 0
    code, _, err = run(*words, "--ot", maps / "ot.safetensors", "--out", tmp_path / "p.png")
    assert (code, "both say which path to take" in err) == (2, True)
    code, _, err = run(*words, "--path", "spherical", "--out", tmp_path / "p.png")
    assert (code, "the path is that of the flow" in err) == (2, True)


def test_samples_of_a_flow_are_scored_and_compared(maps, run_json, tmp_path):
    words = ["--ckpt", maps / "adversarial.safetensors", "-n", 50, "--ref", maps / "digits.h5", "--features", "pixel", "--no-cache"]
    flow = ["--flow", maps / "flow.safetensors"]
    found = run_json("fid", *words, *flow, "--out", tmp_path / "a.json")
    coarse = run_json("fid", *words, *flow, "--solver", "euler", "--solver-steps", 1, "--out", tmp_path / "b.json")
    assert (found["sampler"], coarse["sampler"]) == ("flow", "flow")
    assert found["value"] != coarse["value"]
    header = json.loads((tmp_path / "b.json").read_text())["genrev"]["inputs"]["sampler"]
    assert header["config"]["sampler"]["solver"] == "euler"
    ckpt = maps / "adversarial.safetensors"
    models = [f"prior={ckpt}", f"flow={ckpt}+{maps / 'flow.safetensors'}"]
    result = run_json("compare", *models, "-n", 40, "--features", "pixel", "--metrics", "fid", "--out", tmp_path / "c.html")
    assert len({row["FD-pixel"] for row in result["tables"][0]["rows"]}) == 2


def test_a_report_shows_codes_and_the_map_fitted_to_them(maps, run, tmp_path, monkeypatch):
    monkeypatch.setattr(latent_planes, "POINTS", 100)
    assert run("report", maps / "codes.h5", maps / "ot.safetensors", "--out", tmp_path / "r.html")[0] == 0
    assert "codes drawn from ot.safetensors" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_two_maps_of_the_same_codes_are_two_models(maps, run_json, tmp_path):
    other = tmp_path / "nearest.safetensors"
    run_json("fit-ot", maps / "codes.h5", "--rule", "nearest", "--target-error", 0.4, "--out", other)
    ckpt = maps / "adversarial.safetensors"
    words = ["-n", 40, "--features", "pixel", "--metrics", "fid", "--out", tmp_path / "c.html"]
    result = run_json("compare", f"{ckpt}+{maps / 'ot.safetensors'}", f"{ckpt}+{other}", *words)
    assert sorted(row["model"] for row in result["tables"][0]["rows"]) == ["adversarial+nearest", "adversarial+ot"]
