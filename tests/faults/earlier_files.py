"""Make the files of earlier commits that test_upgrades.py opens.

    python tests/faults/earlier_files.py COMMIT …

writes formats/COMMIT.tar.xz for each: data, checkpoints, codes, samplers, samples, scores, pictures, and half-finished runs (a state at
step 2 without its checkpoint). A command that a commit does not have is left out.
"""

import sys
from pathlib import Path

from earlier_commits import pack, ran

FOLDER = Path(__file__).parent / "formats"

RECIPE = """
[model]
name = "revnet"
scales = [{ blocks = 1, hidden = 2 }]
[prior]
name = "active-gaussian"
dim = 4
[pretrain-recon]
lr = 1e-3
batch = 8
steps = 2
[train-adversarial]
lr = 1e-3
prior_samples = 8
hidden = [4, 4]
batch = 8
steps = 2
"""
CLASSES = """
[model]
name = "revnet"
scales = [{ blocks = 1, hidden = 2 }]
[prior]
name = "class-gaussians"
[train-ot]
batch = 16
steps = 2
"""

RUN = " --device cpu --log-every 1 --monitor-every 100 --preview-every 100"

LINES = (
    "prepare-data digits --limit 40 --out data.h5",
    "pretrain-recon --data data.h5 --recipe tiny.toml --out recon.safetensors" + RUN,
    "pretrain-recon --data data.h5 --recipe tiny.toml --out half-recon.safetensors" + RUN,
    "train-adversarial --ckpt recon.safetensors --out half-adversarial.safetensors" + RUN,
    "train-ot --data data.h5 --recipe classes.toml --out half-ot.safetensors" + RUN,
    "encode --ckpt recon.safetensors --split all --out codes.h5 --device cpu",
    "fit-ot codes.h5 --out map.safetensors --target-error 0.9 --max-samples 100 --device cpu",
    "fit-gmm codes.h5 --out gmm.safetensors --components 1",
    "fit-flow codes.h5 --out flow.safetensors --steps 2 --width 4 --solver-steps 2 --device cpu",
    "fit-flow codes.h5 --out half-flow.safetensors --steps 2 --log-every 1 --width 4 --solver-steps 2 --device cpu",
    "fit-directions codes.h5 --out directions.safetensors --components 1",
    "sample --ckpt recon.safetensors -n 2 --out samples --grid grid.png --device cpu",
    "sample --ckpt recon.safetensors -n 8 --out samples.npz --device cpu",
    "fid samples.npz --ref data.h5 --split train --features pixel --out fid.json",
    "report recon.safetensors grid.png --out report.html",
)
"""Commands, whose files are kept. Of runs named half-… the checkpoint is removed."""

DRIVER = """
import sys
from genrev_cli.cli import main
for line in sys.stdin.read().splitlines():
    print(main(line.split()), line, flush=True)
"""


def make(commit: str, target: Path) -> None:
    """Run the commands with the code of a commit, and write what they leave."""
    with ran(commit, DRIVER, "\n".join(LINES), {"tiny.toml": RECIPE, "classes.toml": CLASSES}) as work:
        pack(work, target, _left_out)


def _left_out(_: Path, name: str) -> bool:
    return "/previews" in name or (".run/" in name) != name.startswith("half-")


if __name__ == "__main__":
    for one in sys.argv[1:]:
        make(one, FOLDER / f"{one}.tar.xz")
