"""encode → decode, fit-directions, probe and traverse along directions, from words to files."""

import json
import shutil

import h5py
import numpy as np
import pytest
from PIL import Image

import genrev_cli as genrev
from genrev_cli.files import hdf5
from genrev_cli.files.directions import open_directions
from genrev_cli.files.header import Header
from genrev_cli.files.sheets import tiles_of
from genrev_cli.models import RevNet
from genrev_cli.runs.following import next_command

ROUND = (0, 6, 8, 9)
"""Digits with a loop."""


@pytest.fixture(scope="module")
def coded(chain):
    """The chain's folder with digits that have attributes, and their codes of all kinds."""
    from genrev_cli.cli import main

    with hdf5.reading(chain / "digits.h5") as (header, file):
        arrays = {name: file[name][:] for name in file}
    loops = np.isin(arrays["labels"], ROUND).astype(np.int8)
    loops[:50] = -1
    rare = np.zeros_like(loops)
    rare[7] = 1
    arrays["attributes"] = np.stack([loops, rare], 1)
    config = {**header.config, "attributes": ["loop", "rare"]}
    with hdf5.writing(chain / "loops.h5", Header("data", config, "", made_by=header.made_by)) as writer:
        for name, array in arrays.items():
            writer.create(name, array.shape, str(array.dtype))
            writer.write(name, 0, array)
    ckpt = ["--ckpt", chain / "recon.safetensors"]
    for words in (
        ["encode", *ckpt, "--data", chain / "loops.h5", "--out", chain / "loops-codes.h5"],
        ["encode", *ckpt, "--data", chain / "loops.h5", "--full", "--out", chain / "full.h5"],
        ["encode", *ckpt, "--data", chain / "loops.h5", "--full", "--exact-bits", 16, "--batch", 100, "--out", chain / "exact.h5"],
        ["encode", *ckpt, "--split", "test", "--out", chain / "test-codes.h5"],
        ["encode", *ckpt, "--out", chain / "plain-codes.h5"],
        ["fit-directions", chain / "loops-codes.h5", "--method", "means,normal,pca", "--components", 2, "--condition", "loop=0,8",
         "--out", chain / "directions.safetensors"],
    ):  # fmt: skip
        assert main([str(word) for word in words]) == 0
    return chain


@pytest.fixture
def album(tmp_path):
    """A folder of two pictures of one name in two folders, and another of one."""
    rng = np.random.default_rng(0)
    for name in ("a/me.png", "a/b/me.png", "c/you.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(tmp_path / name)
    return tmp_path


def images_of(path, split=None):
    with h5py.File(path) as file:
        return file["images"][:] if split is None else file["images"][:][file["split"][:] == split]


def test_codes_have_the_attributes_of_their_images(coded):
    with h5py.File(coded / "loops-codes.h5") as file:
        assert file["attributes"].shape == (1442, 2)
        labels, loops = file["labels"][:], file["attributes"][:, 0]
        assert json.loads(file.attrs["genrev"])["config"]["attributes"] == ["loop", "rare"]
    known = loops >= 0
    assert 0 < (~known).sum() <= 50
    assert (loops[known] == np.isin(labels[known], ROUND)).all()


def test_exact_codes_give_every_byte_back(coded, run, tmp_path):
    """In blocks of 100 of 1,442 images, so that the last one is filled up; and as another program reads the files."""
    out = tmp_path / "back.h5"
    code, stdout, err = run("decode", coded / "exact.h5", "--ckpt", coded / "recon.safetensors", "--exact-bits", 16, "--out", out)
    assert (code, stdout) == (0, f"{out}\n"), err
    assert (images_of(out) == images_of(coded / "digits.h5", 0)).all()
    assert run("decode", coded / "exact.h5", "--ckpt", coded / "recon.safetensors", "--out", tmp_path / "back.npz")[0] == 0
    with np.load(tmp_path / "back.npz") as file:
        assert (file["images"] == images_of(out)).all()


def test_full_codes_give_images_back_and_restricted_ones_what_is_left_of_them(coded, run, run_json, tmp_path):
    ckpt, originals = ["--ckpt", coded / "recon.safetensors"], images_of(coded / "digits.h5", 0).astype(int)
    assert run_json("decode", coded / "full.h5", *ckpt, "--out", tmp_path / "f.h5")["latent"] == "full"
    assert np.abs(images_of(tmp_path / "f.h5") - originals).max() <= 1
    assert run_json("decode", coded / "loops-codes.h5", *ckpt, "--out", tmp_path / "r.h5")["images"] == 1442
    model = genrev.load(coded / "recon.safetensors", device="cpu")
    left = model.reconstruct(originals[:70].astype(np.uint8), full=False).astype(int)
    assert np.abs(images_of(tmp_path / "r.h5")[:70] - left).max() <= 1
    assert np.abs(left - originals[:70]).max() > 20
    ref = ["--ref", coded / "digits.h5", "--split", "train", "--features", "pixel", "--no-cache"]
    assert run_json("fid", tmp_path / "f.h5", *ref, "--out", tmp_path / "fid.json")["value"] < 1e-3
    assert run("report", tmp_path / "r.h5", "--out", tmp_path / "page.html")[0] == 0


def test_directions_lead_to_the_sliders_for_them(coded, monkeypatch):
    monkeypatch.chdir(coded)
    line = next_command("fit-directions", coded / "directions.safetensors").replace(f"{coded}/", "")
    assert line == "genrev explore --ckpt recon.safetensors --directions directions.safetensors"


def test_images_have_the_names_of_their_pictures(coded, run, album):
    ckpt = ["--ckpt", coded / "recon.safetensors"]
    assert run("encode", album / "a", album / "c/you.png", *ckpt, "--full", "--out", album / "codes.h5")[0] == 0
    assert run("decode", album / "codes.h5", *ckpt, "--out", album / "back")[0] == 0
    assert sorted(path.name for path in (album / "back").glob("*.png")) == ["b-me.png", "me.png", "you.png"]
    for name, source in (("b-me", "a/b/me"), ("me", "a/me"), ("you", "c/you")):
        found, wanted = (np.asarray(Image.open(album / f"{one}.png")).astype(int) for one in (f"back/{name}", source))
        assert np.abs(found - wanted).max() <= 1
    assert run("info", album / "back", "--verify")[0] == 0
    for suffix in ("h5", "npz"):
        assert run("decode", album / "codes.h5", *ckpt, "--out", album / f"back.{suffix}")[0] == 0
        assert run("info", album / f"back.{suffix}", "--verify")[0] == 0
    with np.load(album / "back.npz") as file:
        assert file["names"].tolist() == ["b/me.png", "me.png", "you.png"]
    with h5py.File(album / "back.h5") as file:
        assert file["names"][1].tobytes().rstrip(b"\0") == b"me.png"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("decode {c}/full.h5 --ckpt {c}/adversarial.safetensors", 3, "full.h5: belongs to {c}/recon.safetensors, not to"),
        ("decode {c}/full.h5 --ckpt {c}/recon.safetensors --exact-bits 16", 2, "was encoded without exact bits; leave it out, or encode"),
        ("decode {c}/exact.h5 --ckpt {c}/recon.safetensors --exact-bits 12", 2, "was encoded with --exact-bits 16"),
        ("decode {c}/exact.h5 --ckpt {c}/recon.safetensors --batch 7", 2, "was encoded 100 at a time, and is exact only so"),
        ("decode {c}/digits.h5 --ckpt {c}/recon.safetensors", 3, "is a file of kind 'data', but 'codes' is needed"),
        ("encode --ckpt {c}/recon.safetensors --exact-bits 16", 2, "only the full latent gives images back to the bit; add --full"),
        ("fit-directions {c}/loops-codes.h5 --method lda", 2, "--method lda: choose means, normal or pca, each once"),
        ("fit-directions {c}/loops-codes.h5 --of smile", 2, "has no such class or attribute; it has 0, 1, 2"),
        ("fit-directions {c}/loops-codes.h5 --of rare", 2, "has 1 that have it and 1441 that lack it; both are needed"),
        ("fit-directions {c}/loops-codes.h5 --condition smile", 2, "there is no direction 'smile'; there are 0, 1"),
        ("fit-directions {c}/loops-codes.h5 --of 1 --method means --condition 1", 2, "needs other directions than itself"),
        ("fit-directions {c}/loops-codes.h5 --from {c}/samples", 2, "pass --to too"),
        ("fit-directions {c}/loops-codes.h5 --from {c}/samples --to {c}/samples", 2, "pass it with --ckpt"),
        ("fit-directions {c}/loops-codes.h5 --ckpt {c}/recon.safetensors", 2, "encodes the pictures of --from and --to"),
        ("traverse --ckpt {c}/adversarial.safetensors --directions {c}/directions.safetensors", 3, "belongs to {c}/recon.safetensors"),
        (
            "traverse --ckpt {c}/recon.safetensors --directions {c}/directions.safetensors --direction x",
            2,
            "has no direction 'x'; it has 0",
        ),
        ("traverse --ckpt {c}/recon.safetensors --direction 3", 2, "name a file of directions with --directions"),
        ("traverse --ckpt {c}/recon.safetensors --directions {c}/directions.safetensors --dim 3", 2, "both say what to vary"),
        ("traverse --ckpt {c}/recon.safetensors --directions {c}/recon.safetensors", 3, "make one with 'genrev fit-directions'"),
        ("probe {c}/loops-codes.h5 --of smile", 2, "has no such class or attribute"),
        ("probe {c}/loops-codes.h5 --labels 5000", 2, "has only 1154 labelled codes to learn from; 0 takes all"),
        ("probe {c}/loops-codes.h5 --test {c}/loops-codes.h5", 2, "has the codes that are learnt from"),
        ("probe {c}/loops-codes.h5 --test {c}/full.h5", 3, "has codes of another latent"),
        ("probe {c}/loops-codes.h5 --test {c}/codes.h5", 3, "has codes of another model"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(coded, run, tmp_path, monkeypatch, words, code, said):
    monkeypatch.chdir(tmp_path)
    found, out, err = run(*words.format(c=coded).split())
    assert (found, out) == (code, ""), err
    assert said.format(c=coded) in err
    assert not list(tmp_path.iterdir())


def test_codes_beyond_the_range_of_the_grid_are_not_called_exact(coded, run, tmp_path, monkeypatch):
    monkeypatch.setattr(RevNet, "grid_range", 0.5)
    code, out, err = run("encode", "--ckpt", coded / "recon.safetensors", "--full", "--exact-bits", 20, "--out", tmp_path / "c.h5")
    assert (code, out) == (2, "")
    assert "but sums are exact below 0.5 only; choose fewer bits" in err
    assert not list(tmp_path.iterdir())


def test_directions_separate_what_they_are_named_after(coded, run, run_json):
    found = open_directions(coded / "directions.safetensors")
    assert found.names == [
        *map(str, range(10)),
        "loop",
        *(f"{i}.normal" for i in range(10)),
        "loop.normal",
        "pc1",
        "pc2",
        "loop-without-0+8",
    ]
    assert np.allclose(found.vectors.norm(dim=1), 1, atol=1e-6)
    with h5py.File(coded / "loops-codes.h5") as file:
        codes, labels = file["codes"][:].astype(np.float64), file["labels"][:]
    assert np.allclose(found.mean, codes.mean(0), atol=1e-5)
    assert np.allclose(found.scale, (codes @ found.vectors.numpy().T.astype(np.float64)).std(0, ddof=1), rtol=1e-4)
    about = {table["name"]: table for table in found.about}
    zero = codes @ found.vectors[0].numpy()
    gap = (zero[labels == 0].mean() - zero[labels != 0].mean()) / found.scale[0].item()
    assert about["0"]["gap"] == pytest.approx(gap, rel=1e-4)
    assert about["0"]["accuracy"] > 0.7
    assert about["0.normal"]["accuracy"] > 0.7
    assert sum(about[f"pc{i}"]["share"] for i in (1, 2)) > 0.5  # of four dimensions
    conditioned = found.vectors[found.number("loop-without-0+8")]
    assert max(abs(float(conditioned @ found.vectors[i])) for i in (0, 8)) < 1e-6
    code, out, _ = run("info", coded / "directions.safetensors")
    assert code == 0
    assert "loop-without-0+8   means" in out
    assert run_json("info", coded / "directions.safetensors", "--verify")["table"]["rows"][0]["direction"] == "0"


def test_too_rare_an_attribute_is_left_out_with_a_note(coded, run, tmp_path):
    code, out, err = run("fit-directions", coded / "loops-codes.h5", "--out", tmp_path / "d.safetensors")
    assert (code, out) == (0, f"{tmp_path / 'd.safetensors'}\n")
    assert "left out attribute rare: it has 1 that have it and 1441 that lack it" in err
    assert "accuracy: balanced" in err
    assert open_directions(tmp_path / "d.safetensors").names[-1] == "pc4"  # at most as many as dimensions


def test_directions_between_two_sets_of_pictures(coded, run, tmp_path):
    """From sevens to zeros, whose means are known from their codes; with an accuracy of leaving one out."""
    with h5py.File(coded / "digits.h5") as file:
        images, labels = file["images"][:], file["labels"][:]
    for label in (7, 0):
        (tmp_path / f"set{label}").mkdir()
        for i in np.flatnonzero(labels == label)[:12]:
            Image.fromarray(images[i, 0]).save(tmp_path / f"set{label}/{i}.png")
    out = tmp_path / "sets.safetensors"
    words = ("--from", tmp_path / "set7", "--to", tmp_path / "set0", "--ckpt", coded / "recon.safetensors", "--out", out)
    assert run("fit-directions", coded / "full.h5", *words)[0] == 0
    found = open_directions(out)
    assert (found.names, found.full) == (["set7-to-set0"], True)
    assert found.about[0]["accuracy"] > 0.9
    with h5py.File(coded / "full.h5") as file:
        codes, rows = file["codes"][:], file["rows"][:]
    means = {k: codes[np.isin(rows, np.flatnonzero(labels == k)[:12])].mean(0) for k in (7, 0)}
    wanted = means[0] - means[7]
    if np.isin(np.flatnonzero(labels == 7)[:12], rows).all() and np.isin(np.flatnonzero(labels == 0)[:12], rows).all():
        assert float(found.vectors[0].numpy() @ wanted) / np.linalg.norm(wanted) > 0.999


@pytest.mark.parametrize("latent", ["full", "restricted"])
def test_a_traversal_along_directions_goes_through_its_image(coded, run_json, tmp_path, latent):
    """The middle column is the image itself, or what its restricted latent decodes to; the outer ones are not."""
    out = tmp_path / "t.png"
    common = ("traverse", "--ckpt", coded / "recon.safetensors", "--around", 3, "--steps", 3, "--no-labels", "--scale", 1, "--out", out)
    result = run_json(*common, "--directions", coded / "directions.safetensors", "--direction", "loop", "--direction", "pc1",
                      "--latent", latent)  # fmt: skip
    assert result["directions"] == ["loop", "pc1"]
    header = run_json("info", out)
    assert set(header["inputs"]) == {"ckpt", "data", "directions"}
    tiles = tiles_of(np.asarray(Image.open(out))[None], header["config"]["layout"]).astype(int)
    assert (tiles[1] == tiles[4]).all()
    assert (np.abs(tiles[1] - images_of(coded / "digits.h5", 2)[3]).max() <= 1) == (latent == "full")
    assert np.abs(tiles[0] - tiles[2]).max() > 20


def test_a_traversal_around_the_mean_of_full_codes(coded, run, run_json, tmp_path):
    assert run("fit-directions", coded / "full.h5", "--of", "0", "--method", "means", "--out", tmp_path / "f.safetensors")[0] == 0
    words = ("traverse", "--ckpt", coded / "recon.safetensors", "--directions", tmp_path / "f.safetensors", "--out", tmp_path / "t.png")
    assert run_json(*words)["extent"] == 3
    assert run_json("info", tmp_path / "t.png")["config"]["around"] == "mean of the codes"


def test_probe_says_how_much_codes_know(coded, run, run_json, tmp_path):
    out = tmp_path / "p.json"
    code, stdout, err = run("probe", coded / "full.h5", "--labels", "10,100,0", "--repeats", 4, "--out", out)
    assert (code, stdout) == (0, f"{out}\n")
    assert "Chance: 0.1" in err
    assert "labels  runs" in err
    written = json.loads(out.read_text())
    assert [row["labels"] for row in written["rows"]] == [10, 100, 1154]
    assert [row["runs"] for row in written["rows"]] == [4, 4, 1]
    for name in ("knn", "linear"):
        few, some, everything = (row[name] for row in written["rows"])
        assert written["chance"] < few < some < everything
        assert everything > 0.9  # 8×8 digits are easy, and nothing is lost in the full latent
        assert written["rows"][0][f"{name}_std"] > written["rows"][1][f"{name}_std"] > 0
        assert written["rows"][2][f"{name}_std"] is None
    assert "1000 of 1154 labelled codes to learn from are drawn" in run("probe", coded / "full.h5", "--labels", 0, "--most", 1000,
                                                                       "--out", tmp_path / "few.json")[2]  # fmt: skip
    assert run_json("info", out, "--verify")["kind"] == "probe"
    assert run_json("probe", coded / "full.h5", "--labels", "10,100,0", "--repeats", 4, "--out", out)["rows"] == written["rows"]


def test_probe_on_other_codes_and_of_an_attribute(coded, run_json, tmp_path):
    shutil.copy(coded / "loops-codes.h5", tmp_path / "codes.h5")
    found = run_json("probe", tmp_path / "codes.h5", "--test", coded / "test-codes.h5", "--labels", 0)
    assert (found["out"], found["n"], found["n_test"]) == (str(tmp_path / "codes.h5.probe.json"), 1442, 355)
    loop = run_json("probe", coded / "loops-codes.h5", "--of", "loop", "--labels", "20,0", "--repeats", 3, "--out", tmp_path / "l.json")
    assert loop["classes"] == ["without", "with"]
    assert 0.5 < loop["chance"] < loop["rows"][1]["knn"]


def test_compare_shows_what_codes_know(coded, run, run_json, tmp_path):
    """With a column for each classifier and number of labels; and only for codes of the models, measured alike."""
    models = [coded / "recon.safetensors", coded / "adversarial.safetensors"]
    for model, codes in zip(models, ("loops-codes.h5", "codes.h5"), strict=True):
        run_json("probe", coded / codes, "--labels", "50,0", "--repeats", 3, "--out", tmp_path / f"{model.stem}.json")
    words = ("compare", *models, "-n", 20, "--features", "pixel", "--out", tmp_path / "c.html")
    probes = [word for model in models for word in ("--probe", tmp_path / f"{model.stem}.json")]
    code, _, err = run(*words, *probes[:2])
    assert (code, "adversarial.safetensors: none of the results of --probe is of its codes" in err) == (2, True)
    code, _, err = run(*words, *probes)
    assert (code, "data is" in err) == (2, True)  # the chain's digits and those with attributes are different files
    run_json("probe", coded / "plain-codes.h5", "--labels", "50,0", "--repeats", 3, "--out", tmp_path / "recon.json")
    rows = run_json(*words, *probes)["tables"][0]["rows"]
    written = json.loads((tmp_path / "recon.json").read_text())["rows"]
    assert {row["model"]: row["linear 50"] for row in rows}["recon"] == written[0]["linear"]
    assert "Neighbours 1154 ↑" in (tmp_path / "c.html").read_text(encoding="utf-8")
