"""The key numbers at the top of a report: a block for each model, and cards that can be told apart."""

from pathlib import Path

import numpy as np

from genrev_cli.files.header import Header
from genrev_cli.report.chain import Record
from genrev_cli.report.material import Material, Picture, Score
from genrev_cli.report.page import render
from genrev_cli.report.summary import blocks, headline, models


def model(name: str, network: str, minute: int, inputs: dict | None = None) -> Record:
    config = {"stage": "train", "model": {"name": network, "image_shape": [1, 8, 8]}, "prior": {"dim": 3}}
    made_by = {"utc": f"2026-01-01T00:{minute:02}:00", "command": "genrev train", "seconds": 1.0}
    return Record(Path(f"/runs/{name}"), Header("checkpoint", config, name, 10, inputs=inputs or {}, made_by=made_by))


def score(of: Record, value: float, file: str, minute: int = 30, **result) -> Score:
    found = {"metric": "FD-pixel", "value": value, "n": 100, "n_reference": 50, "split": "test", **result}
    inputs = {"samples": of.header.as_input(of.path)}
    return Score(Record(Path(file), Header("score", {}, file, 0, inputs=inputs, made_by={"utc": f"2026-01-01T00:{minute:02}:00"})), found)


def picture(of: Record, l1: float) -> Picture:
    config = {"shows": "reconstructions", "numbers": {"images": 7, "split": "test", "l1_restricted": l1}}
    header = Header("picture", config, of.path.name, 0, inputs={"ckpt": of.header.as_input(of.path)})
    return Picture(Record(Path(f"{of.path.name}.png"), header), np.zeros((1, 8, 8), np.uint8))


START = model("recon.safetensors", "revnet", 1)
FIRST = model("a.safetensors", "revnet", 2, {"ckpt": START.header.as_input(START.path)})
OTHER = model("b.safetensors", "strided", 3)


def values(material: Material) -> dict[str, list[tuple[str, str]]]:
    return {block.name: [(card.title, card.value) for card in block.cards] for block in blocks(material)}


def test_every_model_has_a_block_with_its_own_numbers():
    """The last one that was trained comes first; an earlier stage has a block because it has a score of its own."""
    scores = [score(FIRST, 1.5, "s1.json"), score(OTHER, 2.5, "s2.json"), score(START, 3.5, "s3.json")]
    material = Material([START, FIRST, OTHER], [picture(FIRST, 0.25), picture(OTHER, 0.5)], scores)
    assert values(material) == {
        "b.safetensors": [("FD-pixel (not an FID)", "2.500"), ("L1, restricted latent", "0.500")],
        "a.safetensors": [("FD-pixel (not an FID)", "1.500"), ("L1, restricted latent", "0.250")],
        "recon.safetensors": [("FD-pixel (not an FID)", "3.500")],
    }
    assert [heading for heading, _ in models(material)] == ["b.safetensors", "a.safetensors"]
    assert headline(material) == "strided, revnet"
    page = render(material)
    assert [page.count(f'aria-label="Key numbers of {name}"') for name in values(material)] == [1, 1, 1]


def test_a_single_model_has_no_heading():
    material = Material([START, FIRST], [picture(FIRST, 0.25)])
    assert values(material) == {"": [("L1, restricted latent", "0.250")]}
    assert [heading for heading, _ in models(material)] == ["Model"]


def test_models_of_one_name_get_their_folder():
    twin = Record(Path("/other/b.safetensors"), model("twin", "revnet", 4).header)
    assert list(values(Material([OTHER, twin], [], [score(OTHER, 1.0, "s.json"), score(twin, 2.0, "t.json")]))) == [
        "other/b.safetensors",
        "runs/b.safetensors",
    ]


def test_scores_of_samples_from_elsewhere_are_not_those_of_a_model():
    elsewhere = Score(Record(Path("e.json"), Header("score", {}, "e")), {"metric": "FID", "value": 9.0, "n": 10, "n_reference": 10})
    assert values(Material([FIRST], [], [score(FIRST, 1.0, "s.json"), elsewhere])) == {
        "a.safetensors": [("FD-pixel (not an FID)", "1.000")],
        "Other samples": [("FID", "9.000")],
    }


def test_cards_of_one_name_say_what_their_samples_are():
    found = [score(FIRST, 2.0, "map.json", 31, sampler="ot"), score(FIRST, 1.0, "prior.json", sampler="prior")]
    (block,) = blocks(Material([FIRST], [], found))
    assert [(card.title, card.value) for card in block.cards] == [
        ("FD-pixel (not an FID), prior", "1.000"),
        ("FD-pixel (not an FID), transport map", "2.000"),
    ]
    assert block.cards[1].note == "100 samples of the transport map against 50 test images"


def test_cards_that_differ_in_nothing_else_say_their_file():
    found = [score(FIRST, 1.0, "few.json", sampler="prior", n=10), score(FIRST, 2.0, "many.json", 31, sampler="prior")]
    (block,) = blocks(Material([FIRST], [], found))
    assert [card.title.rpartition(", ")[2] for card in block.cards] == ["few.json", "many.json"]


def test_the_distribution_of_given_samples_comes_from_their_header():
    drawn = Header("samples", {"sampler": "gmm"}, "x", inputs={"ckpt": FIRST.header.as_input(FIRST.path)})
    record = Record(Path("s.json"), Header("score", {}, "s", inputs={"samples": drawn.as_input(Path("samples"))}))
    one = Score(record, {"metric": "FID", "value": 1.0, "n": 5, "n_reference": 5})
    assert one.drawn_from == "mixture of Gaussians"
    assert Score(record, {"metric": "L1", "value": 1.0, "n": 5}).drawn_from == ""
