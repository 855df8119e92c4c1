"""Functions that open untrusted files are called only in guarded places, and functions that run code from files are never called."""

import ast
from pathlib import Path

import pytest

import genrev_cli

ROOT = Path(genrev_cli.__file__).parent
SOURCES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(ROOT.rglob("*.py"))}

ONLY_IN = {
    "h5py.File": {"files/hdf5.py", "files/hdf5_open.py"},  # the first only to write
    "open_hdf5": {"files/hdf5.py", "files/hdf5_open.py", "training/batches.py"},  # the last opens a file that `open_images` has checked
    "zipfile.ZipFile": {"files/npz.py", "data/container.py", "metrics/torchscript.py"},
    "tarfile.open": {"data/cifar10.py", "data/tar.py"},  # the second limits what is read
    "gzip.open": {"data/tar.py"},  # read in blocks
    "gzip.GzipFile": {"data/idx_files.py"},  # the same
    "loadmat": {"data/svhn.py"},  # after its checksum
    "parquet.ParquetFile": {"data/parquet.py"},
    "torch.jit.load": {"metrics/torchscript.py"},
    "torch.serialization.load": {"metrics/weights.py"},
    "unpickle": {"data/cifar10.py"},
}
NOWHERE = {
    "gzip.decompress", "eval", "exec", "compile", "__import__", "np.load", "numpy.load", "np.fromfile", "torch.load", "pickle.load",
    "pickle.loads", "marshal.loads", "yaml.load", "os.system", "shutil.unpack_archive", "torch.hub.load", "torch.package.PackageImporter",
}  # fmt: skip
EXTRACTS = {"extract", "extractall"}


def calls(tree):
    return [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("name", SOURCES)
def test_untrusted_files_are_opened_only_in_guarded_places(name):
    for call in calls(SOURCES[name]):
        assert call not in NOWHERE
        assert name in ONLY_IN.get(call, {name}), f"{call} belongs in {ONLY_IN.get(call)}"
        assert call.rpartition(".")[2] not in EXTRACTS


@pytest.mark.parametrize(("call", "names"), ONLY_IN.items(), ids=ONLY_IN)
def test_the_search_finds_all_guarded_places(call, names):
    assert names == {name for name in SOURCES if call in calls(SOURCES[name])}
