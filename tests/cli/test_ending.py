"""The end of a command in words, what comes next, and tables in 80 columns; stdout stays the result."""

import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import genrev_cli as genrev
from genrev_cli.cli import main
from genrev_cli.cli.ending import end_lines, table_lines
from genrev_cli.files.header import Header
from genrev_cli.report.words import result_title
from genrev_cli.result import Result
from genrev_cli.runs import following
from genrev_cli.runs.following import filled, names_in, next_command
from genrev_cli.settings.commands import all_commands
from genrev_cli.settings.trainer import SAMPLE_NEXT, Trainer
from genrev_cli.settings.trainers import TRAINERS


def test_a_result_in_words(tmp_path):
    numbers = {
        "steps": 10_000, "seconds": 268.2, "l1_restricted": 0.07063, "roundtrip_mean": 4.61e-8, "profile": "", "layer": None, "damaged": 0,
        "best_FD-pixel": 1.5,
    }  # fmt: skip
    assert list(end_lines(Result(tmp_path, numbers, tmp_path / "previews"))) == [
        "Steps                       10,000",
        "Duration                    4 min 28 s",
        "L1, restricted latent       0.07063",
        "Round trip, mean            4.61·10⁻⁸",
        "Damaged images              0",
        "Best FD-pixel (not an FID)  1.500",
        f"Pictures                    {tmp_path / 'previews'}",
    ]


@pytest.mark.parametrize(("sampler", "said"), [("ot", "transport map"), ("prior", "prior"), ("edits", "edited photos")])
def test_what_codes_are_drawn_from_is_said_in_words(sampler, said):
    assert list(end_lines(Result(None, {"sampler": sampler}))) == [f"Drawn from  {said}"]


def test_a_score_has_the_name_of_its_metric_and_no_empty_rows():
    numbers = {"metric": "FID", "value": 12.3456, "KID": 0.01, "KID_standard_error": 0.001, "layer": "", "weights_sha256": None, "n": 5}
    assert [line.split("  ")[0] for line in end_lines(Result(None, numbers))] == ["FID", "KID", "KID, standard error", "Images"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("max_abs_z", "Largest |z|"),
        ("an_odd_number", "An odd number"),
        ("best_step", "Best step"),
        ("theta", "Largest angle of joined cells"),
    ],
)
def test_names_are_readable(name, said):
    assert result_title(name) == said


@pytest.mark.parametrize(
    ("proposal", "line"),
    [
        ("fit-ot {out}", "fit-ot 'my codes.h5'"),
        ("sample --ckpt {ckpt} [--ot {ot}] --grid a.png", "sample --ckpt m.safetensors --grid a.png"),
        ("fid {out} --ref {data}", ""),
        ("report [{ckpt}] [{samples}] {out}", "report m.safetensors 'my codes.h5'"),
        ("fid {out} [--split {ckpt}]", "fid 'my codes.h5' --split m.safetensors"),
    ],
)
def test_a_proposal_with_names(proposal, line):
    assert filled(proposal, {"out": "my codes.h5", "ckpt": "m.safetensors"}) == line


def test_the_nearest_input_that_exists_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("near.h5", "far.h5", "m.safetensors"):
        (tmp_path / name).write_text("")
    far = {"path": str(tmp_path / "far.h5"), "config": {"counts": {"train": 9, "val": 1, "test": 0}}}
    model = {"path": str(tmp_path / "m.safetensors"), "inputs": {"data": far, "ot": {"path": str(tmp_path / "gone.safetensors")}}}
    assert names_in({"inputs": {"ckpt": model}}) == {"ckpt": "m.safetensors", "data": "far.h5", "split": "val"}
    near = {"path": str(tmp_path / "near.h5"), "config": {"counts": {"test": 5}}}
    assert names_in({"inputs": {"ckpt": model, "data": near}}) == {"ckpt": "m.safetensors", "data": "near.h5"}


def test_a_score_of_a_checkpoint_leads_to_that_checkpoint(tmp_path, monkeypatch):
    """Not to the one that its training started from."""
    monkeypatch.chdir(tmp_path)
    for name in ("parent.safetensors", "child.safetensors"):
        (tmp_path / name).write_text("")
    child = {"kind": "checkpoint", "path": str(tmp_path / "child.safetensors")}
    child["inputs"] = {"ckpt": {"kind": "checkpoint", "path": str(tmp_path / "parent.safetensors")}}
    assert names_in({"inputs": {"samples": child}}) == {"ckpt": "child.safetensors"}


def test_every_trainer_has_a_next_command():
    """A plugin's too: it is a field of `Trainer`."""
    assert all(trainer.next for trainer in TRAINERS.values())
    assert Trainer("a", "b", "c", "d", variants={}).next == (SAMPLE_NEXT,)


@pytest.mark.parametrize("name", all_commands())
def test_what_is_proposed_is_a_command_with_its_options(name):
    from typer.main import get_command

    from genrev_cli.cli import app, commands

    commands.arrange()
    group = get_command(app)
    for proposal in all_commands()[name].next:
        names = (
            "out",
            "ckpt",
            "data",
            "ot",
            "samples",
            "split",
            "full",
            "shown",
            "best",
            "gaussian",
            "likely",
            "smooth",
            "flow",
            "of_noise",
            "of_pictures",
            "size",
        )
        command, *words = shlex.split(filled(proposal, dict.fromkeys(names, "test")))
        flags = {flag for parameter in group.commands[command].params for flag in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= flags


CHAIN = {
    "prepare-data": ("digits.h5", "pretrain-recon --data digits.h5"),
    "pretrain-recon": ("recon.safetensors", "train-adversarial --ckpt recon.safetensors"),
    "train-adversarial": ("adversarial.safetensors", "sample --ckpt adversarial.safetensors --grid samples.png"),
    "encode": ("codes.h5", "fit-ot codes.h5"),
    "sample": ("samples", "fid samples --ref digits.h5"),
    "reconstruct": ("reconstructions.png", "report adversarial.safetensors reconstructions.png"),
    "fid": ("fid.json", "report adversarial.safetensors samples fid.json"),
}


@pytest.mark.parametrize("command", CHAIN)
def test_the_chain_leads_from_each_command_to_the_next(chain, monkeypatch, command):
    monkeypatch.chdir(chain)
    out, line = CHAIN[command]
    assert next_command(command, chain / out).replace(f"{chain}/", "") == f"genrev {line}"


def test_full_codes_lead_back_to_images(chain, run, monkeypatch):
    monkeypatch.chdir(chain)
    err = run("encode", "--ckpt", "recon.safetensors", "--full", "--out", "full.h5", "--device", "cpu")[2]
    assert err.endswith("next: genrev decode full.h5 --ckpt recon.safetensors --out decoded\n")


def test_codes_of_pictures_lead_back_to_images(chain, run, monkeypatch, tmp_path):
    """A few pictures are too few for a map."""
    monkeypatch.chdir(chain)
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "me.png")
    err = run("encode", tmp_path / "me.png", "--ckpt", "recon.safetensors", "--out", "me.h5", "--device", "cpu")[2]
    assert err.endswith("next: genrev decode me.h5 --ckpt recon.safetensors --out decoded\n")


@pytest.mark.parametrize(
    ("side", "gpu", "line"),
    [(16, False, "--data d.h5 --size-of-model small"), (16, True, "--data d.h5"), (8, False, "--data d.h5")],
)
def test_a_laptop_gets_a_small_network(monkeypatch, tmp_path, side, gpu, line):
    """The network for a GPU takes a day there; that of digits of 8×8 does not."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(following, "_has_gpu", lambda: gpu)
    genrev.write_data("d.h5", np.zeros((20, side, side, 1), np.uint8), split=["train"] * 16 + ["test"] * 4)
    assert next_command("prepare-data", Path("d.h5")) == f"genrev pretrain-recon {line}"


def test_a_model_of_this_package_is_proposed_by_its_name(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    err = run("traverse", "--ckpt", "mnist", "--count", 1, "--steps", 2, "--out", "t.png", "--device", "cpu")[2]
    assert err.endswith("next: genrev report mnist t.png\n")
    assert run("report", "mnist", "t.png", "--out", "page.html")[0] == 0


def test_images_of_others_are_no_samples_to_report(chain, run, monkeypatch, tmp_path):
    monkeypatch.chdir(chain)
    np.save(tmp_path / "theirs.npy", np.zeros((30, 8, 8, 1), np.uint8) + np.arange(30, dtype=np.uint8)[:, None, None, None])
    words = ("fid", tmp_path / "theirs.npy", "--ref", "digits.h5", "--features", "pixel", "--out", tmp_path / "f.json", "--device", "cpu")
    assert run(*words)[2].endswith(f"next: genrev report {tmp_path}/f.json\n")


def test_a_recipe_without_an_adversary_leads_to_codes(tmp_path, monkeypatch):
    header = Header("checkpoint", {"model": {}, "prior": {}, "recipe_tables": {"pretrain-recon": {}}}, "")
    monkeypatch.setattr(following, "read_any_header", lambda path: header)
    assert next_command("pretrain-recon", tmp_path / "ae.safetensors") == f"genrev encode --ckpt {tmp_path}/ae.safetensors"


def test_the_end_of_a_run_on_both_streams(chain, run, tmp_path):
    out = tmp_path / "a.safetensors"
    words = ("train-adversarial", "--ckpt", chain / "recon.safetensors", "--device", "cpu", "--steps", 2, "--out", out)
    code, printed, err = run(*words)
    assert (code, printed) == (0, f"{out}\n")
    assert "L1, restricted latent  0." in err
    assert f"Pictures               {out}.run/previews\n" in err
    assert err.endswith(f"next: genrev sample --ckpt {out} --grid samples.png\n")
    assert "next:" not in run(*words, "--json")[2]
    assert "next:" not in run(*words, "--dry-run")[2]


def test_a_wide_table_fits_80_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    rows = [{"model": f"model {i}", **{f"quantity_{j}": 1.5 * j for j in range(12)}} for i in range(3)]
    lines = list(table_lines({"title": "FD", "rows": rows, "notes": ["a note " * 20]}))
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert all(f"quantity_{j}" in text for j in range(12))
    assert text.count("model 2") == 3


@pytest.mark.parametrize("words", [["-V"], ["--version"]])
def test_version(words, capsys):
    assert main(words) == 0
    assert capsys.readouterr().out.count(".") == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["help"], "Usage: genrev [OPTIONS] COMMAND"),
        (["help", "fit-gmm"], "Usage: genrev fit-gmm"),
    ],
)
def test_help_is_a_command_too(words, said, capsys):
    assert main(words) == 0
    assert said in capsys.readouterr().out


def test_help_of_no_command(capsys):
    assert main(["help", "sampel"]) == 2
    assert "sample" in capsys.readouterr().err


@pytest.mark.parametrize("name", all_commands())
def test_the_first_screen_of_a_help_has_what_must_be_given(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    assert main([name, "--help"]) == 0
    first = "\n".join(capsys.readouterr().out.splitlines()[:24])
    assert "<bool>" not in first
    assert "─ Files ─" in first or "─ Arguments ─" in first or name in ("doctor", "bench")
