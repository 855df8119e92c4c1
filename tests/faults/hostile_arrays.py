"""Array files that are made to do harm: a few kB that claim terabytes, refer to other files, or never end."""

import json
import struct
import zipfile
from pathlib import Path

import h5py
import hostile_packing as packing
import numpy as np
import torch
from safetensors.torch import save_file

from genrev_cli.files import hdf5
from genrev_cli.files.header import Header

GIGABYTES = 1 << 40
DATA = {"source": {"name": "digits"}, "image_shape": [1, 8, 8], "counts": {"train": 4}}
CODES = {"latent": "restricted", "dim": 4, "split": "all"}


def header(kind: str = "data", config: dict | None = None) -> str:
    return Header(kind, DATA if config is None else config, "0" * 64).to_json()


def _h5(path: Path, fill) -> None:
    """Write an intact file of four images, changed by `fill`."""
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs.create("genrev", header(), dtype=h5py.string_dtype("utf-8", len(header())))
        file["images"], file["labels"], file["split"] = np.zeros((4, 1, 8, 8), np.uint8), np.zeros(4, np.int64), np.zeros(4, np.uint8)
        fill(file)


def _instead(name: str, make):
    """Return a function that replaces an array by something else."""

    def fill(file):
        del file[name]
        make(file)

    return fill


def h5_claims(path: Path) -> None:
    """Write labels that claim eight terabytes and have no data."""
    _h5(path, _instead("labels", lambda file: file.create_dataset("labels", (GIGABYTES,), "int64", chunks=(1024,))))


def h5_packed(path: Path) -> None:
    """Write labels of 32 megabytes, compressed to 32 kilobytes."""
    _h5(path, _instead("labels", lambda file: file.create_dataset("labels", data=np.zeros(1 << 22, np.int64), compression="gzip")))


def h5_chunk(path: Path) -> None:
    """Write four labels in a chunk of two gigabytes."""
    _h5(path, _instead("labels", lambda file: file.create_dataset("labels", (4,), "int64", chunks=(1 << 28,), maxshape=(None,))))


def h5_external_link(path: Path) -> None:
    _h5(path.with_name("other.h5"), lambda file: None)
    _h5(path, _instead("labels", lambda file: file.__setitem__("labels", h5py.ExternalLink("other.h5", "/labels"))))


def h5_external_storage(path: Path) -> None:
    path.with_name("secret").write_bytes(bytes(32))
    _h5(
        path,
        _instead("labels", lambda file: file.create_dataset("labels", (4,), "int64", external=[(str(path.with_name("secret")), 0, 32)])),
    )


def h5_virtual(path: Path) -> None:
    _h5(path.with_name("other.h5"), lambda file: None)
    layout = h5py.VirtualLayout((4,), "int64")
    layout[:] = h5py.VirtualSource("other.h5", "labels", shape=(4,))
    _h5(path, _instead("labels", lambda file: file.create_virtual_dataset("labels", layout)))


def h5_circle(path: Path) -> None:
    """Write labels that are a link to themselves."""
    _h5(path, _instead("labels", lambda file: file.__setitem__("labels", h5py.SoftLink("/labels"))))


def h5_group(path: Path) -> None:
    _h5(path, _instead("labels", lambda file: file.create_group("labels")))


def h5_text(path: Path) -> None:
    _h5(path, _instead("labels", lambda file: file.create_dataset("labels", data=["a"] * 4, dtype=h5py.string_dtype())))


def h5_lengths(path: Path) -> None:
    _h5(path, _instead("labels", lambda file: file.create_dataset("labels", data=np.zeros(3, np.int64))))


def h5_classes(path: Path) -> None:
    """Write labels 2^62: a loop over that many classes would never end."""
    _h5(path, _instead("labels", lambda file: file.create_dataset("labels", data=np.full(4, 1 << 62))))


def h5_heap(path: Path) -> None:
    """Write the header in a heap, as earlier versions did, whose first object has size zero: HDF5's library loops forever."""
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["genrev"] = header()
    content = bytearray(path.read_bytes())
    place = content.index(b"GCOL") + 16
    content[place : place + 16] = bytes(16)
    path.write_bytes(content)


def h5_header(path: Path) -> None:
    """Write a header that is not text."""
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["genrev"] = np.zeros(3)


def codes(path: Path, fill) -> None:
    """Write a file of four codes, changed by `fill`, with a header whose digest is correct."""
    arrays = {"codes": np.ones((4, 4), np.float32), "labels": np.zeros(4, np.int64), "rows": np.arange(4)}
    fill(arrays)
    with hdf5.writing(path, Header("codes", CODES, "")) as writer:
        for name, array in arrays.items():
            writer.create(name, array.shape, str(array.dtype))
            writer.write(name, 0, array)


def codes_nan(path: Path) -> None:
    codes(path, lambda arrays: arrays["codes"].fill(np.nan))


def codes_dims(path: Path) -> None:
    codes(path, lambda arrays: arrays.update(codes=np.ones((4, 5), np.float32)))


def _safetensors(path: Path, table: dict, data: bytes = b"", length: int | None = None) -> None:
    text = json.dumps({"__metadata__": {"genrev": header("checkpoint")}, **table}).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)


def safetensors_length(path: Path) -> None:
    _safetensors(path, {}, length=1 << 62)


def safetensors_shape(path: Path) -> None:
    _safetensors(path, {"a": {"dtype": "F32", "shape": [0, 1 << 62], "data_offsets": [0, 0]}})


def safetensors_offsets(path: Path) -> None:
    _safetensors(path, {"a": {"dtype": "U8", "shape": [2], "data_offsets": [1 << 60, (1 << 60) + 2]}}, b"ab")


def safetensors_type(path: Path) -> None:
    """Write a tensor of a type that NumPy does not have."""
    _safetensors(path, {"a": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}, b"ab")


def safetensors_nothing(path: Path) -> None:
    save_file({}, path, metadata={"genrev": header("checkpoint", {"model": {}, "prior": {}})})


class _Allocation:
    """Becomes 700 MB when it is unpickled, also by torch's loader for plain tensors."""

    def __reduce__(self):
        return bytearray, (700 << 20,)


def weights_of_gigabytes(path: Path) -> None:
    """Write one kilobyte of torch's format that allocates 700 MB."""
    torch.save({"a": _Allocation()}, path)


def _npy(shape: str, descr: str = "'|u1'", data: bytes = b"") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def npy_claims(path: Path) -> None:
    path.write_bytes(_npy(f"({GIGABYTES}, 8, 8, 1)"))


def npy_objects(path: Path) -> None:
    np.save(path, np.array([print]), allow_pickle=True)


def npy_deep(path: Path) -> None:
    text = b"(" * 9000
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text)


def npz_claims(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", _npy(f"({GIGABYTES}, 8, 8, 1)"))


def npz_objects(path: Path) -> None:
    np.savez(path, images=np.array([print]), allow_pickle=True)


def npz_bzip2(path: Path) -> None:
    """Write 16 megabytes, compressed to 50 bytes."""
    packing.packed(path, "images.npy", zipfile.ZIP_BZIP2, packing.bzip2(_npy(f"({1 << 18}, 8, 8, 1)"), 1 << 24), (1 << 24) + 128)


def npz_wrong_size(path: Path) -> None:
    """Write an entry that claims to be larger than deflate can make it."""
    packing.packed(path, "images.npy", zipfile.ZIP_DEFLATED, packing.deflated(bytes(1000)), 1 << 31)


def npz_bytes(path: Path) -> None:
    """Write an entry with the right name that is not an array."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images", b"1234")


def _statistics(path: Path, **arrays) -> None:
    np.savez(path, **{"mu": np.zeros(64), "sigma": np.eye(64), **arrays})


def statistics_nan(path: Path) -> None:
    _statistics(path, sigma=np.full((64, 64), np.nan))


def statistics_none(path: Path) -> None:
    _statistics(path, mu=np.zeros(0), sigma=np.zeros((0, 0)))


def statistics_n(path: Path) -> None:
    _statistics(path, n=np.int64(-5))


def statistics_dates(path: Path) -> None:
    dates = np.zeros(64, "M8[s]")
    _statistics(path, mu=dates, genrev=np.array(header("statistics", {})))
