"""The examples of docs/extending.md, as a user's own files."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from genrev_cli import plugins
from genrev_cli.cli import app, commands, main
from genrev_cli.data.config import USED
from genrev_cli.data.registry import FACTORIES
from genrev_cli.files.checkpoint import read_checkpoint_header
from genrev_cli.models import MEMORY, MODELS
from genrev_cli.scoring.metrics import COMPARISONS, register_metric
from genrev_cli.settings.trainers import TRAINERS
from genrev_cli.store.checkpoints import load_checkpoint

TEXT = (Path(__file__).parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```(?:python|toml)\n# ([\w.]+)\n(.*?)```", TEXT, re.S))


@pytest.fixture(autouse=True)
def restored():
    """Remove what plugins registered after each test."""
    commands.arrange()
    registries = (MODELS, TRAINERS, FACTORIES, USED, COMPARISONS, plugins._loaded, plugins._owners, plugins._places)
    before = [dict(registry) for registry in registries]
    registered = list(app.registered_commands)
    yield
    for registry, content in zip(registries, before, strict=True):
        registry.clear()
        registry.update(content)
    app.registered_commands[:] = registered


@pytest.fixture
def genrev(tmp_path, monkeypatch, capsys, data):
    """Return a function words → exit code, stdout and stderr of a command, run in a folder with the examples and prepared images."""
    monkeypatch.chdir(tmp_path)
    for name, body in FILES.items():
        Path(name).write_text(body, encoding="utf-8")

    def run(*words):
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return run


def swae(*more):
    return ("--plugin", "swae.py", "train-swae", "--data", "data.h5", "--recipe", "swae.toml", "--batch", 8, "--device", "cpu", *more)


def test_there_is_an_example_of_each():
    assert FILES.keys() == {"swae.py", "swae.toml", "glow.py", "glow.toml", "rings.py", "energy.py"}


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".py")])
def test_an_example_is_short(name):
    lines = [line for line in FILES[name].splitlines() if line.strip()]
    assert len(lines) <= 80, f"{name} has {len(lines)} lines; show less, or make it easier in the package"


def test_a_method_is_a_command(genrev):
    code, out, _ = genrev("--plugin", "swae.py", "train-swae", "--help")
    assert code == 0
    assert all(word in out for word in ("--weight-match", "--projections", "--memory", "--eval-every", "sliced Wasserstein"))
    assert genrev(*swae("--steps", 4, "--log-every", 1))[0] == 0
    header = read_checkpoint_header(Path("swae.safetensors"))
    assert header.config["method"]["weight_match"] == 5.0
    code, _, err = genrev(*swae("--steps", 6, "--log-every", 1))
    assert (code, "at step 4 of 6" in err) == (0, True), err
    edited = Path("swae.py").read_text().replace("L_x = image_loss(x, x_hat)", "L_x = 2 * image_loss(x, x_hat)")
    Path("swae.py").write_text(edited)
    code, _, err = genrev(*swae("--steps", 8))
    assert (code, "was made with other settings (plugins.swae.py: " in err) == (2, True), err
    assert genrev(*swae("--projections", 0))[2].strip().endswith("--projections 0: must be at least 1")


def test_a_checkpoint_names_the_plugin_that_it_needs(genrev, tmp_path):
    words = (
        "--plugin",
        "glow.py",
        "train-flow",
        "--data",
        "data.h5",
        "--recipe",
        "glow.toml",
        "--batch",
        8,
        "--steps",
        1,
        "--device",
        "cpu",
    )
    assert genrev(*words)[0] == 0
    ((name, digest),) = read_checkpoint_header(Path("flow.safetensors")).config["plugins"].items()
    assert name == "glow.py"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    sample = [sys.executable, "-m", "genrev_cli", "sample", "--ckpt", "flow.safetensors", "-n", "2", "--device", "cpu"]
    done = subprocess.run(sample, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 3
    said = f"flow.safetensors: it was made with the plugin glow.py (sha256 {digest[:12]}…); pass it with --plugin FILE"
    assert said in done.stderr
    done = subprocess.run(
        sample, cwd=tmp_path, env={**environment, "GENREV_PLUGINS": "glow.py"}, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout.strip()) == (0, "samples"), done.stderr


@pytest.mark.parametrize("memory", MEMORY)
def test_a_network_inverts_and_has_its_gradients_in_every_memory_mode(genrev, memory):
    plugins.load_file(Path("glow.py"))
    torch.manual_seed(0)
    model = MODELS["glow"][1]((1, 8, 8)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    x = torch.rand(3, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    z, log_det = model.encode_log_det(x)
    torch.testing.assert_close(model.decode(z), x)
    whole = torch.func.jacrev(lambda x: model.encode(x[None])[0])(x[0].detach()).flatten(1)
    assert log_det[0].item() == pytest.approx(torch.linalg.slogdet(whole).logabsdet.item(), rel=1e-9)
    leaves = [x, *model.parameters()]
    expected = torch.autograd.grad(z.square().sum() + log_det.sum(), leaves)
    model.memory = memory
    z, log_det = model.encode_log_det(x)
    for found, wanted in zip(torch.autograd.grad(z.square().sum() + log_det.sum(), leaves), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


def test_a_network_is_trained_and_drawn_from(genrev):
    words = (
        "train-flow",
        "--data",
        "data.h5",
        "--recipe",
        "glow.toml",
        "--batch",
        8,
        "--steps",
        3,
        "--memory",
        "reversible",
        "--device",
        "cpu",
    )
    code, _, err = genrev("--plugin=glow.py", *words)
    assert code == 0, err
    model = load_checkpoint(Path("flow.safetensors"), torch.device("cpu"))
    assert model.autoencoder.config["name"] == "glow"
    assert genrev("--plugin", "glow.py", "sample", "--ckpt", "flow.safetensors", "-n", 2, "--out", "s.h5", "--device", "cpu")[0] == 0


def test_a_source_is_prepared(genrev):
    code, _, err = genrev("--plugin", "rings.py", "prepare-data", "rings", "--limit", 60, "--out", "rings.h5")
    assert code == 0, err
    assert all(word in err for word in ("60", "1×16×16"))
    code, _, err = genrev("--plugin", "rings.py", "prepare-data", "rings", "--crop", "108")
    assert (code, err.strip()) == (2, "genrev: error: --crop does not apply to 'rings'; leave it out")


def test_a_metric_is_measured(genrev):
    words = (
        "fid",
        "data.h5",
        "--ref",
        "data.h5",
        "--split",
        "train",
        "--features",
        "pixel",
        "--metrics",
        "energy",
        "--json",
        "--out",
        "e.json",
    )
    code, out, err = genrev("--plugin", "energy.py", *words)
    assert code == 0, err
    assert '"metric": "energy"' in out
    assert genrev(*words)[0] == 0, "a plugin that is loaded stays"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--plugin"], 2, "--plugin: needs the path of a Python file"),
        (["--plugin", "no.py", "info", "x"], 3, "--plugin no.py: cannot be read (No such file or directory)"),
        (["--plugin", "bad.py", "info", "x"], 3, "--plugin bad.py: fails with ZeroDivisionError: division by zero"),
        (["--plugin", "taken.py", "info", "x"], 2, "--plugin taken.py: metric 'fid': genrev uses this name; choose another"),
        (["--plugin", "second.py", "--plugin", "third.py", "info", "x"], 2, "metric 'mine': second.py uses this name"),
    ],
)
def test_faulty_plugins_are_errors(genrev, words, code, said):
    Path("bad.py").write_text("1 / 0\n")
    for name, metric in {"taken": "fid", "second": "mine", "third": "mine"}.items():
        Path(f"{name}.py").write_text(f"from genrev_cli.scoring.metrics import register_metric\nregister_metric({metric!r}, len)\n")
    found, _, err = genrev(*words)
    assert (found, said in err) == (code, True), err


@pytest.fixture
def installed(genrev, monkeypatch):
    """Install a package whose entry point registers a metric that fails; return the list of its loads."""
    loaded = []
    Path("minepack").mkdir()
    Path("minepack/__init__.py").write_text("")
    Path("minepack/energy.py").write_text("def energy(pair, seed, progress):\n    return nothing\n")
    monkeypatch.syspath_prepend(Path.cwd())

    def load():
        loaded.append("mine")
        register_metric("mine", importlib.import_module("minepack.energy").energy)

    point = SimpleNamespace(name="mine", module="minepack.energy", dist=SimpleNamespace(version="1.2"), load=load)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group == "genrev.plugins" else [])
    yield loaded
    for name in ("minepack", "minepack.energy"):
        del sys.modules[name]


def test_an_installed_package_brings_its_plugins(genrev, installed):
    """By an entry point, which is loaded once."""
    for _ in range(2):
        assert genrev("info", "data.h5")[0] == 0
    assert "mine" in COMPARISONS
    assert installed == ["mine"]
    assert plugins.needed([("metric", "mine")]) == {"mine": "1.2"}


def test_an_error_in_a_plugin_names_its_line(genrev):
    wrong = Path("swae.py").read_text().replace("L_match = sliced_wasserstein(", "L_match = sliced_wassertein(")
    Path("swae.py").write_text(wrong)
    line = next(number for number, text in enumerate(wrong.splitlines(), 1) if "sliced_wassertein(" in text)
    code, out, err = genrev(*swae("--steps", 1))
    said = f"an error in the plugin swae.py, line {line}, in step: NameError: name 'sliced_wassertein' is not defined"
    assert (code, out, said in err, "bug of genrev" in err) == (3, "", True, False), err


def test_an_error_in_an_installed_plugin_names_its_file(genrev, installed):
    words = ("fid", "data.h5", "--ref", "data.h5", "--split", "train", "--features", "pixel", "--metrics", "mine")
    code, out, err = genrev(*words)
    said = "an error in the plugin mine (energy.py), line 2, in energy: NameError: name 'nothing' is not defined"
    assert (code, out, said in err) == (3, "", True), err


def test_an_unknown_name_may_be_that_of_a_plugin(genrev):
    for words in (swae("--dry-run")[2:], ("fid", "data.h5", "--ref", "data.h5", "--features", "pixel", "--metrics", "energy")):
        code, _, err = genrev(*words)
        assert (code, "--plugin FILE" in err) == (2, True), err
    code, _, err = genrev("prepare-data", "rings")
    assert (code, err.strip().endswith(", or pass --plugin FILE if a plugin defines it")) == (2, True), err
    code, _, err = genrev("train-flow", "--data", "data.h5", "--recipe", "glow.toml", "--dry-run")
    assert code == 2
    assert "glow.toml [model]: name = 'glow' is unknown; choose " in err
    assert err.strip().endswith(", or pass --plugin FILE if a plugin defines it")
    code, _, err = genrev("train-flow", "--data", "data.h5", "--recipe", "swae.toml", "--dry-run")
    assert "swae.toml: unknown key 'train-swae'; did you mean 'train-vae'? (or pass --plugin FILE if a plugin defines it)" in err
