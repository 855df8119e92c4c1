"""The commands that torture.py kills, on tiny networks."""

from pathlib import Path

RECIPE = """
[model]
name = "revnet"
scales = [{{ blocks = 1, hidden = 16 }}, {{ blocks = 1, hidden = 16 }}]
[prior]
name = "{prior}"
{dim}
[pretrain-recon]
batch = 64
steps = {steps}
[train-adversarial]
prior_samples = 64
hidden = [32, 32]
batch = 64
steps = {steps}
[train-ot]
batch = 128
steps = {steps}
[train-flow]
batch = 64
steps = {steps}
[train-gan]
batch = 64
steps = {steps}
weight_content = 1.0
"""
RECIPES = {"gaussian": ("active-gaussian", "dim = 8"), "classes": ("class-gaussians", ""), "flow": ("diagonal-gaussian", "")}

SPACE = """
[search]
train = ["pretrain-recon"]
recipe = "{recipe}"
[pretrain-recon]
lr = {{ low = 1e-4, high = 1e-2, log = true }}
"""

RUN = "--device cpu --log-every 5 --monitor-every 20 --preview-every 20 --save-minutes 0.0001"
SCORED = " --eval-every 10 --eval-n 64 --eval-features pixel"
CKPT = "--ckpt {w}/start.safetensors --device cpu"

PREPARED = (
    "prepare-data digits --limit 400 --out {w}/data.h5",
    "prepare-data digits --out {w}/digits.h5",
    "pretrain-recon --data {w}/data.h5 --recipe {w}/gaussian.toml --steps 5 --out {w}/start.safetensors --device cpu",
    "encode --ckpt {w}/start.safetensors --out {w}/start.h5 --device cpu",
    "encode --ckpt {w}/start.safetensors --out {w}/full.h5 --full --device cpu",
    "fit-ot {w}/start.h5 --out {w}/map.safetensors --target-error 0.5 --device cpu",
    "fit-features --data {w}/data.h5 --steps 3 --out {w}/features.safetensors --device cpu",
    "sample --ckpt {w}/start.safetensors -n 300 --out {w}/drawn.h5 --device cpu",
    "fid {w}/drawn.h5 --ref {w}/data.h5 --features pixel --out {w}/score.json",
)
"""Commands that make the inputs of the stages."""

STAGES = {
    "prepare-data": ("prepare-data digits --out {w}/out.h5", "out.h5"),
    "pretrain-recon": (
        "pretrain-recon --data {w}/data.h5 --recipe {w}/gaussian.toml --out {w}/out.safetensors " + RUN + SCORED, "out.safetensors"),
    "train-adversarial": (
        "train-adversarial --ckpt {w}/start.safetensors --recipe {w}/gaussian.toml --out {w}/out.safetensors " + RUN, "out.safetensors"),
    "train-ot": ("train-ot --data {w}/data.h5 --recipe {w}/classes.toml --out {w}/out.safetensors " + RUN, "out.safetensors"),
    "train-flow": ("train-flow --data {w}/data.h5 --recipe {w}/flow.toml --out {w}/out.safetensors " + RUN, "out.safetensors"),
    "train-pga": (
        "train-pga --data {w}/data.h5 --variant vpga --steps {steps} --out {w}/out.safetensors " + RUN, "out.safetensors"),
    "train-vae": (
        "train-vae --data {w}/data.h5 --variant wae-gan --steps {steps} --out {w}/out.safetensors " + RUN, "out.safetensors"),
    "train-gan": (
        "train-gan --ckpt {w}/start.safetensors --ot {w}/map.safetensors --recipe {w}/gaussian.toml --out {w}/out.safetensors " + RUN,
        "out.safetensors"),
    "fit-features": ("fit-features --data {w}/data.h5 --batch 64 --steps {steps} --out {w}/out.safetensors " + RUN, "out.safetensors"),
    "encode": ("encode --ckpt {w}/start.safetensors --split all --batch 32 --out {w}/out.h5 --device cpu", "out.h5"),
    "decode": ("decode {w}/full.h5 --ckpt {w}/start.safetensors --out {w}/out --device cpu", "out"),
    "fit-ot": (
        "fit-ot {w}/start.h5 --target-error 0.05 --max-samples 20000 --save-minutes 0.0001 --out {w}/out.safetensors --device cpu",
        "out.safetensors"),
    "fit-gmm": ("fit-gmm {w}/start.h5 --out {w}/out.safetensors", "out.safetensors"),
    "fit-flow": (
        "fit-flow {w}/start.h5 --steps {steps} --log-every 5 --save-minutes 0.0001 --out {w}/out.safetensors --device cpu",
        "out.safetensors"),
    "fit-directions": ("fit-directions {w}/full.h5 --out {w}/out.safetensors --device cpu", "out.safetensors"),
    "probe": ("probe {w}/full.h5 --repeats 3 --out {w}/out.json", "out.json"),
    "sample": ("sample --ckpt {w}/start.safetensors -n 400 --out {w}/out --device cpu", "out"),
    "edit": ("edit 1 2 3 4 --dim 0=2 --steps 9 --out {w}/out.png " + CKPT, "out.png"),
    "reconstruct": ("reconstruct --split train --out {w}/out.png " + CKPT, "out.png"),
    "interpolate": ("interpolate 1 2 3 --seconds 1 --out {w}/out.gif " + CKPT, "out.gif"),
    "traverse": ("traverse --count 4 --seconds 1 --out {w}/out.webp " + CKPT, "out.webp"),
    "fid-ref": ("fid-ref digits --data {w}/digits.h5 --features {w}/features.safetensors --out {w}/out.npz --device cpu", "out.npz"),
    "fid": (
        "fid {w}/drawn.h5 --ref {w}/data.h5 --split train --features {w}/features.safetensors --save-stats {w}/out.npz --out {w}/out.json "
        "--device cpu", "out.json"),
    "report": ("report {w}/start.safetensors {w}/score.json {w}/drawn.h5 --out {w}/out.html", "out.html"),
    "compare": (
        "compare {w}/start.safetensors {w}/start.safetensors+{w}/map.safetensors -n 200 --features pixel --out {w}/out.html --device cpu",
        "out.html"),
    "card": ("card {w}/start.safetensors --score {w}/score.json --out {w}/out --device cpu", "out/README.md"),
    "sweep-bottleneck": (
        "sweep-bottleneck --out {w}/out --data {w}/data.h5 --recipes {w}/gaussian.toml --dims 2,4 --steps {steps} " + RUN,
        "out/sweep.json"),
    "search": (
        "search {w}/space.toml --data {w}/data.h5 --out {w}/out --trials 2 --sampler random --pruner none --metric l1_restricted " + RUN,
        "out/search.html"),
    "explore": ("explore --record {w}/out.html --images 2 --steps 3 --dims 2 " + CKPT, "out.html"),
}  # fmt: skip
"""Stage → (command, file or folder that it writes)."""


def write_recipes(folder: Path, steps: int) -> None:
    """Write the recipes that the commands name."""
    for name, (prior, dim) in RECIPES.items():
        (folder / f"{name}.toml").write_text(RECIPE.format(prior=prior, dim=dim, steps=steps))
    (folder / "space.toml").write_text(SPACE.format(recipe=folder / "gaussian.toml"))
