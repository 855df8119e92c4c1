"""Files that are made to do harm, read by commands: each gives one error and has no other effect."""

import json
import subprocess
import sys
from pathlib import Path

import hostile_arrays as arrays
import hostile_files as made
import pytest
from hostile_arrays import header
from hostile_files import folder_with, score, text, zip_with

DATA = "pretrain-recon --data {f} --recipe {s}/tiny.toml --out {w}/x.safetensors --device cpu"
SAMPLE = "sample --ckpt {f} -n 2 --out {w}/x.h5 --device cpu"
GMM = "fit-gmm {f} --out {w}/x.safetensors --components 1"
SAMPLES = "fid {f} --ref {s}/data.h5 --features pixel --no-cache --device cpu --split all --out {w}/x.json"
WEIGHTS = "fid {s}/samples --ref {s}/data.h5 --weights {f} --no-cache --device cpu --split all --out {w}/x.json"
REF = "fid {s}/samples --ref {f} --features pixel --no-cache --device cpu --out {w}/x.json"
PREPARE = "prepare-data folder --path {f} --size 8 --out {w}/x.h5 --workers 1"
CELEBA = "prepare-data celeba --path {f} --size 8 --out {w}/x.h5 --workers 1"
INFO = "info {f} --verify"

RECIPE = "pretrain-recon --data {s}/data.h5 --recipe {f} --dry-run --device cpu --out {w}/x.safetensors"

REPORT = "report {f} --out {w}/x.html"
ODD = [
    ("metric", 5), ("metric", None), ("metric", ["FID"]), ("value", "x"), ("value", None), ("value", [1]), ("value", 10**400), ("n", "x"),
    ("n_reference", "x"), ("bias_floor", "x"), ("split", 3), ("extractor", 3), ("feature_precision", 3),
]  # fmt: skip
"""Invalid entries of a score."""

BY_SUFFIX = {
    "h5": DATA, "safetensors": SAMPLE, "npz": SAMPLES, "npy": SAMPLES, "png": INFO, "json": INFO, "html": INFO, "zip": PREPARE,
}  # fmt: skip

CASES = {
    "HDF5 claims terabytes": ("x.h5", arrays.h5_claims, DATA, "labels claims 8796093022208 bytes"),
    "HDF5 packed": ("x.h5", arrays.h5_packed, DATA, "labels claims 33554432 bytes"),
    "HDF5 chunk of gigabytes": ("x.h5", arrays.h5_chunk, DATA, "labels claims 2147483648 bytes"),
    "HDF5 link to another file": ("x.h5", arrays.h5_external_link, DATA, "labels is a link"),
    "HDF5 bytes of another file": ("x.h5", arrays.h5_external_storage, DATA, "labels is stored in another file"),
    "HDF5 virtual": ("x.h5", arrays.h5_virtual, DATA, "labels is stored in another file"),
    "HDF5 link to itself": ("x.h5", arrays.h5_circle, DATA, "labels is a link"),
    "HDF5 group for an array": ("x.h5", arrays.h5_group, DATA, "labels is not an array of numbers"),
    "HDF5 texts for numbers": ("x.h5", arrays.h5_text, DATA, "labels is not an array of numbers"),
    "HDF5 lengths": ("x.h5", arrays.h5_lengths, DATA, "different lengths"),
    "HDF5 class 2^62": ("x.h5", arrays.h5_classes, DATA, "its labels are 4611686018427387904"),
    "HDF5 heap without an end": ("x.h5", arrays.h5_heap, INFO, "an object of size zero"),
    "HDF5 header of numbers": ("x.h5", arrays.h5_header, INFO, "its header is not text"),
    "codes that are NaN": ("x.h5", arrays.codes_nan, GMM, "code 0 is not finite"),
    "codes of other dimensions": ("x.h5", arrays.codes_dims, GMM, "do not have the 4 dimensions"),
    "safetensors header of exabytes": ("x.safetensors", arrays.safetensors_length, SAMPLE, "not a readable safetensors file"),
    "safetensors shape": ("x.safetensors", arrays.safetensors_shape, SAMPLE, "not a readable safetensors file"),
    "safetensors offsets": ("x.safetensors", arrays.safetensors_offsets, SAMPLE, "not a readable safetensors file"),
    "safetensors type": ("x.safetensors", arrays.safetensors_type, SAMPLE, "not a readable safetensors file"),
    "safetensors digest": ("x.safetensors", arrays.safetensors_nothing, SAMPLE, "does not match the checksum"),
    "weights of a gigabyte": ("x.pth", arrays.weights_of_gigabytes, WEIGHTS, "not the published weights"),
    "npy claims terabytes": ("x.npy", arrays.npy_claims, SAMPLES, "not a readable NumPy file"),
    "npy of objects": ("x.npy", arrays.npy_objects, SAMPLES, "not a readable NumPy file"),
    "npy header": ("x.npy", arrays.npy_deep, SAMPLES, "not a readable NumPy file"),
    "npz claims terabytes": ("x.npz", arrays.npz_claims, SAMPLES, "claims 70368744177792 bytes, but has 128"),
    "npz of objects": ("x.npz", arrays.npz_objects, SAMPLES, "not a readable NumPy file"),
    "npz bzip2 bomb": ("x.npz", arrays.npz_bzip2, SAMPLES, "compressed with bzip2"),
    "npz with a wrong size": ("x.npz", arrays.npz_wrong_size, SAMPLES, "bytes cannot become"),
    "npz of bytes": ("x.npz", arrays.npz_bytes, SAMPLES, "has no array 'images'"),
    "statistics that are NaN": ("x.npz", arrays.statistics_nan, REF, "'sigma' has NaN"),
    "statistics of nothing": ("x.npz", arrays.statistics_none, REF, "must have shapes (d,) and (d, d)"),
    "statistics of −5 images": ("x.npz", arrays.statistics_n, REF, "statistics of -5 images"),
    "statistics of dates": ("x.npz", arrays.statistics_dates, REF, "does not match the checksum"),
    "zip name above": ("x.zip", zip_with(**{"../x.png": b""}), PREPARE, "leads outside of the archive"),
    "zip absolute name": ("x.zip", zip_with(**{"/etc/x.png": b""}), PREPARE, "leads outside of the archive"),
    "zip name of Windows": ("x.zip", zip_with(**{"C:\\x.png": b""}), PREPARE, "leads outside of the archive"),
    "zip link": ("x.zip", made.zip_link, PREPARE, "has no known image format"),
    "zip name of digits": ("x.zip", zip_with(**{"9" * 5000 + ".png": b""}), PREPARE, "has no known image format"),
    "zip version": ("x.zip", made.zip_version, PREPARE, "not a readable zip archive"),
    "zip name that is not UTF-8": ("x.zip", made.zip_name, PREPARE, "not a readable zip archive"),
    "zip entry without a name": ("x.zip", made.zip_nameless, PREPARE, "not a readable zip archive"),
    "zip bzip2 bomb": ("x.zip", made.zip_bzip2, PREPARE, "compressed with bzip2"),
    "zip with a partition of 17 MB": (
        "x.zip", zip_with(**{"000001.jpg": b"", "list_eval_partition.txt": bytes(17 << 20)}), CELEBA, "is larger than CelebA's"),
    "image of 3.6 gigapixels": ("x", folder_with("a.png", made.png_large), PREPARE, "60000x60000, too large for PNG; resize it first"),
    "image of 408 megapixels": ("x", folder_with("a.png", made.png_huge), PREPARE, "20200x20200, too large for PNG"),
    "samples of 51 megapixels": ("x", folder_with("a.png", made.png_wide), SAMPLES, "7168x7168, more than 50,000,000 pixels"),
    "image that is a pipe": ("x", folder_with("a.png", made.pipe), PREPARE, "not a regular file"),
    "image that is a device": ("x", folder_with("a.png", made.endless), PREPARE, "not a regular file"),
    "image that is a folder": ("x", folder_with("a.png", Path.mkdir), PREPARE, "has no images"),
    "samples with a pipe": ("x", folder_with("a.png", made.pipe), SAMPLES, "not a regular file"),
    "picture of 3.6 gigapixels": ("x.png", made.png_large, INFO, "not a readable PNG"),
    "picture with a header of 100 MB": ("x.png", made.png_text, INFO, "not a readable PNG"),
    "picture with a palette": ("x.png", made.png_palette, INFO, "its mode is P"),
    "JSON without an end": ("x.json", text("[" * 100_000), INFO, "not readable as JSON"),
    "JSON number of 5000 digits": ("x.json", text('{"a": ' + "9" * 5000 + "}"), INFO, "not readable as JSON"),
    "recipe without an end": ("x.toml", text("a = " + "[" * 100_000), RECIPE, "not valid TOML"),
    "recipe number of 5000 digits": ("x.toml", text("a = " + "9" * 5000), RECIPE, "not valid TOML"),
    "header chain of 1000 files": ("x.json", score(made.nested(200)), INFO, "not written by genrev"),
    "header of half a character": (
        "x.json", score('{"kind": "score", "config": {"a": "\\ud800"}, "sha256": ""}'), INFO, "not written by genrev"),
    "header of other types": ("x.json", score('{"kind": "score", "config": [], "sha256": ""}'), INFO, "its header is malformed"),
    "header made by nothing": (
        "x.json", score('{"kind": "score", "config": {}, "sha256": "", "made_by": {"seconds": "1"}}'), INFO, "its header is malformed"),
    "header with inputs of numbers": (
        "x.json", score('{"kind": "score", "config": {}, "sha256": "", "inputs": {"a": 1}}'), INFO, "its header is malformed"),
    "edited header": ("x.json", score(header("score", {"n": 1}).replace('"n": 1', '"n": 2')), INFO, "does not match its own checksum"),
    **{
        f"score whose {name} is {value!s:.9}": ("x.json", made.odd_score(**{name: value}), REPORT, "an entry has a wrong type or value")
        for name, value in ODD
    },
    "edited score": ("x.json", made.odd_score("0" * 64), REPORT, "does not match the checksum"),
    "folder's header that is not UTF-8": (
        "x", folder_with("genrev.json", text(b"\xff\xfe")), INFO, "not written by genrev"),
    "page without an end": (
        "x.html", text('<script type="application/json" id="genrev">' + "[" * 100_000 + "</script>"), INFO, "not written by genrev"),
    **{f"a pipe: {suffix}": (f"x.{suffix}", made.pipe, line, "") for suffix, line in BY_SUFFIX.items()},
    **{f"an endless device: {suffix}": (f"x.{suffix}", made.endless, line, "") for suffix, line in BY_SUFFIX.items()},
}  # fmt: skip
"""Case → (file name, function that writes the file, command that reads it, part of the error message)."""


@pytest.mark.parametrize(("name", "write", "line", "message"), CASES.values(), ids=CASES)
def test_hostile_files_are_refused(sound, tmp_path, run, name, write, line, message):
    path = tmp_path / name
    write(path)
    before = sorted(tmp_path.rglob("*"))
    outcome = run(*line.format(f=path, s=sound, w=tmp_path).split())
    assert (outcome.code, message in outcome.error) == (3, True), outcome.err
    assert sorted(tmp_path.rglob("*")) == before  # nothing was extracted or written


CHILD = """
import json, resource, sys
from genrev_cli.cli import main
import genrev_cli.stages.fid, genrev_cli.stages.prepare_data, genrev_cli.runs.train, genrev_cli.stages.sample
lines, limit = json.load(sys.stdin)
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + limit, used + limit))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
codes = [main(line.split()) for line in lines]
print(json.dumps([codes, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024]))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory in use from /proc")
def test_hostile_files_take_little_memory(sound, tmp_path):
    """All cases run again in one process that may allocate only one more gigabyte."""
    lines = []
    for number, (name, write, line, _) in enumerate(CASES.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        write(folder / name)
        lines.append(line.format(f=folder / name, s=sound, w=folder))
    done = subprocess.run(
        [sys.executable, "-c", CHILD], input=json.dumps([lines, 1 << 30]), capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    codes, grown = json.loads(done.stdout)
    assert codes == [3] * len(CASES), done.stderr
    assert grown < 1 << 29
