"""Pages and pictures that were made from other files are kept, --force replaces them, and the same command makes its own again."""

import pytest

PICTURES = {
    "reconstruct": ("--ckpt", "{ckpt}", "--out", "{out}.png"),
    "interpolate": ("--ckpt", "{ckpt}", "--out", "{out}.png"),
    "traverse": ("--ckpt", "{ckpt}", "--out", "{out}.png"),
    "sample": ("--ckpt", "{ckpt}", "-n", "2", "--out", "{out}-{ckpt.stem}.h5", "--grid", "{out}.png"),
    "report": ("{ckpt}", "--out", "{out}.html"),
}


@pytest.mark.parametrize("command", PICTURES)
def test_what_was_made_from_another_checkpoint_is_kept(chain, run, tmp_path, command):
    def words(ckpt):
        return [command, *(word.format(ckpt=chain / ckpt, out=tmp_path / "it") for word in PICTURES[command])]

    assert run(*words("recon.safetensors"))[0] == 0
    (made,) = (path for path in tmp_path.iterdir() if path.suffix in (".png", ".html"))
    before = made.read_bytes()
    code, _, err = run(*words("adversarial.safetensors"))
    assert (code, "was made from" in err, "--force" in err, made.read_bytes() == before) == (3, True, True, True)
    assert f"another {'--grid' if command == 'sample' else '--out'}" in err
    assert run(*words("recon.safetensors"))[0] == 0
    assert run(*words("adversarial.safetensors"), "--force")[0] == 0
    assert made.read_bytes() != before


def test_a_folder_of_samples_of_another_checkpoint_is_kept(chain, run, tmp_path):
    def words(ckpt, *more):
        return ["sample", "--ckpt", chain / ckpt, "-n", 2, "--out", tmp_path / "samples", *more]

    assert run(*words("recon.safetensors"))[0] == 0
    code, _, err = run(*words("adversarial.safetensors"))
    assert (code, "was made from" in err) == (3, True)
    assert run(*words("adversarial.safetensors", "--force"))[0] == 0


def test_another_picture_of_the_same_checkpoint_is_kept(chain, run, tmp_path):
    out = tmp_path / "p.png"
    assert run("reconstruct", "--ckpt", chain / "recon.safetensors", "--out", out)[0] == 0
    code, _, err = run("traverse", "--ckpt", chain / "recon.safetensors", "--out", out)
    assert (code, "shows reconstructions, not traversals" in err) == (3, True)


def test_a_page_grows(chain, run, tmp_path):
    """With a file more it is the same page; with a file less it would lose something."""
    model, page = chain / "adversarial.safetensors", tmp_path / "page.html"
    assert run("report", model, "--out", page)[0] == 0
    assert run("report", model, chain / "fid.json", "--out", page)[0] == 0
    code, _, err = run("report", model, "--out", page)
    assert (code, "fid.json" in err) == (3, True)


def test_tables_beside_a_comparison_are_kept_if_they_are_not_its_own(chain, run, run_json, tmp_path):
    words = ["compare", chain / "recon.safetensors", chain / "adversarial.safetensors", "--features", "pixel", "-n", 8]
    words += ["--metrics", "fid,roundtrip", "--out", tmp_path / "c.html"]
    found = run_json(*words)
    table = tmp_path / "c.csv"
    assert found["exports"] == [str(table), str(tmp_path / "c.tex")]
    assert table.read_text().startswith("model,codes_from,k,FD-pixel,roundtrip_mean,roundtrip_max,")
    assert {row["codes_from"] for row in found["tables"][0]["rows"]} == {"prior"}
    assert "sampler" not in found["conditions"]
    assert all(row["roundtrip_max"] < 1e-5 for row in found["tables"][0]["rows"])
    assert run(*words)[0] == 0
    table.write_text("mine")
    code, _, err = run(*words)
    assert (code, "c.csv: exists and is not the table" in err, table.read_text()) == (3, True, "mine")
    assert run(*words, "--force")[0] == 0
    assert table.read_text().startswith("model,")


@pytest.mark.parametrize(
    ("words", "code", "shape"), [(("--scale", "3"), 0, 24), (("--scale", "2", "--no-labels"), 0, 16), (("--scale", "1"), 2, 0)]
)
def test_a_picture_has_the_scale_that_is_asked_for(chain, run, tmp_path, words, code, shape):
    from genrev_cli.files.pictures import read_picture

    found = run("reconstruct", "--ckpt", chain / "recon.safetensors", "--columns", 2, "--out", tmp_path / "p.png", *words)
    assert found[0] == code
    if code:
        assert "--no-labels" in found[2]
        return
    header, pixels = read_picture(tmp_path / "p.png")
    layout = header.config["layout"]
    assert layout["scale"] * 8 == shape
    assert pixels.shape[2] - layout["left"] == 2 * (shape + layout["gap"]) + layout["gap"]
    assert (layout["left"] > 0) == ("--no-labels" not in words)
