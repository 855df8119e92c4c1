"""train-pga and train-vae through the command line, and what takes their checkpoints."""

import pytest

pytestmark = pytest.mark.usefixtures("coarse_maps")

SMALL = ("--device", "cpu", "--log-every", 1, "--steps", 4)
every_variant = pytest.mark.parametrize(
    ("command", "variant"),
    [("train-pga", v) for v in ("lpga", "vpga", "lvpga")] + [("train-vae", v) for v in ("vae", "wae-mmd", "wae-gan")],
)


@every_variant
def test_the_recipe_of_the_variant_is_found_by_the_data(chain, run_json, tmp_path, command, variant):
    """`--variant` alone chooses it; the checkpoint says so."""
    out = tmp_path / f"{variant}.safetensors"
    result = run_json(command, "--data", chain / "digits.h5", "--variant", variant, "--out", out, *SMALL)
    assert result["steps"] == 4
    info = run_json("info", out)
    assert info["config"]["recipe"] == f"{variant}-digits"
    assert info["config"]["method"]["variant"] == variant


def test_everything_downstream_takes_a_perceptual_autoencoder(chain, run, run_json, tmp_path):
    """encode → fit-ot → sample, interpolate with the originals at both ends, fid, report, compare."""
    pga, vae = tmp_path / "pga.safetensors", tmp_path / "vae.safetensors"
    run_json("train-pga", "--data", chain / "digits.h5", "--variant", "vpga", "--out", pga, *SMALL)
    run_json("train-vae", "--data", chain / "digits.h5", "--out", vae, *SMALL)
    for words in (
        ["encode", "--ckpt", pga, "--out", tmp_path / "codes.h5"],
        ["fit-ot", tmp_path / "codes.h5", "--out", tmp_path / "ot.safetensors", "--target-error", 0.5],
        ["sample", "--ckpt", pga, "--ot", tmp_path / "ot.safetensors", "-n", 12, "--out", tmp_path / "s.h5"],
        ["reconstruct", "--ckpt", pga, "--out", tmp_path / "r.png"],
        ["interpolate", "--ckpt", pga, "--steps", 9, "--random-pairs", 2, "--no-labels", "--out", tmp_path / "i.png"],
        ["fid", "--ckpt", pga, "--ref", chain / "digits.h5", "--features", "pixel", "-n", 50, "--out", tmp_path / "fid.json"],
        ["report", pga, tmp_path / "fid.json", "--out", tmp_path / "report.html"],
        ["compare", pga, vae, "--features", "pixel", "-n", 50, "--out", tmp_path / "compare.html"],
    ):
        code, _, err = run(*words)
        assert code == 0, err
    from genrev_cli.files.pictures import read_picture

    pixels = read_picture(tmp_path / "i.png")[1]
    height, width = pixels.shape[-2:]
    assert round(width / height * 2) == 11  # of two rows: nine steps between two originals


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train-pga", "--variant", "pga"], "pga: choose lpga, vpga or lvpga"),
        (["train-vae", "--variant", "gan"], "gan: choose vae, wae-mmd or wae-gan"),
        (["train-vae", "--variant", "wae-mmd", "--decoder-std", 0.1], "--decoder-std 0.1: wae-mmd-digits [train-vae] has no key"),
        (["train-pga", "--variant", "vpga", "--recipe", "lpga-digits"], "lpga-digits is a recipe for lpga; leave out"),
        (["train-vae", "--variant", "vae", "--recipe", "wae-mmd-digits"], "wae-mmd-digits is a recipe for wae-mmd"),
        (["train-pga", "--precision", "bf16"], "lpga compares codes that differ by 1 %"),
        (["train-pga", "--recipe", "vae-digits", "--steps", "5", "--lr", "0.1"], "has no table [train-pga]"),
        (["pretrain-recon", "--recipe", "lpga-digits", "--steps", "5"], "has no table [pretrain-recon]"),
        (["pretrain-recon", "--recipe", "inn-mnist", "--exact-bits", "16"], "needs additive couplings, and 'inn' has none"),
        (["fit-features", "--memory", "reversible"], "and a classifier is not"),
        (["train-pga", "--warm-up", "-1"], "--warm-up"),
        (["train-pga", "--recipe", "vae-digits"], "has no table [train-pga]"),
    ],
)
def test_a_wrong_input_gets_one_sentence(chain, run, tmp_path, words, message):
    code, out, err = run(*words, "--data", chain / "digits.h5", "--out", tmp_path / "x.safetensors", "--device", "cpu")
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize(("warm_up", "noted"), [(4, True), (3, False)])
def test_a_run_that_is_all_warm_up_says_so(chain, run, tmp_path, warm_up, noted):
    words = ("--data", chain / "digits.h5", "--variant", "lpga", "--warm-up", warm_up, "--out", tmp_path / "x.safetensors")
    code, _, err = run("train-pga", *words, *SMALL)
    assert code == 0, err
    assert ("all 4 steps are warm-up, so samples will not look like images; take more than 4 steps, or a shorter --warm-up" in err) == noted


def test_a_bijection_is_trained_by_lpga_only(chain, run, run_json, tmp_path):
    recipe = tmp_path / "own.toml"
    recipe.write_text(
        '[model]\nname = "revnet"\nscales = [{ blocks = 1, hidden = 4 }]\n[prior]\nname = "active-gaussian"\ndim = 8\nbound = 0.0\n'
        "[train-pga]\nwarm_up = 1\nlr = 0.01\nbatch = 64\n"
    )
    words = ("train-pga", "--data", chain / "digits.h5", "--recipe", recipe, "--out", tmp_path / "own.safetensors", *SMALL)
    assert run_json(*words)["steps"] == 4
    code, _, err = run(*words, "--variant", "vpga", "--restart")
    assert (code, "'revnet' gives none" in err) == (2, True)
