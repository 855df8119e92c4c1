"""Make the killed runs of earlier commits that test_killed_runs.py goes on with.

    python tests/faults/killed_runs.py COMMIT …

writes killed/COMMIT.tar.xz for each. Every run of RUNS is ended by SIGKILL in the middle, and its OUT.run is kept. Then it runs
undisturbed, and its result is kept as whole/OUT. A command that a commit does not have is left out.
"""

import json
import sys
from pathlib import Path

from earlier_commits import pack, ran

FOLDER = Path(__file__).parent / "killed"

RECIPES = {
    "tiny.toml": """
[model]
name = "infogan"
width = 1
[prior]
name = "active-gaussian"
dim = 2
[pretrain-recon]
batch = 16
[train-gan]
batch = 16
weight_content = 1.0
weight_feature = 0.1
""",
    "pga.toml": """
[model]
name = "strided"
channels = [2]
dense = 2
norm = "none"
variational = true
[prior]
name = "active-gaussian"
dim = 2
[train-pga]
variant = "vpga"
weight_prior = 0.06
weight_noise = 0.01
weight_kl = 0.02
lr = 0.1
batch = 16
""",
    "wae.toml": """
[model]
name = "strided"
channels = [2]
dense = 2
norm = "none"
[prior]
name = "active-gaussian"
dim = 2
[train-vae]
variant = "wae-gan"
weight_penalty = 10.0
weight_x = 0.05
hidden = 4
layers = 2
batch = 16
""",
}

_SAVE = " --save-minutes 0.000001 --device cpu"
_RUN = " --steps 6 --log-every 1 --monitor-every 100 --preview-every 100" + _SAVE

PREPARED = (
    "prepare-data digits --limit 40 --out data.h5",
    "pretrain-recon --data data.h5 --recipe tiny.toml --steps 3 --out ae.safetensors --device cpu",
    "encode --ckpt ae.safetensors --split all --out codes.h5 --device cpu",
    "fit-ot codes.h5 --out map.safetensors --target-error 0.5 --max-samples 2000 --device cpu",
)
RUNS = {
    "pga.safetensors": "train-pga --data data.h5 --variant vpga --recipe pga.toml --out pga.safetensors" + _RUN,
    "wae.safetensors": "train-vae --data data.h5 --variant wae-gan --recipe wae.toml --out wae.safetensors" + _RUN,
    "gan.safetensors": "train-gan --ckpt ae.safetensors --ot map.safetensors --recipe tiny.toml --out gan.safetensors" + _RUN,
    "ot.safetensors": "fit-ot codes.h5 --target-error 0.001 --max-samples 20000 --out ot.safetensors" + _SAVE,
    "flow.safetensors": "fit-flow codes.h5 --steps 6 --log-every 1 --width 4 --solver-steps 2 --out flow.safetensors" + _SAVE,
}
"""File → the command that writes it."""

DRIVER = """
import json, os, shutil, signal, sys
from genrev_cli.cli import main

def killed(line):
    # run a command in a fork, which is killed as soon as its third state has its name
    process = os.fork()
    if not process:
        count, replace = [], os.replace
        def counted(source, target, **options):
            replace(source, target, **options)
            count.append(str(target).endswith("state.safetensors"))
            if sum(count) == 3:
                os.kill(os.getpid(), signal.SIGKILL)
        os.replace = counted
        os._exit(main(line.split()))
    return os.waitpid(process, 0)[1]

prepared, runs = json.load(sys.stdin)
for line in prepared:
    print(main(line.split()), line, flush=True)
os.mkdir("whole")
os.mkdir("kept")
for out, line in runs.items():
    if killed(line) != signal.SIGKILL:
        print("left out:", line, flush=True)
        continue
    assert not os.path.exists(out), line
    os.rename(out + ".run", f"kept/{out}.run")
    print(main(line.split()), line, flush=True)
    shutil.rmtree(out + ".run", ignore_errors=True)
    os.rename(out, f"whole/{out}")
    os.rename(f"kept/{out}.run", out + ".run")
"""


def make(commit: str, target: Path) -> None:
    """Run the commands with the code of a commit, and write what they leave."""
    with ran(commit, DRIVER, json.dumps([PREPARED, RUNS]), RECIPES) as work:
        pack(work, target, _left_out)


def _left_out(path: Path, name: str) -> bool:
    return path.name == "lock" or "/previews" in name or name.startswith(("ae.safetensors.run", "map.safetensors.run"))


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for one in sys.argv[1:]:
        make(one, FOLDER / f"{one}.tar.xz")
