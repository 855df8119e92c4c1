"""One small intact file of every kind that genrev reads."""

import gzip
import hashlib
import io
import json
import pickle
import struct
import tarfile
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet
import torch
from PIL import Image
from safetensors.torch import save_file

from genrev_cli.cli import main
from genrev_cli.data import cifar10, mnist

RECIPE = """
[model]
name = "dense"
hidden = [8]
[prior]
name = "active-gaussian"
dim = 4
[pretrain-recon]
lr = 1e-3
batch = 16
steps = 2
[train-adversarial]
prior_samples = 24
hidden = [8, 8]
batch = 16
steps = 2
[classifier]
width = 4
[fit-features]
batch = 16
steps = 2
"""

IMAGES = {"a.png": "L", "b.jpg": "RGB", "c.gif": "P", "d.tif": "I;16", "e.webp": "RGBA", "f.bmp": "RGB"}
"""Images in every format that genrev reads: name → mode."""


class Means(torch.nn.Module):
    def forward(self, x):
        return x.float().mean((2, 3))


def build(folder: Path) -> None:
    """Write the files to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.toml").write_text(RECIPE)

    def run(line):
        words = [word.format(s=folder) for word in line.split()]
        assert main(words) == 0, line

    run("prepare-data digits --limit 40 --out {s}/data.h5")
    run("pretrain-recon --data {s}/data.h5 --recipe {s}/tiny.toml --out {s}/m.safetensors --device cpu --log-every 1")
    run("fit-features --data {s}/data.h5 --recipe {s}/tiny.toml --out {s}/c.safetensors --device cpu")
    run("encode --ckpt {s}/m.safetensors --out {s}/codes.h5 --split all --device cpu")
    run("fit-ot {s}/codes.h5 --out {s}/ot.safetensors --target-error 0.9 --max-samples 100 --device cpu")
    run("fit-gmm {s}/codes.h5 --out {s}/gmm.safetensors --components 1")
    run("fit-flow {s}/codes.h5 --out {s}/flow.safetensors --steps 2 --width 8 --solver-steps 2 --device cpu")
    run("fit-directions {s}/codes.h5 --out {s}/directions.safetensors --components 2")
    for name in ("samples.h5", "samples.npz", "samples --grid {s}/grid.png"):
        run("sample --ckpt {s}/m.safetensors -n 2 --device cpu --out {s}/" + name)
    run("fid {s}/samples --ref {s}/data.h5 --save-stats {s}/statistics.npz " + "--features pixel --no-cache --split all --out {s}/fid.json")
    for name in ("film.gif", "film.webp", "film.mp4"):
        run("interpolate 0 1 --ckpt {s}/m.safetensors --split all --seconds 0.1 --device cpu --out {s}/" + name)
    run("report {s}/m.safetensors {s}/fid.json --out {s}/report.html")
    _foreign(folder)
    _published(folder)


def _foreign(folder: Path) -> None:
    """Write files as other programs make them."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 8, 8, 1), np.uint8)
    np.savez_compressed(folder / "foreign.npz", images)
    np.save(folder / "foreign.npy", images)
    with h5py.File(folder / "foreign.h5", "w") as file:
        file.create_dataset("images", data=images, compression="gzip")
    _shards(folder, [_encoded("PNG", 10, 12) for _ in range(4)])
    np.savez(folder / "foreign-statistics.npz", mu=rng.normal(size=64), sigma=np.eye(64))
    (folder / "images").mkdir()
    for name, mode in IMAGES.items():
        pixels = rng.integers(0, 256, (12, 10, 4), np.uint8)
        picture = Image.fromarray(pixels[..., 0].astype(np.uint16) * 200) if mode == "I;16" else Image.fromarray(pixels).convert(mode)
        options = {".tif": {"compression": "tiff_lzw"}, ".webp": {"lossless": True}}.get(Path(name).suffix, {})
        picture.save(folder / "images" / name, **options)
    rows = [(name, "ab"[i % 2]) for i, name in enumerate(IMAGES)]
    (folder / "labels.csv").write_text("name,label\n" + "".join(f"{name},{label}\n" for name, label in rows))
    (folder / "labels.json").write_text(json.dumps({"labels": rows}))
    _zip(folder / "images.zip", {f"deep/{i}.png": _png(8, 8) for i in range(3)})
    faces = {f"img_align_celeba/{number:06d}.jpg": _jpeg(178, 218) for number in (1, 162771)}
    partition = "000001.jpg 0\n162771.jpg 1\n"
    _zip(folder / "celeba.zip", {**faces, "list_eval_partition.txt": partition.encode()})
    _zip(folder / "celeba-images.zip", faces)
    (folder / "list_eval_partition.txt").write_text(partition)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch recommends torch.export, but published extractors are TorchScript
        torch.jit.script(Means()).save(str(folder / "network.pt"))
    torch.save({"a": torch.randn(3)}, folder / "weights.pth")
    save_file({"a": torch.randn(3)}, folder / "weights.safetensors")


def _shards(folder: Path, pictures: list[bytes]) -> None:
    """Write tars with labels beside the pictures, and parquet in the layout of the hub."""
    for name, mode in (("shard.tar", "w"), ("shard.tar.gz", "w:gz")):
        with tarfile.open(folder / name, mode) as archive:
            for i, picture in enumerate(pictures):
                for kind, data in (("png", picture), ("cls", b"1")):
                    entry = tarfile.TarInfo(f"{i}.{kind}")
                    entry.size = len(data)
                    archive.addfile(entry, io.BytesIO(data))
    table = pyarrow.table({"image": [{"bytes": picture, "path": None} for picture in pictures], "label": [0, 1, 0, 1]})
    pyarrow.parquet.write_table(table, folder / "train.parquet")


def _zip(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def _encoded(kind: str, width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width), np.uint8)).save(file, kind)
    return file.getvalue()


def _png(width: int, height: int) -> bytes:
    return _encoded("PNG", width, height)


def _jpeg(width: int, height: int) -> bytes:
    return _encoded("JPEG", width, height)


def idx(array: np.ndarray) -> bytes:
    """Return an array of bytes in MNIST's format."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def _published(folder: Path) -> None:
    """Write small files in the formats of MNIST and CIFAR-10; their md5s differ from the published ones."""
    for part, n in (("train", 6), ("t10k", 2)):
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(np.full((n, 28, 28), n, np.uint8)), mtime=0))
        labels = idx(np.arange(n, dtype=np.uint8))
        if part == "train":
            (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels, mtime=0))
        else:
            (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    batches = folder / "cifar-10-batches-py"
    batches.mkdir()
    batch = {b"data": np.arange(2 * 3072, dtype=np.uint16).astype(np.uint8).reshape(2, 3072), b"labels": [0, 1]}
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        (batches / name).write_bytes(pickle.dumps(batch, 2))
    (batches / "batches.meta").write_bytes(pickle.dumps({b"label_names": [b"cat", b"dog"]}, 2))
    with tarfile.open(folder / "cifar-10-python.tar.gz", "w:gz") as archive:
        archive.add(batches, "cifar-10-batches-py")


def published(folder: Path) -> tuple[dict[str, tuple[str, str]], dict[str, str], str]:
    """Return the md5s of these files, in the form of mnist.MD5, cifar10.MD5 and cifar10.TAR_MD5."""

    def md5(data: bytes) -> str:
        return hashlib.md5(data, usedforsecurity=False).hexdigest()

    digits = {}
    for name in mnist.MD5:
        packed, plain = folder / f"{name}.gz", folder / name
        content = gzip.decompress(packed.read_bytes()) if packed.exists() else plain.read_bytes()
        digits[name] = (md5(packed.read_bytes()) if packed.exists() else "", md5(content))
    batches = {name: md5((folder / cifar10.FOLDER / name).read_bytes()) for name in cifar10.MD5}
    return digits, batches, md5((folder / cifar10.TAR).read_bytes())
