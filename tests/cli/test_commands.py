"""The commands as a user types them: exit codes, what is on stdout and what is on stderr."""

import json
import shutil

import h5py
import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

import genrev_cli
from genrev_cli.cli import app
from genrev_cli.cli.reference import reference
from genrev_cli.settings.commands import all_commands


def tiles_in(path):
    """The tiles of a picture (n, H, W), without labels and magnification, as signed numbers."""
    from genrev_cli.files.pictures import read_picture
    from genrev_cli.files.sheets import tiles_of

    header, pixels = read_picture(path)
    return tiles_of(pixels, header.config["layout"])[:, 0].astype(int)


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def images_of(path):
    with np.load(path) as file:
        return file["images"]


def test_stdout_is_exactly_the_path(chain, run):
    code, out, err = run("encode", "--ckpt", chain / "adversarial.safetensors", "--out", chain / "again.h5", "--split", "test")
    assert (code, out) == (0, f"{chain / 'again.h5'}\n")
    assert "Images per second" in err
    assert err.endswith(f"next: genrev fit-ot {chain / 'again.h5'}\n")


def test_json_is_one_object(chain, run_json):
    result = run_json("reconstruct", "--ckpt", chain / "recon.safetensors", "--out", chain / "r.png")
    assert result["images"] == 355
    assert 0 < result["roundtrip_mean"] < 1e-5 < result["l1_restricted"]


def test_every_stage_left_its_file(chain):
    with safe_open(str(chain / "adversarial.safetensors"), "pt") as file:
        header = json.loads(file.metadata()["genrev"])
        assert set(header["inputs"]) == {"ckpt", "data"}
        assert not any(name.startswith("D.") for name in file.keys())  # noqa: SIM118
    with h5py.File(chain / "codes.h5") as file:
        assert file["codes"].shape == (1442, 4)
        assert np.abs(file["codes"][:]).max() <= 2  # the bound of the prior
    assert len(list((chain / "samples").glob("*.png"))) == 70
    assert pixels_of(chain / "samples" / "000000.png").shape == (8, 8)
    score = json.loads((chain / "fid.json").read_text())
    assert score["metric"] == "FD-pixel"
    assert score["n"] == 70
    assert score["value"] > 0


@pytest.mark.parametrize("name", ["reconstructions.png", "interpolations.png", "traversals.png", "grid.png"])
def test_pictures_are_not_blank(chain, name):
    assert pixels_of(chain / name).std() > 10


def test_first_row_of_reconstructions_is_the_data_and_the_last_equals_it(chain):
    rows = np.split(tiles_in(chain / "reconstructions.png"), 3)
    assert np.abs(rows[0] - rows[2]).max() <= 1
    assert np.abs(rows[0] - rows[1]).max() > 10


def test_interpolation_has_the_originals_at_its_ends(chain, run_json):
    run_json("interpolate", "--ckpt", chain / "recon.safetensors", "--latent", "full", "--out", chain / "i.png", "0", "1", "--steps", "3")
    first, second, *_, before_last, last = tiles_in(chain / "i.png")
    assert np.abs(first - second).max() <= 1  # the full latent decodes to the image itself
    assert np.abs(before_last - last).max() <= 1
    assert np.abs(first - last).max() > 10


def test_interpolation_takes_image_files(chain, run):
    code, _, err = run(
        "interpolate",
        "--ckpt",
        chain / "recon.safetensors",
        chain / "samples/000000.png",
        "3",
        "--out",
        chain / "f.png",
        "--path",
        "spherical",
    )
    assert code == 0, err


def test_sample_i_depends_on_seed_and_i_alone(chain, run):
    for n, name in ((3, "few.npz"), (70, "many.npz")):
        assert run("sample", "--ckpt", chain / "adversarial.safetensors", "-n", n, "--out", chain / name)[0] == 0
    few, many = (images_of(chain / name) for name in ("few.npz", "many.npz"))
    assert (few == many[:3]).all()
    assert (np.stack([pixels_of(chain / f"samples/{i:06d}.png") for i in range(70)]) == many[:, 0]).all()
    assert run("sample", "--ckpt", chain / "adversarial.safetensors", "-n", 3, "--seed", 1, "--out", chain / "other.npz")[0] == 0
    assert (images_of(chain / "other.npz") != few).any()


def test_distance_of_a_set_to_itself_is_zero_whatever_the_format(chain, run_json):
    model = chain / "adversarial.safetensors"
    for name in ("s.h5", "s.npz"):
        run_json("sample", "--ckpt", model, "-n", 70, "--out", chain / name)
        result = run_json("fid", chain / name, "--ref", chain / "samples", "--features", "pixel", "--no-cache", "--out", chain / "z.json")
        assert result["value"] < 1e-12


def test_fid_of_a_checkpoint_is_that_of_its_samples(chain, run_json, tmp_path):
    model, ref = chain / "adversarial.safetensors", ("--ref", chain / "digits.h5", "--features", "pixel")
    made = run_json("fid", "--ckpt", model, "-n", 70, *ref, "--metrics", "fid,kid,prdc,recon", "--out", tmp_path / "a.json")
    assert made["value"] == run_json("fid", chain / "samples", *ref, "--out", tmp_path / "b.json")["value"]
    assert made["L1"] == pytest.approx(run_json("reconstruct", "--ckpt", model, "--out", tmp_path / "r.png")["l1_restricted"], rel=1e-6)
    assert {"KD-pixel", "KD-pixel_standard_error", "recall", "PSNR", "bias_floor", "n_reference"} <= made.keys()


def test_scores_lie_beside_what_is_scored(chain, run, tmp_path):
    shutil.copytree(chain / "samples", tmp_path / "samples")
    shutil.copy(chain / "adversarial.safetensors", tmp_path / "model.safetensors")
    ref = ("--ref", chain / "digits.h5", "--features", "pixel")
    assert run("fid", tmp_path / "samples", *ref)[1] == f"{tmp_path / 'samples.fid.json'}\n"
    assert run("fid", "--ckpt", tmp_path / "model.safetensors", "-n", 2, *ref)[1] == f"{tmp_path / 'model.fid.json'}\n"


def test_references_by_name(chain, run, run_json, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    shutil.copy(chain / "digits.h5", "data/digits.h5")
    built = run_json("fid-ref", "digits", "--features", "pixel")
    assert (built["out"], built["n"], built["split"]) == ("data/digits.pixel.npz", 1442, "train")
    code, out, err = run("fid", chain / "samples", "--ref", "digits", "--features", "pixel", "--no-build-ref", "--out", "f.json")
    assert (code, out) == (0, "f.json\n")
    assert "genrev: --ref digits: digits, the 1,442 images of split 'train', as published, 8×8\n" in err
    assert str(tmp_path / "data/digits.pixel.npz") in run_json("info", "f.json", "--verify")["verified"]


def test_info_shows_the_whole_chain(chain, run, run_json):
    code, out, _ = run("info", chain / "fid.json")
    assert code == 0
    for word in ("genrev prepare-data", "genrev pretrain-recon", "genrev train-adversarial", "genrev sample", "genrev fid"):
        assert word in out
    for name in ("fid.json", "samples", "codes.h5", "grid.png", "adversarial.safetensors", "adversarial.safetensors.run/state.safetensors"):
        assert str(chain / name) in run_json("info", chain / name, "--verify")["verified"]


def test_the_same_command_again_has_nothing_to_do(chain, run):
    before = (chain / "adversarial.safetensors").read_bytes()
    code, _, err = run("train-adversarial", "--ckpt", chain / "recon.safetensors", "--device", "cpu")
    assert code == 0
    assert "nothing to do" in err
    assert (chain / "adversarial.safetensors").read_bytes() == before


def test_dry_run_writes_nothing(chain, run_json):
    result = run_json("pretrain-recon", "--data", chain / "digits.h5", "--dry-run", "--out", chain / "dry.safetensors", "--epochs", 2)
    assert result["parameters"] == 150_440
    assert result["steps"] == 12
    assert not list(chain.glob("dry*"))


def test_the_restarted_run_is_resumed_not_the_one_before_it(chain, run, tmp_path, monkeypatch):
    words = ("pretrain-recon", "--data", chain / "digits.h5", "--recipe", chain / "tiny.toml", "--out", tmp_path / "r.safetensors")
    assert run(*words)[0] == 0
    with monkeypatch.context() as patch:
        patch.setattr("genrev_cli.methods.reconstruction.Reconstruction.step", lambda *_: 1 / 0)  # dies in its first step
        assert run(*words, "--restart")[0] == 1
    code, _, err = run(*words)
    assert code == 0
    assert "at step 0 of 6" in err


def test_a_checkpoint_without_its_state_is_not_trained_over(chain, run, tmp_path):
    words = ("pretrain-recon", "--data", chain / "digits.h5", "--recipe", chain / "tiny.toml", "--out", tmp_path / "r.safetensors")
    assert run(*words)[0] == 0
    shutil.rmtree(tmp_path / "r.safetensors.run")
    assert "nothing to do" in run(*words)[2]
    code, _, err = run(*words, "--steps", 9)
    assert code == 2
    assert "is gone; use --restart" in err


def test_the_recipe_travels_with_the_checkpoint(chain, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # from where tiny.toml cannot be found by the name it was given
    assert run("train-adversarial", "--ckpt", chain / "recon.safetensors", "--out", "a.safetensors", "--steps", 1)[0] == 0


def test_files_are_readable_by_others(chain):
    for path in (chain / "recon.safetensors", chain / "digits.h5", chain / "grid.png", chain / "fid.json"):
        assert path.stat().st_mode & 0o444 == (chain / "tiny.toml").stat().st_mode & 0o444


def test_version_and_order_of_the_help(run):
    assert run("--version") == (0, f"{genrev_cli.__version__}\n", "")
    listed = [line.split()[1] for line in run("--help")[1].splitlines() if line.startswith("│ ") and line.split()[1] in all_commands()]
    assert listed[:5] == list(all_commands())[:5]
    assert run()[0] == 2
    assert run()[2] == ""


def test_epochs_replace_the_steps_of_a_recipe(chain, run_json):
    words = (
        "pretrain-recon",
        "--data",
        chain / "digits.h5",
        "--recipe",
        chain / "tiny.toml",
        "--dry-run",
        "--out",
        chain / "dry.safetensors",
    )
    assert run_json(*words)["steps"] == 6
    assert run_json(*words, "--epochs", 2)["steps"] == 46  # 2 × 1442 images in batches of 64


def test_the_reference_lists_every_command():
    registered = {command.name or command.callback.__name__.replace("_", "-") for command in app.registered_commands}
    assert registered == set(all_commands())
    text = reference()
    assert all(f"## genrev {name}\n" in text for name in registered)
    assert "| `--peer-timeout` | Under torchrun: end a process" in text


def test_fid_takes_the_reference_as_its_second_argument(chain, run_json, tmp_path):
    ours = ("--features", "pixel", "--no-cache")
    named = run_json("fid", chain / "samples", "--ref", chain / "digits.h5", *ours, "--out", tmp_path / "a.json")
    assert run_json("fid", chain / "samples", chain / "digits.h5", *ours, "--out", tmp_path / "b.json")["value"] == named["value"]


def test_an_unknown_class_is_refused_with_the_names_that_there_are(chain, run, tmp_path):
    code, out, err = run("sample", "--ckpt", chain / "adversarial.safetensors", "--class", "seven", "--out", tmp_path / "s")
    assert (code, out) == (2, "")
    assert "--class seven: no such class; the classes are 0, 1, 2" in err
