"""docs/obtained.md, from checkpoints, scores and paces as the pipeline leaves them."""

import re

import pytest
import torch

from genrev_cli.errors import UsageError
from genrev_cli.files.checkpoint import tensors_digest, write_checkpoint
from genrev_cli.files.header import Header
from genrev_cli.files.pictures import json_digest, write_json
from genrev_cli.obtained.__main__ import main
from genrev_cli.obtained.conditions import Scale
from genrev_cli.obtained.pace import Pace, write_pace
from genrev_cli.obtained.page import write_page
from genrev_cli.settings.commands import all_commands

MADE = {
    "command": "genrev train-vae --data RUNS/digits.h5 --out RUNS/vae-digits/0/1.safetensors",
    "versions": {"python": "3.11.7", "torch": "2.14.1"},
    "git": "0123456789ab",
    "machine": "Linux",
    "utc": "2026-11-28T10:00:00+00:00",
    "seconds": 90.0,
    "device": "cpu",
}
PACE = {"steps": 300, "options": "--steps 300", "minutes": 0.5, "seconds": 0.1, "first_seconds": 0.1, "recipe_steps": 3000, "clock": "cpu"}


@pytest.fixture
def made(tmp_path):
    """Write a row's run as the pipeline would: call it with the row, the seed and its results."""
    data = Header("data", {"counts": {"train": 1442, "val": 0, "test": 355}}, "d").as_input(tmp_path / "digits.h5")

    def write(row, seed, *, classifier, pixel, l1, pace=True, warm_up=0):
        folder = tmp_path / row / str(seed)
        folder.mkdir(parents=True)
        weights = {"w": torch.full((2,), float(seed))}
        by = {**MADE, "command": MADE["command"].replace("RUNS", str(tmp_path)).replace("vae-digits/0", f"{row}/{seed}")}
        write_checkpoint(
            folder / "1.safetensors",
            weights,
            Header("checkpoint", {"stage": "train"}, tensors_digest(weights), 300, inputs={"data": data}, made_by=by),
        )
        distances = {"n": 355, "n_reference": 355, "bias_floor": 0.25, "split": "test"}
        results = {"fd-classifier": {"metric": "FD-classifier", "value": classifier, **distances}}
        results |= {"fd-pixel": {"metric": "FD-pixel", "value": pixel, **distances}}
        results |= {"model": {"metric": "L1", "value": l1, "roundtrip_mean": 2e-8, "n": 355, "split": "test"}}
        for name, result in results.items():
            write_json(folder / f"{name}.json", result, Header("score", {}, json_digest(result)))
        if pace:
            first = {"warm_up": warm_up, "recipe_warm_up": 100 if warm_up else 0}
            write_pace(tmp_path / row / "pace-1.json", Pace(**PACE, **first, cpu="EPYC", cores=2, threads="1"))
        return folder

    return write


def page_of(tmp_path, *, seeds=("0",), sources=("digits",), features=(), minutes=0.5, size=""):
    path = tmp_path / "docs/obtained.md"
    write_page(path, tmp_path, seeds=seeds, sources=sources, features=features, scale=Scale(minutes=minutes, size=size))
    return path.read_text(encoding="utf-8")


def cells(page, method):
    """Return the cells of a method in the table of numbers, by column."""
    heads = next(line for line in page.splitlines() if line.startswith("| method | published"))
    line = next(line for line in page.splitlines() if line.startswith(f"| {method} |"))
    return dict(zip(heads.strip("| ").split(" | "), line.strip("| ").split(" | "), strict=True))


def test_without_runs_the_page_says_so(tmp_path):
    page = page_of(tmp_path, sources=("mnist", "cifar10"))
    assert cells(page, "LPGA") == {
        "method": "LPGA", "published": "FID 12.06 ± 0.12 [1]", "classifier": "not run", "pixel": "–",
        "L1": "–", "round trip": "–", "bits/dim": "–", "steps": "–", "minutes": "–", "seeds": "–",
    }  # fmt: skip
    assert "`lpga-mnist` (not run)" in page
    assert 'make obtained ROWS="grn-mnist grn-ot-mnist ' in page
    assert "Made on" not in page
    assert "can be judged yet" in page
    assert "**holds**" not in page


def test_a_row_shows_what_its_files_say(tmp_path, made):
    made("vae-digits", 0, classifier=696.0, pixel=30.0, l1=0.0173)
    found = cells(page_of(tmp_path), "VAE")
    assert found == {
        "method": "VAE", "published": "–", "classifier": "696", "pixel": "30.0", "L1": "0.0173",
        "round trip": "2·10⁻⁸", "bits/dim": "–", "steps": "300 (10 %)", "CPU minutes": "0.5", "seeds": "1",
    }  # fmt: skip


def test_distances_of_real_images_come_first(tmp_path, made):
    made("vae-digits", 0, classifier=696.0, pixel=30.0, l1=0.0173)
    assert "| real training images |" not in page_of(tmp_path)
    result = {"metric": "FD-pixel", "value": 0.125}
    (tmp_path / "real/digits").mkdir(parents=True)
    write_json(tmp_path / "real/digits/fd-pixel.json", result, Header("score", {}, json_digest(result)))
    page = page_of(tmp_path)
    found = cells(page, "real training images")
    assert (found["classifier"], found["pixel"], found["L1"]) == ("–", "0.125", "–")
    assert page.index("| real training images |") < page.index("| VAE |")


def test_seeds_become_mean_and_spread(tmp_path, made):
    for seed, distance in enumerate((2.0, 4.0)):
        made("vae-digits", seed, classifier=distance, pixel=1.0, l1=0.1)
    page = page_of(tmp_path, seeds=("0", "1", "2"))
    found = cells(page, "VAE")
    assert (found["classifier"], found["seeds"]) == ("3.00 ± 1.4", "2 (2 of 3 seeds)")
    assert "`vae-digits` (2 of 3 seeds)" in page


def test_a_row_without_one_of_its_scores_is_unfinished(tmp_path, made):
    (made("vae-digits", 0, classifier=1.0, pixel=1.0, l1=0.1) / "fd-pixel.json").unlink()
    page = page_of(tmp_path)
    assert cells(page, "VAE")["classifier"] == "unfinished"
    assert "`vae-digits` (unfinished)" in page


def test_published_orders_are_judged(tmp_path, made):
    made("vae-digits", 0, classifier=696.0, pixel=30.0, l1=0.0173)
    made("lpga-digits", 0, classifier=336.0, pixel=40.0, l1=0.035)
    page = page_of(tmp_path)
    order = "- LPGA before VAE (MNIST; Zhang et al. 2020, Table 1): "
    assert f"{order}**holds** by classifier (336 and 696), **does not hold** by pixel (40.0 and 30.0)." in page
    assert "By pixel, of 1 published orders 1 does not hold" in page
    assert "says which method is ahead early" in page, "300 of 3,000 steps are few"
    waiting = next(line for line in page.splitlines() if line.startswith("- Not judged"))
    assert "WAE-GAN before RevNet + adversary (CelebA 64×64; Schirrmeister et al. 2018, Table 1)" in waiting


def test_the_page_says_where_and_from_what(tmp_path, made):
    made("vae-digits", 0, classifier=696.0, pixel=30.0, l1=0.0173)
    page = page_of(tmp_path)
    assert "EPYC, 2 cores, threads per process: 1; Linux; device cpu; python 3.11.7, torch 2.14.1; commit 0123456789ab; 2026-11-28" in page
    assert "Images: 1,442 for training, 355 for testing." in page
    assert "FD-pixel of 355 samples and 355 images, bias floor 0.25" in page
    assert "genrev train-vae --data data/digits.h5 --out vae-digits/0/1.safetensors" in page
    assert str(tmp_path) not in page


def test_the_length_of_a_recipe_is_shown_in_minutes_of_the_clock(tmp_path, made):
    made("vae-digits", 0, classifier=696.0, pixel=30.0, l1=0.0173, pace=False)
    page = page_of(tmp_path, minutes=0)
    assert (cells(page, "VAE")["steps"], cells(page, "VAE")["minutes"]) == ("300", "1.5 ¹")
    assert "says which method is ahead early" not in page
    assert "as long as its recipe says" in page


def test_other_features_get_a_column(tmp_path):
    assert "inception" in cells(page_of(tmp_path, features=("inception", "x/dino.pt")), "VAE")
    assert "dino" in cells(page_of(tmp_path, features=("inception", "x/dino.pt")), "VAE")


def test_images_without_classes_have_no_classifier(tmp_path):
    assert "classifier" not in cells(page_of(tmp_path, sources=("celeba64",)), "VAE")


def test_every_row_has_one_command_for_a_gpu(tmp_path):
    page = page_of(tmp_path, sources=("mnist",))
    assert (
        "| LPGA | FID 12.06 (Zhang et al. 2020, Table 1) | "
        "`make obtained ROWS=lpga-mnist MINUTES=0 DEVICE=cuda FEATURES=inception N=5000` |" in page
    )


def test_what_was_cut_has_its_published_number_and_a_reason(tmp_path):
    page = page_of(tmp_path, sources=("celeba64",))
    assert cells(page, "RevNet + adversary")["pixel"] == "cut"
    assert "grn-celeba64` (" not in page
    assert "ROWS=grn-celeba64 MINUTES=0" in page
    assert "- RevNet + adversary; FID 65 (Schirrmeister et al. 2018, Table 1): 60 million parameters" in page


@pytest.mark.parametrize(("warm_up", "shorter"), [(60, True), (100, False), (0, False)])
def test_a_shorter_warm_up_is_named(tmp_path, made, warm_up, shorter):
    made("lpga-digits", 0, classifier=336.0, pixel=40.0, l1=0.035, warm_up=warm_up)
    line = f"- LPGA: the first {warm_up} steps train with the image loss only (in the recipe: 100)."
    assert (line in page_of(tmp_path)) == shorter


def test_commands_on_the_page_are_real(tmp_path, made):
    made("vae-digits", 0, classifier=696.0, pixel=30.0, l1=0.0173)
    names = re.findall(r"^genrev ([a-z][\w-]*)", page_of(tmp_path), re.M)
    assert names == ["train-vae"]
    assert set(names) <= set(all_commands())


def test_a_size_of_networks_is_named_in_text_and_commands(tmp_path):
    page = page_of(tmp_path, sources=("celeba64",), size="small")
    assert page.startswith("# Published and obtained, small networks\n")
    assert "`--size-of-model small`" in page
    assert "make obtained MINUTES=0.5 SIZE=small SOURCES=celeba64" in page
    assert cells(page, "RevNet + adversary")["pixel"] == "not run", "no small network is too long for a CPU"
    assert "WGAN-QC, its own networks" not in page, "its recipe has one size"
    assert "ROWS=grn-celeba64 MINUTES=0 DEVICE=cuda" in page, "the papers' networks"
    assert "--size-of-model" not in page_of(tmp_path, sources=("celeba64",))


def test_an_unknown_data_set_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no data set 'mnits'"):
        page_of(tmp_path, sources=("mnits",))


def test_the_program_writes_the_page(tmp_path, capsys):
    out = tmp_path / "page.md"
    main(["page", "--runs", str(tmp_path), "--seeds", "0", "--sources", "digits", "--features", "", "--minutes", "1", "--out", str(out)])
    assert capsys.readouterr().out.strip() == str(out)
    assert "## scikit-learn's digits" in out.read_text(encoding="utf-8")
