"""info --strip: no byte of a copy tells where it was made, and the copy is the same file for every command."""

import os
from pathlib import Path

import pytest

FILES = (
    "digits.h5", "recon.safetensors", "adversarial.safetensors", "codes.h5", "samples", "samples.npz", "grid.png", "reconstructions.png",
    "fid.json", "report.html",
)  # fmt: skip


@pytest.fixture(scope="module")
def published(chain, tmp_path_factory):
    """A folder with a copy of every kind of file of the chain."""
    from genrev_cli.cli import main

    folder = tmp_path_factory.mktemp("published")
    model = chain / "adversarial.safetensors"
    for words in (
        ["sample", "--ckpt", model, "-n", 3, "--out", chain / "samples.npz"],
        ["report", model, chain / "recon.safetensors", chain / "fid.json", chain / "traversals.png", "--out", chain / "report.html"],
        *(["info", chain / name, "--strip", "--out", folder / name] for name in FILES),
    ):
        assert main([str(word) for word in words]) == 0
    return folder


def has(path: Path, text: str) -> bool:
    """Tell if a file, or one in a folder, has a text; NumPy stores text as UTF-32."""
    files = path.rglob("*") if path.is_dir() else [path]
    return any(text.encode(encoding) in file.read_bytes() for file in files for encoding in ("utf-8", "utf-32-le"))


@pytest.mark.parametrize("name", FILES)
def test_no_byte_of_a_copy_has_a_path_of_this_machine(chain, published, name):
    folders = (str(chain), str(chain.parent), str(Path.home()) + "/", os.getcwd(), "/tmp/")
    assert has(chain / name, str(chain)), "the original has none either, so this shows nothing"
    assert not [folder for folder in folders if has(published / name, folder)]


@pytest.mark.parametrize("name", FILES[:-1])
def test_a_copy_has_the_same_content(chain, published, run_json, name):
    original, copy = run_json("info", chain / name), run_json("info", published / name, "--verify")
    assert (original["sha256"], original["kind"], original["step"]) == (copy["sha256"], copy["kind"], copy["step"])
    assert copy["made_by"]["versions"] == original["made_by"]["versions"]


def test_copies_work_as_inputs(published, run, run_json):
    """Without the originals' folder: samples are the same, and codes, data and checkpoint belong together."""
    model, data = published / "adversarial.safetensors", published / "digits.h5"
    assert run("sample", "--ckpt", model, "-n", 3, "--out", published / "again.npz")[0] == 0
    again, copy = (run_json("info", published / name)["sha256"] for name in ("again.npz", "samples.npz"))
    assert again == copy
    assert run_json("reconstruct", "--ckpt", model, "--data", data, "--out", published / "r.png")["images"] == 355
    assert run("fit-gmm", published / "codes.h5", "--out", published / "gmm.safetensors")[0] == 0
    assert run("sample", "--ckpt", model, "--gmm", published / "gmm.safetensors", "-n", 3, "--out", published / "g.npz")[0] == 0
    assert run("report", model, published / "fid.json", published / "grid.png", "--out", published / "new.html")[0] == 0


def weights(path: Path):
    """Return the tensors of a checkpoint's network as they are stored."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return [file.get_tensor(name) for name in file.keys() if name.startswith("autoencoder.")]  # noqa: SIM118 (not a dict)


def test_half_of_the_size_and_the_inverse_still_exact(chain, tmp_path, run, run_json):
    """Weights of 16 bits are other weights of the same bijection; scores of the copy can be kept in its header, and a card shows them."""
    import numpy as np

    import genrev_cli as genrev

    model, small = chain / "adversarial.safetensors", tmp_path / "small.safetensors"
    assert run("info", model, "--strip", "--half", "--out", small)[0] == 0
    assert run("info", model, "--strip", "--half", "--out", small)[0] == 0, "the same copy is made again"
    before, after = weights(model), weights(small)
    assert {str(tensor.dtype) for tensor in after} == {"torch.float16"}
    assert 2 * sum(tensor.nbytes for tensor in after) == sum(tensor.nbytes for tensor in before)
    whole, half = (genrev.load(path, device="cpu") for path in (model, small))
    images = genrev.open_data(chain / "digits.h5").images[:50]
    assert (half.reconstruct(images, full=True) == images).all()
    assert np.abs(half.encode(images) - whole.encode(images)).mean() < 0.01
    assert next(half.network.parameters()).dtype.itemsize == 4
    words = ("--ref", chain / "digits.h5", "-n", 50, "--features", "pixel", "--out", tmp_path / "fid.json")
    assert run("fid", "--ckpt", small, *words)[0] == 0
    kept = tmp_path / "kept.safetensors"
    assert run("info", model, "--strip", "--score", tmp_path / "fid.json", "--out", kept)[0] == 3, "a score of another checkpoint"
    assert run("info", small, "--strip", "--score", tmp_path / "fid.json", "--out", kept)[0] == 0
    (score,) = run_json("info", kept, "--verify")["config"]["scores"]
    assert score["result"]["n"] == 50
    assert not has(kept, str(tmp_path))
    (tmp_path / "fid.json").unlink()
    assert run("card", kept, "--out", tmp_path / "card")[0] == 0
    assert f"{score['result']['value']:.4g}" in (tmp_path / "card" / "README.md").read_text(encoding="utf-8")


def test_a_page_is_still_one(published, run):
    assert run("info", published / "report.html", "--verify")[0] == 0
    assert "genrev train-adversarial --ckpt recon.safetensors" in (published / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--strip",), 2, "pass --out COPY"),
        (("--out", "copy.h5"), 2, "only with --strip"),
        (("--strip", "--out", "{folder}/digits.json"), 2, "must end in .h5"),
        (("--strip", "--out", "{folder}/digits.h5"), 2, "is an input"),
        (("--strip", "--out", "{folder}/codes.h5"), 3, "kind 'data'"),
        (("--half",), 2, "--half: has a meaning only with --strip"),
        (("--score", "fid.json"), 2, "--score fid.json: has a meaning only with --strip"),
        (("--strip", "--half", "--out", "{folder}/copy.h5"), 2, "no checkpoint"),
    ],
)
def test_wrong_use(chain, run, words, code, message):
    found = run("info", chain / "digits.h5", *(word.format(folder=chain) for word in words))
    assert (found[0], message in found[2]) == (code, True), found


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("genrev fid /a/b/samples --ref=/a/c.h5", "genrev fid samples --ref=c.h5"),
        ("genrev compare x=/a/b.safetensors+/a/d.safetensors '/my photos/e.png'", "genrev compare x=b.safetensors+d.safetensors e.png"),
        ("genrev prepare-data mnist --path raw/mnist", "genrev prepare-data mnist --path raw/mnist"),
        ("https://host/a/b and 3 images/s and 1/2", "https://host/a/b and 3 images/s and 1/2"),
    ],
)
def test_paths_in_commands(text, clean):
    from genrev_cli.files.header import Header
    from genrev_cli.files.strip import stripped

    made = {"command": text, "seconds": 1, "hostname": "mine", "user": "me"}
    assert stripped(Header("data", {}, "", made_by=made)).made_by == {"command": clean, "seconds": 1}


def test_inputs_settings_and_keys_lose_their_folders():
    from genrev_cli.files.header import Header
    from genrev_cli.files.strip import stripped

    record = {"path": "/my photos/a.h5", "kind": "data", "sha256": "x", "config": {"around": "code of /my photos/b.png"}}
    header = stripped(
        Header("report", {"recipe": "/home/x/r.toml", "dims": [1, 2]}, "d", 3, inputs={"/my photos/a.h5": record, "/other/a.h5": record})
    )
    assert header.config == {"recipe": "r.toml", "dims": [1, 2]}
    assert list(header.inputs) == ["a.h5", "a.h5 (2)"]
    assert header.inputs["a.h5"] == {**record, "path": "a.h5", "config": {"around": "code of b.png"}}
    assert (header.sha256, header.step) == ("d", 3)


def test_a_page_loses_paths_that_only_its_commands_have(tmp_path, run):
    """Also one with spaces and signs that HTML escapes; its pictures stay as they are, whatever letters they have."""
    from genrev_cli.files.header import Header
    from genrev_cli.files.page import SLOT, read_page, write_page

    command = "genrev prepare-data mnist --path '/my \"photos\" & more/raw/mnist' --out=/data/x/m.h5"
    shown = "genrev prepare-data mnist --path &#39;/my &#34;photos&#34; &amp; more/raw/mnist&#39; --out=/data/x/m.h5"
    picture = '<img src="data:image/png;base64,ab/cd/ef/g">'
    record = {"path": "/d/m.h5", "kind": "data", "sha256": "1", "made_by": {"command": command, "seconds": 1}}
    write_page(tmp_path / "p.html", f"<p>{shown}</p>{picture}{SLOT}", Header("report", {}, "", 0, inputs={"/d/m.h5": record}))
    assert run("info", tmp_path / "p.html", "--strip", "--out", tmp_path / "copy.html")[0] == 0
    header, text = read_page(tmp_path / "copy.html")
    assert text.startswith(f"<p>genrev prepare-data mnist --path &#39;mnist&#39; --out=m.h5</p>{picture}<script")
    assert header.inputs["m.h5"]["made_by"]["command"] == "genrev prepare-data mnist --path mnist --out=m.h5"
