"""The whole report: its content, its layout, and what it leaves out."""

import json
import re
import sys
import tempfile

import pytest
import torch

from genrev_cli.cli import console, layout
from genrev_cli.doctor import machine
from genrev_cli.doctor.checks import CHECKS
from genrev_cli.doctor.examination import summary
from genrev_cli.doctor.finding import FAIL, PASS, SKIP, Check, Outcome, verdict
from genrev_cli.doctor.privacy import cleaned, value_of
from genrev_cli.errors import UsageError
from genrev_cli.precision import allow_tf32
from genrev_cli.runs.train import train
from genrev_cli.settings.doctor import DoctorOptions
from genrev_cli.settings.reconstruction import PRETRAIN_RECON
from genrev_cli.settings.schedule import RunOptions

GOOD = Check("good", lambda subject: verdict(True, "it is so", {"speed": 2.5}), 0.0)
BAD = Check("bad", lambda subject: verdict(False, "3 of 8 values differ", {"wrong": 3, "ratio": float("nan")}), 0.0)


def _raise(subject):
    raise ValueError("no good\nat all")


RAISING = Check("raising", _raise, 0.0)


def test_the_report_goes_to_stdout(run, only):
    only(GOOD)
    code, out, err = run()
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("versions")
    assert "PASS  good  it is so" in lines
    assert re.fullmatch(r"1 PASS, 0 FAIL, 0 SKIP, 0 INFO in \d+ s", lines[-1])
    assert err == "genrev: good\n"  # stdout is no terminal here, so progress goes to stderr


def test_a_terminal_shows_progress(capsys, monkeypatch):
    monkeypatch.setattr(console, "stdout_shows", lambda: True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    console.now_doing("round trip\x1b")
    console.done()
    assert capsys.readouterr() == ("", "\rround trip\\x1b …\x1b[K\r\x1b[K")


def test_failed_checks_are_named_and_the_others_run(run, only):
    only(BAD, RAISING, GOOD)
    code, out, err = run()
    assert code == 5
    rows = [line for line in out.splitlines() if line[:4] in (PASS, FAIL, SKIP)]
    assert rows == ["FAIL  bad      3 of 8 values differ", "FAIL  raising  ValueError: no good", "PASS  good     it is so"]
    assert "Traceback" not in out + err


def test_long_errors_are_cut(open_examination):
    def fail(subject):
        raise RuntimeError("x" * 10_000)

    assert len(open_examination().carry_out(Check("long", fail, 0.0)).outcome.detail) < 400


def test_debug_shows_the_traceback(run, only):
    only(RAISING)
    code, out, err = run("--debug")
    assert code == 5
    assert "Traceback" not in out
    assert "Traceback" in err
    assert "_raise" in err


def test_json_is_one_object(run, only):
    only(GOOD, BAD)
    code, out, _ = run("--json")
    assert code == 5
    result = json.loads(out, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert set(result) == {"machine", "checks", "seconds"}
    assert result["checks"] == [
        {"name": "good", "state": "PASS", "detail": "it is so", "numbers": {"speed": 2.5}},
        {"name": "bad", "state": "FAIL", "detail": "3 of 8 values differ", "numbers": {"wrong": 3, "ratio": None}},
    ]
    head = result["machine"]
    assert {"genrev", "python", "torch", "numpy", "h5py", "os"} <= set(head["versions"])
    assert {"cpu", "cores", "flags", "threads"} <= set(head["cpu"])
    assert head["memory_gb"]["total"] > 0
    assert set(head["free_disk_gb"]) == {"current folder", "cache folder"}
    assert head["precision"]["as genrev sets them"]["convolutions"] == "ieee"
    assert head["examined"]["device"] == "cpu"


def test_the_switches_are_read_before_genrev_sets_them(open_examination):
    allow_tf32(True)
    precision = open_examination().machine["precision"]
    assert [found["convolutions"] for found in precision.values()] == ["tf32", "ieee"]


def test_a_gpu_that_does_not_answer_is_still_listed(monkeypatch):
    def refuse(number):
        raise RuntimeError("CUDA error: all CUDA-capable devices are busy\nand more")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", refuse)
    assert machine.devices() == [{"device": "cuda:0", "error": "CUDA error: all CUDA-capable devices are busy"}]


def test_too_little_time_is_a_reason(open_examination):
    never = Check("never", _raise, seconds=1e6)
    finding = open_examination(minutes=1.0).carry_out(never)
    assert finding.outcome.state == SKIP
    assert re.match(r"no time left: needs about 1000000 s, has \d+ s", finding.outcome.detail)


def test_too_little_time_skips_everything_and_measures_nothing(open_examination):
    exam = open_examination(minutes=1e-9)
    findings = [exam.carry_out(check) for check in CHECKS]
    assert {finding.outcome.state for finding in findings} == {SKIP}
    late = sum("no time left" in finding.outcome.detail for finding in findings)
    assert summary(findings, 1.0) == f"0 PASS, 0 FAIL, {len(CHECKS)} SKIP, 0 INFO in 1 s; {late} had no time left: pass a larger --minutes"
    assert "seconds_per_image" not in vars(exam.subject)


@pytest.mark.parametrize("minutes", [0, -1, float("inf"), float("nan")])
def test_invalid_minutes_are_refused(minutes):
    with pytest.raises(UsageError, match="--minutes .*: must be (more than 0|finite)"):
        DoctorOptions(minutes=minutes)


def test_a_missing_device_is_a_finding(run):
    code, out, _ = run("--device", "cuda:77")
    assert code == 5
    rows = [line for line in out.splitlines() if line[:4] in (PASS, FAIL, SKIP)]
    assert rows[0].startswith("FAIL  device words")
    assert "UnavailableError" in rows[0]
    assert "device cuda:77, not usable" in out
    assert len(rows) == len(CHECKS)
    assert all(row.startswith("SKIP") and row.endswith("the device cannot be used") for row in rows[1:])


def test_an_unknown_device_is_a_usage_error(run):
    code, out, err = run("--device", "abacus")
    assert (code, out) == (2, "")
    assert "choose auto, cpu, cuda or cuda:N" in err


def test_the_home_folder_and_secrets_are_not_shown(run, only, home, monkeypatch):
    monkeypatch.setenv("GENREV_CACHE", str(home / "cache"))
    monkeypatch.setenv("GENREV_API_TOKEN", "sesame")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    def found(subject):
        raise FileNotFoundError(f"{home / 'a' / 'b.h5'} and {subject.scratch / 'c'} and /data/jane/d")

    only(Check("telling", found, 0.0))
    for words in ((), ("--json",)):
        code, out, err = run(*words)
        assert code == 5
        assert not re.search("sesame|jane|genrev-doctor", out + err)
        assert "~/a/b.h5 and (scratch)/c and /data/USER/d" in " ".join(out.split())
        assert "~/cache" in out


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{home}/x and {home}", "~/x and ~"),
        ("{home}et/x", "{home}et/x"),  # another folder, whose name only begins alike
        ("/mnt/jane/x", "/mnt/USER/x"),
        ("janette", "janette"),
    ],
)
def test_paths_are_cleaned(home, text, shown):
    assert cleaned(text.format(home=home)) == shown.format(home=home)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("GENREV_HUB_TOKEN", "8", "(set)"),
        ("GENREV_PASSWORD", "8", "(set)"),
        ("GENREV_PROXY", "https://me:sesame@proxy:80/", "https://proxy:80/"),
        ("OMP_NUM_THREADS", "8", "8"),
    ],
)
def test_values_of_secrets_are_not_shown(name, value, shown):
    assert value_of(name, value) == shown


@pytest.mark.parametrize("columns", [80, 60, 120])
def test_lines_fit_the_terminal(run, only, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    said = {"one": "word " * 60, "a check with a long name": "x"}
    only(*(Check(name, lambda subject, text=text: Outcome(PASS, text), 0.0) for name, text in said.items()))
    _, out, _ = run()
    lines = out.splitlines()
    assert max(map(len, lines)) <= columns
    first = next(i for i, line in enumerate(lines) if line.startswith("PASS  one"))
    begin = lines[first].index("word")
    assert lines[first + 1].startswith(" " * begin + "word")  # what is wrapped stands below its own text


def _interrupt(subject):
    raise KeyboardInterrupt


@pytest.mark.parametrize(("check", "code"), [(GOOD, 0), (BAD, 5), (Check("interrupted", _interrupt, 0.0), 130)])
def test_temporary_files_are_deleted(run, only, home, tmp_path, monkeypatch, check, code):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    only(check)
    assert run()[0] == code
    assert not list((tmp_path / "temporary").iterdir())
    assert not list(home.iterdir())


def test_a_path_is_not_wrapped(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    path = "/a/very/long/path/" + "x" * 60
    assert path in "\n".join(layout.row_lines("PASS", "name", f"found: {path}", 10))


def test_a_given_checkpoint_is_examined(run, only, recon, tmp_path):
    ckpt = recon(tmp_path / "r.safetensors", steps=1, precision="bf16").out
    only(*(check for check in CHECKS if check.name in ("round trip, fp32", "round trip, bf16", "exact bits, fp32")))
    code, out, err = run("--ckpt", ckpt)
    assert code == 0, err
    assert "checkpoint of pretrain-recon, revnet for 1×8×8" in " ".join(out.split())
    assert "the checkpoint's own precision" in " ".join(out.split())
    assert out.count("PASS") == 3  # with the summary's


def test_a_checkpoint_on_a_grid_keeps_its_bits(open_examination, recon, tmp_path, data, recipe):
    overrides = {"model": {"exact_bits": 12}, "pretrain-recon": {"steps": 1}}
    ckpt = train(PRETRAIN_RECON, data, tmp_path / "g.safetensors", recipe=recipe, overrides=overrides, run=RunOptions(device="cpu")).out
    exam = open_examination(ckpt=ckpt)
    assert exam.subject.bits == 12
    finding = exam.carry_out(next(check for check in CHECKS if check.name == "exact bits, fp32"))
    assert finding.outcome.numbers["exact_bits"] == 12


@pytest.mark.parametrize("stage", ["perceptual", "variational", "transport"])
def test_checkpoints_of_other_stages_are_examined(open_examination, request, tmp_path, stage):
    ckpt = request.getfixturevalue(stage)(tmp_path / "o.safetensors", steps=1).out
    exam = open_examination(ckpt=ckpt)
    names = ("round trip, fp32", "reversible gradients", "same run twice")
    states = [exam.carry_out(check).outcome.state for check in CHECKS if check.name in names]
    assert FAIL not in states
    assert PASS in states


def test_a_damaged_checkpoint_is_an_error(run, tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"x")
    code, out, err = run("--ckpt", tmp_path / "x.safetensors")
    assert (code, out) == (3, "")
    assert err.startswith("genrev: error: ")
