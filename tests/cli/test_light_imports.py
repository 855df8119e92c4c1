"""What a command must not import: such libraries take longer to load than the command takes to run."""

import json
import os
import subprocess
import sys

import pytest

SLOW = {"matplotlib", "ot", "optuna", "pandas", "scipy", "sklearn", "sympy", "torchvision"}
"""Libraries that take 0.2 to 2 seconds. torch itself loads sympy for some operators on 'meta', such as `torch.arange`."""

ARRAYS = {"h5py", "numpy", "PIL", "torch"}


def imported(code, folder, of):
    """Run code in a new process; return its exit code, its output and which modules of a set it has imported."""
    last = f"print('\\n', *({of!r} & sys.modules.keys()), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", f"import sys\n{code}\n{last}"], capture_output=True, text=True, timeout=120, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout, set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--help"], 0),
        (["pretrain-recon", "--help"], 0),
        (["train-adversarial", "--help"], 0),
        (["--version"], 0),
        (["sample", "--no-such-option"], 2),
        (["sample", "--ckpt", "mnist", "-n", "many"], 2),
        (["sample"], 2),
        (["fid", "--features"], 2),
        (["pretrain-recon", "--data", "a.h5", "--precision", "fp8"], 2),
        (["no-such-command"], 2),
    ],
)
def test_help_and_mistakes_need_no_arrays(words, code, tmp_path):
    said, found = imported(f"from genrev_cli.cli import main\nprint(main({words}))", tmp_path, SLOW | ARRAYS)
    assert said.splitlines()[-1] == str(code)
    assert not found, f"genrev {' '.join(words)} imports {sorted(found)}; import these within the functions that need them"


@pytest.mark.parametrize(
    ("words", "of"),
    [
        (["info", "mnist"], SLOW | {"torch", "jinja2", "rich"}),
        (["info", "mnist", "--json"], SLOW | {"torch", "jinja2", "rich"}),
        (["sample", "--ckpt", "mnist", "-n", "2", "--out", "samples"], SLOW | {"jinja2", "rich"}),
        (["sample", "--ckpt", "mnist", "--ot", "mnist", "-n", "2", "--out", "samples"], SLOW | {"jinja2", "rich"}),
    ],
)
def test_a_short_command_imports_only_what_it_needs(words, of, tmp_path):
    said, found = imported(f"from genrev_cli.cli import main\nprint(main({words}))", tmp_path, of)
    assert said.splitlines()[-1] == "0"
    assert not found, f"genrev {' '.join(words)} imports {sorted(found)}; import these within the functions that need them"


STAGES = ("encode", "decode", "edit", "fid", "fit_ot", "train_gan")

IMPORTS = """
import importlib, json, os, sys
import genrev_cli.runs.train

found = {}
for stage in %(stages)r:
    # each in a fork, so that one import of torch serves all
    reader, writer = os.pipe()
    if not os.fork():
        importlib.import_module(f"genrev_cli.stages.{stage}")
        os.write(writer, json.dumps(sorted(%(of)r & sys.modules.keys())).encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as pipe:
        found[stage] = json.load(pipe)
    os.wait()
print(json.dumps(found))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts processes by fork")
def test_a_stage_loads_no_library_that_it_may_not_need(tmp_path):
    code = IMPORTS % {"stages": STAGES, "of": SLOW - {"scipy"} | {"jinja2", "rich"}}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=tmp_path, check=True)
    assert json.loads(done.stdout) == {stage: [] for stage in STAGES}
