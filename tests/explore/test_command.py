"""`genrev explore` as a user starts and ends it."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

import genrev_cli
from genrev_cli.cli import main
from genrev_cli.stages import explore


def test_it_prints_its_address_answers_and_ends_on_ctrl_c(folder):
    words = ("explore", "--ckpt", folder / "recon.safetensors", "--no-open", "--points", 20, "--json")
    root = Path(genrev_cli.__file__).parent.parent
    process = subprocess.Popen(
        [sys.executable, "-m", "genrev_cli", *map(str, words)], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        base, token = json.loads(process.stdout.readline())["address"].split("#")
        assert base.startswith("http://127.0.0.1:")
        assert len(token) >= 32
        with urlopen(Request(f"{base}api/about", headers={"x-genrev-token": token}), timeout=20) as answer:
            assert json.load(answer)["active"] == 4
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, out) == (0, "")
    assert err == "genrev: the page is open to whoever has this address; Ctrl-C ends it\n"


def run(capsys, *words):
    capsys.readouterr()
    code = main([str(word) for word in words])
    return code, *capsys.readouterr()


def test_missing_packages_are_one_sentence(folder, capsys, monkeypatch):
    monkeypatch.setattr(explore, "find_spec", lambda name: None)
    code, out, err = run(capsys, "explore", "--ckpt", folder / "recon.safetensors")
    assert (code, out) == (5, "")
    assert err == "genrev: error: explore needs starlette and uvicorn; run: pip install 'genrev-cli[explore]'\n"


def test_a_taken_port_is_one_sentence(folder, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, out, err = run(capsys, "explore", "--ckpt", folder / "recon.safetensors", "--port", port, "--no-open")
    assert (code, out) == (5, "")
    assert f"cannot listen at 127.0.0.1, port {port}" in err
    assert "choose another --port, or 0 for a free one" in err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--directions", "codes.h5"), 3),
        (("--ot", "codes.h5"), 3),
        (("--data", "codes.h5"), 3),
        (("--data", "digits.h5", "--split", "val"), 2),
        (("--host", "no.such.host.invalid"), 5),
    ],
)
def test_unusable_files_and_places(folder, capsys, monkeypatch, words, code):
    monkeypatch.chdir(folder)
    found, out, err = run(capsys, "explore", "--ckpt", "recon.safetensors", "--no-open", *words)
    assert (found, out) == (code, ""), err
    assert err.count("error:") == 1


@pytest.mark.parametrize("words", [("--port", 70000), ("--points", 2), ("--dims", -1)])
def test_wrong_numbers(folder, capsys, words):
    code, _, err = run(capsys, "explore", "--ckpt", folder / "recon.safetensors", "--no-open", *words)
    assert code == 2
    assert words[0] in err
