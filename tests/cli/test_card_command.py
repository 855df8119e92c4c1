"""card: the text, the pictures, and what it does not overwrite or publish."""

import os
import re
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def carded(chain, tmp_path_factory):
    """A folder with a card of the chain's last checkpoint."""
    from genrev_cli.cli import main

    out = tmp_path_factory.mktemp("hub") / "model"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    assert main([str(word) for word in ("card", chain / "adversarial.safetensors", "--out", out)]) == 0
    return out


@pytest.fixture
def text(carded):
    return (carded / "README.md").read_text(encoding="utf-8")


def test_the_front_matter_is_yaml_without_invented_values(text):
    front = text.split("---\n")[1].splitlines()
    keys = [line.split(":")[0] for line in front if not line.startswith(("-", "#"))]
    assert keys == ["library_name", "pipeline_tag", "tags"]
    assert all(re.fullmatch(r"[\w_]+: [\w-]+|tags:|- [\w.-]+|# .*", line) for line in front)
    assert any(line.startswith("# license:") for line in front)


def test_the_card_tells_what_the_header_knows(text):
    for fact in (
        "# revnet on digits", "images of 8×8, 1 channel", "| Images | 1,442 train, 355 test |", "| Active dimensions | 4 |",
        "\ngenrev prepare-data digits --out digits.h5\n", "\ngenrev train-adversarial --ckpt recon.safetensors",
        "FD-pixel", "- Codes from: prior", "genrev sample --ckpt adversarial.safetensors -n 64", 'genrev.load("adversarial.safetensors")',
        "trained on 1,442 images", "arXiv:1806.01610", "@article{schirrmeister2018training,", "![originals and reconstructions]",
    ):  # fmt: skip
        assert fact in text, fact
    for name in re.findall(r"!\[.*?\]\((.*?)\)", text):
        assert name in ("samples.png", "reconstructions.png")
    assert "\n\n\n" not in text


def test_tables_have_as_many_cells_in_every_row(text):
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        assert len({len(re.findall(r"(?<!\\)\|", line.rstrip())) for line in block.splitlines()}) == 1, block


def test_nothing_in_the_folder_has_a_path_of_this_machine(chain, carded):
    for file in ("README.md", "samples.png", "reconstructions.png"):
        content = (carded / file).read_bytes()
        assert not [folder for folder in (str(chain), str(Path.home()) + "/", os.getcwd(), "/tmp/") if folder.encode() in content]


def test_the_pictures_are_pictures_of_genrev(carded, run_json):
    assert {run_json("info", carded / name, "--verify")["kind"] for name in ("samples.png", "reconstructions.png")} == {"picture"}


def test_a_card_is_made_again_but_an_edited_one_or_one_of_another_model_is_kept(chain, carded, run):
    card, model = carded / "README.md", chain / "adversarial.safetensors"
    assert run("card", model, "--out", carded)[0] == 0
    assert (carded / "notes.txt").read_text() == "mine"
    code, _, err = run("card", chain / "recon.safetensors", "--out", carded)
    assert (code, "not a card of this checkpoint" in err) == (3, True)
    before = card.read_text(encoding="utf-8")
    card.write_text(before.replace("# license: choose one", "license: mit"), encoding="utf-8")
    code, _, err = run("card", model, "--out", carded)
    assert (code, "was edited" in err, "--force" in err) == (3, True, True)
    assert "license: mit" in card.read_text(encoding="utf-8")
    assert run("card", model, "--out", carded, "--force")[0] == 0
    assert card.read_text(encoding="utf-8") == before


def test_scores_beside_the_checkpoint_are_its_own(chain, run, tmp_path):
    """The chain's score is of the last checkpoint: it is not on the card of the first, and refused for it."""
    first = chain / "recon.safetensors"
    assert run("card", first, "--out", tmp_path / "a")[0] == 0
    assert "No score was given" in (tmp_path / "a" / "README.md").read_text(encoding="utf-8")
    code, _, err = run("card", first, "--score", chain / "fid.json", "--out", tmp_path / "b")
    assert (code, "is not a score of" in err) == (3, True)
    assert not (tmp_path / "b").exists()


def test_without_the_images_there_are_no_reconstructions_and_a_note(chain, run, tmp_path):
    assert run("info", chain / "recon.safetensors", "--strip", "--out", tmp_path / "copy.safetensors")[0] == 0
    code, _, err = run("card", tmp_path / "copy.safetensors", "--out", tmp_path / "card")
    assert (code, "no reconstructions on the card" in err) == (0, True)
    assert not (tmp_path / "card" / "reconstructions.png").exists()
    assert "reconstructions.png" not in (tmp_path / "card" / "README.md").read_text(encoding="utf-8")
    assert run("card", tmp_path / "copy.safetensors", "--data", chain / "digits.h5", "--out", tmp_path / "card")[0] == 0
    assert (tmp_path / "card" / "reconstructions.png").exists()


@pytest.mark.parametrize(
    ("ckpt", "out", "message"), [("digits.h5", "card", "safetensors"), ("recon.safetensors", "digits.h5", "is a file")]
)
def test_wrong_use(chain, run, ckpt, out, message):
    code, _, err = run("card", chain / ckpt, "--out", chain / out)
    assert code in (2, 3)
    assert message in err
