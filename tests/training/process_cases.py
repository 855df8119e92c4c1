"""The stages that processes share, with networks that train in milliseconds."""

from dataclasses import dataclass

import numpy as np

from genrev_cli.files import hdf5
from genrev_cli.files.header import Header
from genrev_cli.files.images import SPLITS

NETWORK = """
[model]
name = "revnet"
scales = [{ blocks = 1, hidden = 8 }]
[prior]
"""
TINY = f"""{NETWORK}
name = "active-gaussian"
dim = 8
[train-adversarial]
prior_samples = 16
hidden = [8, 8]
[train-gan]
weight_content = 1.0
[pretrain-recon]
"""
RECIPES = {
    "tiny": TINY,
    "mmd": f"{TINY}weight_mmd = 1.0\n",
    "classes": f'{NETWORK}name = "class-gaussians"\n[train-ot]\n',
    "normed": """
[model]
name = "strided"
channels = [4]
dense = 8
norm = "all"
variational = true
[prior]
name = "active-gaussian"
dim = 3
bound = 0.0
choose = "first"
[train-vae]
variant = "vae"
""",
    "flow": f'{NETWORK}name = "diagonal-gaussian"\n[train-flow]\n',
}

COUNTS = (64, 8, 1100)  # of the last there are two shards of features
TRAINING = "--device cpu --log-every 2 --batch 8 --steps {steps}"


@dataclass(frozen=True)
class Case:
    """line: the command; {i} is the folder of its inputs, {o} that of its output. out: its output. trains: True if it writes a log."""

    line: str
    out: str
    trains: bool = False

    def words(self, inputs, outputs, steps=4):
        return [word.format(i=inputs, o=outputs, steps=steps) for word in f"{self.line} --out {{o}}/{self.out}".split()]


def _trains(line, name):
    return Case(f"{line} {TRAINING}", f"{name}.safetensors", trains=True)


CHAIN = {
    "recon": _trains("pretrain-recon --data {i}/data.h5 --recipe {i}/tiny.toml --eval-every 2 --eval-n 200 --eval-features pixel", "recon"),
    "recon-mmd": _trains("pretrain-recon --data {i}/data.h5 --recipe {i}/mmd.toml", "recon-mmd"),
    "recon-derivatives": _trains(
        "pretrain-recon --data {i}/data.h5 --recipe {i}/tiny.toml --weight-nll 1 --weight-gradient 1e-3", "recon-derivatives"),
    "adversarial": _trains("train-adversarial --ckpt {i}/start.safetensors --recipe {i}/tiny.toml", "adversarial"),
    "matching": _trains("train-adversarial --ckpt {i}/start.safetensors --recipe {i}/tiny.toml --matcher sliced", "matching"),
    "ot": _trains("train-ot --data {i}/data.h5 --recipe {i}/classes.toml", "ot"),
    "flow": _trains("train-flow --data {i}/data.h5 --recipe {i}/flow.toml", "flow"),
    "lpga": _trains("train-pga --data {i}/data.h5 --variant lpga", "lpga"),
    "vpga": _trains("train-pga --data {i}/data.h5 --variant vpga", "vpga"),
    "vae": _trains("train-vae --data {i}/data.h5 --variant vae", "vae"),
    "vae-normed": _trains(
        "train-vae --data {i}/data.h5 --recipe {i}/normed.toml --eval-every 2 --eval-n 70 --eval-features pixel", "vae-normed"),
    "wae-mmd": _trains("train-vae --data {i}/data.h5 --variant wae-mmd", "wae-mmd"),
    "wae-gan": _trains("train-vae --data {i}/data.h5 --variant wae-gan", "wae-gan"),
    "gan": _trains("train-gan --ckpt {i}/start.safetensors --ot {i}/map.safetensors --recipe {i}/tiny.toml", "gan"),
    "gan-qc": _trains("train-gan --ckpt {i}/start.safetensors --ot {i}/map.safetensors --recipe {i}/tiny.toml --loss wgan-qc", "gan-qc"),
    "gan-gp": _trains("train-gan --ckpt {i}/start.safetensors --ot {i}/map.safetensors --recipe {i}/tiny.toml --loss wgan-gp", "gan-gp"),
    "features": _trains("fit-features --data {i}/data.h5", "features"),
    "fit-ot": Case(
        "fit-ot {i}/start.h5 --target-error 0.3 --neighbours 3 --precision fp32 --device cpu", "fit-ot.safetensors", trains=True),
    "encode": Case("encode --ckpt {i}/start.safetensors --split all --batch 100 --device cpu", "codes.h5"),
    "encode-exact": Case(
        "encode --ckpt {i}/start.safetensors --split all --full --exact-bits 16 --batch 100 --device cpu", "exact.h5"),
    "decode": Case("decode {i}/start.h5 --ckpt {i}/start.safetensors --batch 20 --device cpu", "decoded.h5"),
    "sample": Case("sample --ckpt {i}/start.safetensors -n 200 --device cpu", "samples.h5"),
    "sample-png": Case(
        "sample --ckpt {i}/start.safetensors --ot {i}/map.safetensors -n 70 --grid {o}/grid.png --device cpu", "samples"),
    "fid": Case(
        "fid {i}/samples.h5 --ref {i}/data.h5 --features {i}/features.safetensors --metrics fid,kid,prdc --save-stats {o}/stats.npz "
        "--device cpu", "fid.json"),
    "fid-model": Case(
        "fid --ckpt {i}/start.safetensors --ref {i}/data.h5 -n 1100 --features pixel --metrics fid,recon --device cpu", "model.json"),
    "bpd": Case("fid --ckpt {i}/flow.safetensors --ref {i}/data.h5 --metrics bpd --device cpu", "bpd.json"),
}  # fmt: skip
"""name → a command and what it writes."""


def inputs(folder):
    """Return the commands that make the first inputs."""
    lines = (
        "pretrain-recon --data {i}/data.h5 --recipe {i}/tiny.toml --steps 5 --device cpu --out {i}/start.safetensors",
        "encode --ckpt {i}/start.safetensors --device cpu --out {i}/start.h5",
        "fit-ot {i}/start.h5 --target-error 0.5 --neighbours 3 --device cpu --out {i}/map.safetensors",
    )
    return [[word.format(i=folder) for word in line.split()] for line in lines]


def prepare(folder):
    """Write the recipes, and random images of ten classes."""
    for name, text in RECIPES.items():
        (folder / f"{name}.toml").write_text(text)
    rng, n = np.random.default_rng(0), sum(COUNTS)
    config = {"source": {"name": "digits"}, "image_shape": [1, 8, 8], "counts": dict(zip(SPLITS, COUNTS, strict=True))}
    arrays = {
        "images": rng.integers(0, 256, (n, 1, 8, 8), np.uint8),
        "labels": np.arange(n) % 10,
        "split": np.repeat(np.arange(3, dtype=np.uint8), COUNTS),
    }
    with hdf5.writing(folder / "data.h5", Header("data", config, "")) as writer:
        for name, array in arrays.items():
            writer.create(name, array.shape, str(array.dtype))
            writer.write(name, 0, array)
