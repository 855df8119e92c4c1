"""Safetensors files: checkpoints, which are all that `sample` needs, and the state from which a killed run resumes."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genrev_cli.errors import FileError
from genrev_cli.files.atomic import atomic_path
from genrev_cli.files.checkpoint_header import read_checkpoint_header, reading, require_text
from genrev_cli.files.header import KEY, Header, array_digest, content_digest, parse_header

__all__ = [
    "HALVES",
    "halved",
    "read_checkpoint",
    "read_checkpoint_header",
    "require_text",
    "safetensors_pieces",
    "tensors_digest",
    "write_checkpoint",
]

HALVES = (torch.float16, torch.bfloat16)
"""Types in which weights take half of their memory, see `halved`."""

_FORMAT = {
    torch.bool: (0, "BOOL"), torch.uint8: (1, "U8"), torch.int8: (2, "I8"), torch.int16: (3, "I16"), torch.float16: (4, "F16"),
    torch.bfloat16: (5, "BF16"), torch.int32: (6, "I32"), torch.float32: (7, "F32"), torch.float64: (8, "F64"), torch.int64: (9, "I64"),
}  # fmt: skip
"""Type → its place in the file, the highest first, and its name in the format (https://github.com/huggingface/safetensors)."""

_DTYPES = {torch.bfloat16: torch.int16}  # numpy has no bfloat16, so the digest takes its bits as int16


def tensors_digest(tensors: dict[str, Tensor]) -> str:
    """Return the content digest of named tensors."""

    return content_digest({name: array_digest(str(one.dtype), one.shape, [_raw(one)]) for name, one in tensors.items()})


def halved(tensor: Tensor) -> Tensor:
    """Return a float32 tensor in float16, or in bfloat16 where a number is too large for it; any other tensor as it is."""
    if tensor.dtype != torch.float32:
        return tensor
    rounded = tensor.half()
    return rounded if rounded.isfinite().all() else tensor.bfloat16()


def write_checkpoint(path: Path, tensors: dict[str, Tensor], header: Header) -> None:
    """Write tensors and header to `path`, atomically. `header.sha256` must be `tensors_digest(tensors)`."""
    with atomic_path(path) as part, part.open("wb") as file:
        for piece in safetensors_pieces(tensors, {KEY: header.to_json()}):
            file.write(piece)


def safetensors_pieces(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a .safetensors file, tensor by tensor: the same bytes as those of safetensors' own writer.

    That writer makes a temporary file of its own, which stays if the process is killed.
    """
    ordered = sorted(tensors, key=lambda name: (-_FORMAT[tensors[name].dtype][0], name.encode()))
    entries: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name in ordered:
        begin, end = end, end + tensors[name].numel() * tensors[name].element_size()
        entries[name] = {"dtype": _FORMAT[tensors[name].dtype][1], "shape": list(tensors[name].shape), "data_offsets": [begin, end]}
    head = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    yield len(head).to_bytes(8, "little") + head
    for name in ordered:
        yield _raw(tensors[name]).data


def _raw(tensor: Tensor) -> np.ndarray:
    """Return the bytes of a tensor, on the CPU and in C order."""
    bits = tensor.detach().cpu().contiguous()
    return bits.view(_DTYPES.get(bits.dtype, bits.dtype)).numpy().reshape(-1).view("uint8")


def read_checkpoint(path: Path) -> tuple[Header, dict[str, Tensor]]:
    """Return header and tensors (on the CPU), checked against the header's digest; the file may change afterwards.

    Raises FileError if the file is missing, truncated, damaged, or not written by genrev.
    """
    with reading(path, "pt") as file:
        header = parse_header((file.metadata() or {}).get(KEY), path)
        # Copies: safetensors maps the file's bytes, and a process that reads them is killed (SIGBUS) if the file has become shorter.
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (not a dict)
        digest = tensors_digest(tensors)
    if digest != header.sha256:
        raise FileError(f"{path}: damaged: its content does not match the checksum in its header; make it again")
    return header, tensors
