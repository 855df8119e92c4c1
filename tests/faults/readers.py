"""Commands that read files; together they open every kind of file."""

from dataclasses import dataclass

from sound_files import IMAGES


@dataclass(frozen=True)
class Reader:
    """A command that reads a file. words: {w} is a folder with the file and a copy of `beside`, {s} the folder of all intact files.

    out: the file that the command writes, if it must be the same whenever the input is accepted. code: exit code for the intact file.
    replaced: True if the command also writes the file. lenient: True if the file may be empty.
    """

    file: str
    words: str
    beside: tuple[str, ...] = ()
    out: str = ""
    code: int = 0
    replaced: bool = False
    lenient: bool = False


_FID = "--features pixel --no-cache --device cpu --split all --out {w}/out.json"
_SCORE = "fid {s}/samples --ref {s}/data.h5 --no-cache --device cpu --split all --out {w}/out.json "
_SAMPLE = "sample -n 2 --device cpu --out {w}/out.h5 --ckpt "

READERS = {
    "checkpoint: sample": Reader("m.safetensors", _SAMPLE + "{w}/m.safetensors", out="out.h5"),
    "checkpoint: encode": Reader(
        "m.safetensors", "encode --ckpt {w}/m.safetensors --out {w}/out.h5 --split all --device cpu", out="out.h5"
    ),
    "checkpoint: train-adversarial": Reader("m.safetensors", "train-adversarial --ckpt {w}/m.safetensors --dry-run --device cpu"),
    "checkpoint: report": Reader("m.safetensors", "report {w}/m.safetensors --out {w}/out.html", ("m.safetensors.run/log.jsonl",)),
    "checkpoint: info": Reader("m.safetensors", "info {w}/m.safetensors --verify"),
    "state: pretrain-recon": Reader(
        "m.safetensors.run/state.safetensors",
        "pretrain-recon --data {s}/data.h5 --recipe {s}/tiny.toml --out {w}/m.safetensors --device cpu --steps 3",
        ("m.safetensors", "m.safetensors.run/log.jsonl"),
        out="m.safetensors",
        replaced=True,
    ),
    "map: sample": Reader("ot.safetensors", _SAMPLE + "{s}/m.safetensors --ot {w}/ot.safetensors", out="out.h5"),
    "map: interpolate": Reader(
        "ot.safetensors", "interpolate --ckpt {s}/m.safetensors --ot {w}/ot.safetensors --out {w}/out.png --split all --device cpu"
    ),
    "mixture: sample": Reader("gmm.safetensors", _SAMPLE + "{s}/m.safetensors --gmm {w}/gmm.safetensors", out="out.h5"),
    "flow: sample": Reader("flow.safetensors", _SAMPLE + "{s}/m.safetensors --flow {w}/flow.safetensors", out="out.h5"),
    "classifier: fid": Reader("c.safetensors", _SCORE + "--features {w}/c.safetensors", out="out.json"),
    "data: encode": Reader(
        "data.h5", "encode --ckpt {s}/m.safetensors --data {w}/data.h5 --split all --out {w}/out.h5 --device cpu", out="out.h5"
    ),
    "data: pretrain-recon": Reader(
        "data.h5", "pretrain-recon --data {w}/data.h5 --recipe {s}/tiny.toml --out {w}/out.safetensors --device cpu", out="out.safetensors"
    ),
    "data: fid": Reader("data.h5", "fid {s}/samples --ref {w}/data.h5 " + _FID, out="out.json"),
    "data: info": Reader("data.h5", "info {w}/data.h5 --verify"),
    "codes: fit-gmm": Reader("codes.h5", "fit-gmm {w}/codes.h5 --out {w}/out.safetensors --components 1", out="out.safetensors"),
    "codes: fit-flow": Reader(
        "codes.h5", "fit-flow {w}/codes.h5 --out {w}/out.safetensors --steps 1 --width 8 --device cpu", out="out.safetensors"
    ),
    "codes: decode": Reader("codes.h5", "decode {w}/codes.h5 --ckpt {s}/m.safetensors --out {w}/out.h5 --device cpu", out="out.h5"),
    "codes: fit-directions": Reader(
        "codes.h5", "fit-directions {w}/codes.h5 --out {w}/out.safetensors --components 2", out="out.safetensors"
    ),
    "directions: traverse": Reader(
        "directions.safetensors", "traverse --ckpt {s}/m.safetensors --directions {w}/directions.safetensors --out {w}/out.png --device cpu"
    ),
    "directions: info": Reader("directions.safetensors", "info {w}/directions.safetensors --verify"),
    "codes: report": Reader("codes.h5", "report {w}/codes.h5 --out {w}/out.html"),
    "codes: info": Reader("codes.h5", "info {w}/codes.h5 --verify"),
    "samples h5: fid": Reader("samples.h5", "fid {w}/samples.h5 --ref {s}/data.h5 " + _FID, out="out.json"),
    "samples npz: fid": Reader("samples.npz", "fid {w}/samples.npz --ref {s}/data.h5 " + _FID, out="out.json"),
    "samples npz: info": Reader("samples.npz", "info {w}/samples.npz --verify"),
    "samples folder: fid": Reader(
        "samples/000001.png", "fid {w}/samples --ref {s}/data.h5 " + _FID, ("samples/000000.png", "samples/genrev.json")
    ),
    "samples folder's header: fid": Reader(
        "samples/genrev.json", "fid {w}/samples --ref {s}/data.h5 " + _FID, ("samples/000000.png", "samples/000001.png")
    ),
    "samples folder: info": Reader("samples/genrev.json", "info {w}/samples --verify", ("samples/000000.png", "samples/000001.png")),
    "foreign npz: fid": Reader("foreign.npz", "fid {w}/foreign.npz --ref {s}/data.h5 " + _FID, out="out.json"),
    "foreign npy: fid": Reader("foreign.npy", "fid {w}/foreign.npy --ref {s}/data.h5 " + _FID),
    "statistics: fid": Reader(
        "statistics.npz", "fid {s}/samples --ref {w}/statistics.npz " + _FID.replace("--split all ", ""), out="out.json"
    ),
    "foreign statistics: fid": Reader(
        "foreign-statistics.npz", "fid {s}/samples --ref {w}/foreign-statistics.npz " + _FID.replace("--split all ", ""), out="out.json"
    ),
    "zip: fid": Reader("images.zip", "fid {w}/images.zip --ref {s}/data.h5 " + _FID),
    "zip: prepare-data": Reader("images.zip", "prepare-data folder --path {w}/images.zip --size 8 --out {w}/out.h5 --workers 1"),
    **{
        f"labels {kind}: prepare-data": Reader(
            f"labels.{kind}",
            f"prepare-data folder --path {{s}}/images --labels {{w}}/labels.{kind} --size 8 --out {{w}}/out.h5 --workers 1 --dry-run",
        )
        for kind in ("csv", "json")
    },
    "celeba zip: prepare-data": Reader("celeba.zip", "prepare-data celeba --path {w}/celeba.zip --size 8 --out {w}/out.h5 --workers 1"),
    "celeba partition: prepare-data": Reader(
        "list_eval_partition.txt",
        "prepare-data celeba --path {w}/celeba-images.zip --size 8 --out {w}/out.h5 --workers 1",
        ("celeba-images.zip",),
    ),
    **{
        f"image {name}: prepare-data": Reader(
            f"images/{name}", "prepare-data folder --path {w}/images --size 8 --out {w}/out.h5 --workers 1 --test-fraction 0"
        )
        for name in IMAGES
    },
    "array npz: prepare-data": Reader("foreign.npz", "prepare-data array --path {w}/foreign.npz --out {w}/out.h5", out="out.h5"),
    "array npy: prepare-data": Reader("foreign.npy", "prepare-data array --path {w}/foreign.npy --out {w}/out.h5"),
    "array h5: prepare-data": Reader("foreign.h5", "prepare-data array --path {w}/foreign.h5 --out {w}/out.h5"),
    "tar: prepare-data": Reader("shard.tar", "prepare-data folder --path {w}/shard.tar --no-classes --out {w}/out.h5 --workers 1"),
    "packed tar: prepare-data": Reader("shard.tar.gz", "prepare-data webdataset --path {w}/shard.tar.gz --out {w}/out.h5 --workers 1"),
    "parquet: prepare-data": Reader("train.parquet", "prepare-data parquet --path {w}/train.parquet --out {w}/out.h5 --workers 1"),
    "idx: prepare-data": Reader(
        "train-images-idx3-ubyte.gz", "prepare-data idx --path {w} --out {w}/out.h5", ("train-labels-idx1-ubyte.gz",), out="out.h5"
    ),
    "image: interpolate": Reader(
        "samples/000001.png",
        "interpolate {w}/samples/000001.png {s}/samples/000001.png --ckpt {s}/m.safetensors --out {w}/out.png --device cpu",
    ),
    "cifar tar: prepare-data": Reader("cifar-10-python.tar.gz", "prepare-data cifar10 --path {w} --out {w}/out.h5"),
    "cifar batch: prepare-data": Reader(
        "cifar-10-batches-py/data_batch_1",
        "prepare-data cifar10 --path {w} --out {w}/out.h5",
        tuple(
            f"cifar-10-batches-py/{name}"
            for name in ("data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch", "batches.meta")
        ),
    ),
    "mnist gz: prepare-data": Reader(
        "train-images-idx3-ubyte.gz",
        "prepare-data mnist --path {w} --out {w}/out.h5",
        ("train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte"),
    ),
    "mnist idx: prepare-data": Reader(
        "t10k-labels-idx1-ubyte",
        "prepare-data mnist --path {w} --out {w}/out.h5",
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz"),
    ),
    "picture: info": Reader("grid.png", "info {w}/grid.png --verify"),
    "film gif: info": Reader("film.gif", "info {w}/film.gif --verify"),
    "film webp: info": Reader("film.webp", "info {w}/film.webp --verify"),
    "film mp4: info": Reader("film.mp4", "info {w}/film.mp4 --verify"),
    "picture: report": Reader("grid.png", "report {w}/grid.png --out {w}/out.html"),
    "score: info": Reader("fid.json", "info {w}/fid.json --verify"),
    "score: report": Reader("fid.json", "report {w}/fid.json --out {w}/out.html"),
    "page: info": Reader("report.html", "info {w}/report.html --verify"),
    "recipe: pretrain-recon": Reader(
        "tiny.toml",
        "pretrain-recon --data {s}/data.h5 --recipe {w}/tiny.toml --dry-run --device cpu --out {w}/x.safetensors",
        lenient=True,
    ),
    "log: report": Reader("m.safetensors.run/log.jsonl", "report {w}/m.safetensors --out {w}/out.html", ("m.safetensors",), lenient=True),
    "log: pretrain-recon": Reader(
        "m.safetensors.run/log.jsonl",
        "pretrain-recon --data {s}/data.h5 --recipe {s}/tiny.toml --out {w}/m.safetensors --device cpu --steps 3",
        ("m.safetensors", "m.safetensors.run/state.safetensors"),
        out="m.safetensors",
        replaced=True,
        lenient=True,
    ),
    "torchscript: fid": Reader("network.pt", _SCORE + "--features {w}/network.pt"),
    "weights pth: fid": Reader("weights.pth", _SCORE + "--weights {w}/weights.pth", code=3),
    "weights safetensors: fid": Reader("weights.safetensors", _SCORE + "--weights {w}/weights.safetensors", code=3),
}
"""Name → a file and a command that reads it. The names seed the random damage."""
