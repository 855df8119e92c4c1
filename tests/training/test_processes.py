"""Two processes, started as by torchrun, give the results of one with the same global batch."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from process_cases import CHAIN, inputs, prepare

from genrev_cli.cli import main
from genrev_cli.files.any import read_any_header
from genrev_cli.files.checkpoint import read_checkpoint
from genrev_cli.training.log import read_log

SECONDS = 300
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "TORCH_CPP_LOG_LEVEL": "ERROR"}

# All run in one interpreter, because most of the time is the import of torch.
SCRIPT = """
import json, os, sys
from genrev_cli.cli import main
for port, words in json.loads(sys.argv[1]):
    os.environ["MASTER_PORT"] = port
    print(json.dumps({"code": main(words)}), file=sys.stderr, flush=True)
"""


def free_ports(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [str(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start_processes(size, commands):
    """Start processes that each run the commands, one after the other."""
    plan = json.dumps(list(zip(free_ports(len(commands)), commands, strict=True)))
    return [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, plan],
            env={**ENVIRONMENT, "WORLD_SIZE": str(size), "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]


def start_script(name, *words):
    """Start two processes of a script in this folder."""
    (port,) = free_ports(1)
    return [
        subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name(name)), *words],
            env={**ENVIRONMENT, "MASTER_PORT": port, "WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]


def finish(running):
    """Wait for processes to end, and return (stdout, stderr) of each."""
    try:
        return [process.communicate(timeout=SECONDS) for process in running]
    finally:
        for process in running:
            process.kill()
            process.communicate()  # closes its pipes


def run_processes(size, commands):
    """Run commands in a number of processes. Return for each process its output, its exit codes, and the other lines of stderr."""
    spoken = []
    for stdout, stderr in finish(start_processes(size, commands)):
        lines = stderr.splitlines()
        codes = [json.loads(line)["code"] for line in lines if line.startswith('{"code"')]
        spoken.append((stdout, codes, [line for line in lines if not line.startswith('{"code"')]))
    return spoken


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Return the folders of the results of one process and of two, and what the two printed. Both use the inputs of the single one."""
    folder = tmp_path_factory.mktemp("processes")
    one, two = folder / "one", folder / "two"
    for made in (one, two):
        made.mkdir()
    prepare(one)
    assert [main(words) for words in inputs(one)] == [0] * len(inputs(one))
    assert {name: main(case.words(one, one)) for name, case in CHAIN.items()} == dict.fromkeys(CHAIN, 0)
    spoken = run_processes(2, [case.words(one, two) for case in CHAIN.values()])
    return one, two, spoken


@pytest.mark.slow
def test_only_the_first_process_prints(both):
    """It prints one line for each result."""
    _, two, ((stdout, codes, _), (other, other_codes, other_lines)) = both
    assert codes == other_codes == [0] * len(CHAIN)
    assert stdout.split() == [str(two / case.out) for case in CHAIN.values()]
    assert (other, other_lines) == ("", [])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, case in CHAIN.items() if case.trains])
def test_weights_equal_those_of_one(both, name):
    one, two, _ = both
    (header, mine), (other, theirs) = (read_checkpoint(folder / CHAIN[name].out) for folder in (one, two))
    assert (header.made_by["processes"], other.made_by["processes"]) == (1, 2)
    assert mine.keys() == theirs.keys()
    for tensor in mine:
        torch.testing.assert_close(theirs[tensor], mine[tensor], rtol=0, atol=2e-6, msg=lambda said, tensor=tensor: f"{tensor}: {said}")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, case in CHAIN.items() if case.trains])
def test_one_log_as_that_of_one(both, name):
    one, two, _ = both
    a, b = (read_log(folder / f"{CHAIN[name].out}.run" / "log.jsonl") for folder in (one, two))
    assert [(line["step"], line["kind"]) for line in a] == [(line["step"], line["kind"]) for line in b]
    for mine, theirs in zip(a, b, strict=True):
        assert mine.keys() == theirs.keys()
        for key, value in mine.items():
            if isinstance(value, float) and key not in ("seconds", "images_per_second", "grad_norm_peak"):
                assert theirs[key] == pytest.approx(value, rel=1e-4, abs=1e-5), (mine["step"], key)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["encode", "encode-exact", "decode", "sample", "sample-png"])
def test_codes_and_samples_are_the_same_to_the_bit(both, name):
    one, two, _ = both
    assert read_any_header(two / CHAIN[name].out).sha256 == read_any_header(one / CHAIN[name].out).sha256


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fid", "fid-model", "bpd"])
def test_scores_are_the_same(both, name):
    one, two, _ = both
    mine, theirs = (json.loads((folder / CHAIN[name].out).read_text()) for folder in (one, two))
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        if name != "genrev":  # the header, which tells time and paths
            assert theirs[name] == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value)


def trained(folder, steps, out):
    return [
        *("pretrain-recon", "--data", f"{folder}/data.h5", "--recipe", f"{folder}/tiny.toml", "--device", "cpu", "--batch", "8"),
        *("--steps", str(steps), "--log-every", "1", "--out", str(out)),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(2, 1), (1, 2)], ids=["two-then-one", "one-then-two"])
def test_goes_on_with_another_number_of_processes(both, tmp_path, sizes):
    one, _, _ = both
    out, whole = tmp_path / "out.safetensors", tmp_path / "whole.safetensors"
    for steps, size in zip((3, 6), sizes, strict=True):
        command = trained(one, steps, out)
        codes = [main(command)] if size == 1 else [code for _, codes, _ in run_processes(size, [command]) for code in codes]
        assert codes == [0] * size
    assert main(trained(one, 6, whole)) == 0
    assert read_any_header(out).made_by["processes"] == sizes[1]
    for name, tensor in read_checkpoint(whole)[1].items():
        torch.testing.assert_close(read_checkpoint(out)[1][name], tensor, rtol=0, atol=1e-6)
    assert [line["step"] for line in read_log(tmp_path / "out.safetensors.run" / "log.jsonl") if line["kind"] == "loss"] == [*range(1, 7)]


def begun(log, running):
    """Wait until the log of a run has a line."""
    end = time.monotonic() + SECONDS
    while not any(line["kind"] == "loss" for line in read_log(log)):
        assert time.monotonic() < end
        assert all(process.poll() is None for process in running)
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_process_that_dies_ends_the_others_with_one_sentence(both, tmp_path, killed):
    one, _, _ = both
    running = start_processes(2, [trained(one, 100_000, tmp_path / "out.safetensors")])
    begun(tmp_path / "out.safetensors.run" / "log.jsonl", running)
    running[killed].kill()
    _, stderr = finish(running)[1 - killed]
    errors = [line for line in stderr.splitlines() if "error" in line]
    assert len(errors) == 1
    assert errors[0].startswith(f"genrev: error: process {1 - killed} of 2 has lost the others")
    assert '{"code": 6}' in stderr
    assert "Traceback" not in stderr


@pytest.mark.slow
def test_an_interrupt_of_one_stops_all(both, tmp_path):
    """One process gets the signal. All stop after the same step, which is saved, and one reports it."""
    one, _, _ = both
    out = tmp_path / "out.safetensors"
    running = start_processes(2, [trained(one, 100_000, out)])
    begun(tmp_path / "out.safetensors.run" / "log.jsonl", running)
    running[1].send_signal(signal.SIGTERM)
    spoken = [stderr for _, stderr in finish(running)]
    assert all('{"code": 130}' in stderr for stderr in spoken)
    assert sum("genrev: error: stopped" in stderr for stderr in spoken) == 1
    step = read_any_header(tmp_path / "out.safetensors.run" / "state.safetensors").step
    assert main(trained(one, step + 1, out)) == 0


@pytest.mark.slow
def test_one_process_reports_an_error_that_all_have(both, tmp_path):
    one, _, _ = both
    out = str(tmp_path / "out.h5")
    spoken = run_processes(
        2,
        [
            ["encode", "--ckpt", f"{one}/no.safetensors", "--out", out],
            ["encode", "--ckpt"],
            trained(one, 4, out),
            ["pretrain-recon", "--data", f"{one}/data.h5", "--recipe", f"{one}/tiny.toml", "--batch", "3", "--device", "cpu", "--out",
             f"{tmp_path}/three.safetensors"],
        ],
    )  # fmt: skip
    assert [codes for _, codes, _ in spoken] == [[3, 2, 2, 2]] * 2
    lines = [line for _, _, lines in spoken for line in lines]
    assert [stdout for stdout, _, _ in spoken] == ["", ""]
    assert len(lines) == 4
    assert all(line.startswith("genrev: error: ") for line in lines), lines


@pytest.mark.slow
def test_commands_that_are_not_shared_run_in_one_process(both, tmp_path):
    one, _, _ = both
    command = ["info", f"{one}/{CHAIN['recon'].out}"]
    (stdout, codes, _), (other, other_codes, other_lines) = run_processes(2, [command])
    assert (codes, other_codes) == ([0], [0])
    assert "checkpoint" in stdout
    assert (other, other_lines) == ("", [])


@pytest.mark.slow
def test_torchrun_starts_them(both, tmp_path):
    one, _, _ = both
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "genrev_cli"]
    command = CHAIN["sample"].words(one, tmp_path)
    found = subprocess.run([*launcher, *command], env=ENVIRONMENT, capture_output=True, text=True, timeout=SECONDS)
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == [str(tmp_path / CHAIN["sample"].out)]
    assert read_any_header(tmp_path / CHAIN["sample"].out).sha256 == read_any_header(one / CHAIN["sample"].out).sha256
