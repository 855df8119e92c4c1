"""Which operators make the host wait for the device: those whose result, or its shape, the host has to know."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from emulator.record import RECORD

_ALWAYS = {
    "_local_scalar_dense": "item",
    **{
        name: name
        for name in (
            "nonzero", "masked_select", "_unique", "_unique2", "unique_dim", "unique_consecutive", "unique_dim_consecutive", "bincount",
            "equal", "histc", "isin", "_linalg_check_errors", "_linalg_eigh", "_linalg_svd", "linalg_eig", "linalg_lstsq",
        )
    },
}  # fmt: skip
"""Operator → how its wait is called."""


def _of_repeat(args: tuple, kwargs: dict) -> list[str]:
    return [] if kwargs.get("output_size") is not None else ["repeat_interleave"]  # the sum of the repeats


def _of_multinomial(args: tuple, kwargs: dict) -> list[str]:
    """It checks its weights twice, but where several are drawn with replacement."""
    replacement = args[2] if len(args) > 2 else kwargs.get("replacement", False)
    return [] if replacement and args[1] != 1 else ["multinomial", "multinomial"]


def _of_normal(args: tuple, kwargs: dict) -> list[str]:
    std = args[1] if len(args) > 1 else kwargs.get("std")
    return ["normal"] if isinstance(std, Tensor) else []  # it checks that none is negative


def _of_index(args: tuple, kwargs: dict) -> list[str]:
    """A mask has to be counted, and indices of the CPU have to be copied, unless one number is written to the places of a mask."""
    indices = [index for index in args[1] if index is not None]
    if args[0].device.type != "cuda":
        return []
    masks = [index for index in indices if index.dtype in (torch.bool, torch.uint8)]
    value = args[2] if len(args) > 2 else None
    if len(masks) == len(indices) == 1 and value is not None and value.numel() == 1:
        masks = []  # masked_fill
    copied = [index for index in indices if index.device.type == "cpu"]
    return ["index by a mask"] * len(masks) + ["index by numbers of the CPU"] * len(copied)


def _of_copy(args: tuple, kwargs: dict) -> list[str]:
    """Tensor.to and Tensor.copy_: a copy between host and device waits, unless it is non-blocking and the host's memory is pinned."""
    target, source = args[0].device, args[1].device
    if target.type == source.type:
        return []
    asynchronous = args[2] if len(args) > 2 else kwargs.get("non_blocking", False)
    to_device = target.type == "cuda"
    RECORD.copy("cpu to cuda" if to_device else "cuda to cpu")
    host = args[1] if to_device else args[0]
    if asynchronous and host.is_pinned():
        return []
    how = "" if asynchronous else "blocking "
    memory = "pinned" if host.is_pinned() else "pageable"
    return [f"{how}copy to the device from {memory} memory" if to_device else f"{how}copy to {memory} memory of the host"]


def _of_conversion(args: tuple, kwargs: dict) -> list[str]:
    """Like `_of_copy`, to new memory: torch pins it for a non-blocking copy to the host."""
    device, source, asynchronous = kwargs.get("device"), args[0].device, kwargs.get("non_blocking", False)
    target = source if device is None else torch.device(device)
    if target.type == source.type or "meta" in (target.type, source.type):
        return []
    if target.type == "cuda":
        RECORD.copy("cpu to cuda")
        pinned = args[0].is_pinned()
        if asynchronous and pinned:
            return []
        return [f"{'' if asynchronous else 'blocking '}copy to the device from {'pinned' if pinned else 'pageable'} memory"]
    RECORD.copy("cuda to cpu")
    return [] if asynchronous else ["blocking copy to the host"]


_SOMETIMES: dict[str, Callable[[tuple, dict], list[str]]] = {
    "repeat_interleave": _of_repeat,
    "multinomial": _of_multinomial,
    "normal": _of_normal,
    "index": _of_index,
    "index_put": _of_index,
    "index_put_": _of_index,
    "_index_put_impl_": _of_index,
    "copy_": _of_copy,
    "_to_copy": _of_conversion,
}

_HIDDEN_OPERATORS = {"multinomial": 6}
"""What an operator launches beside itself, where that is much."""

_NO_LAUNCH = {
    "detach", "alias", "view", "_unsafe_view", "t", "transpose", "permute", "expand", "slice", "select", "unsqueeze", "squeeze", "split",
    "split_with_sizes", "chunk", "unbind", "diagonal", "as_strided", "lift_fresh", "_reshape_alias", "unfold", "view_as", "empty",
    "empty_like", "new_empty", "empty_strided", "new_empty_strided", "unsafe_split", "unsafe_split_with_sizes", "is_same_size",
    "record_stream", "set_", "movedim", "swapaxes", "view_as_real", "real", "imag", "is_pinned", "_local_scalar_dense",
}  # fmt: skip
"""Operators that only look at memory, or get some."""


def record_call(name: str, args: tuple, kwargs: dict) -> None:
    """Record what a call on the device launches, copies and waits for. args, kwargs: before they are taken to the CPU."""
    if name not in _NO_LAUNCH:
        RECORD.operators[name] += 1
    found = [_ALWAYS[name]] if name in _ALWAYS else _SOMETIMES[name](args, kwargs) if name in _SOMETIMES else []
    if found and name in _HIDDEN_OPERATORS:
        RECORD.operators[name] += _HIDDEN_OPERATORS[name]
    for what in found:
        RECORD.wait(what)
        _debug_mode()


def _debug_mode() -> None:
    """Warn or raise RuntimeError where torch.cuda.set_sync_debug_mode asks for it."""
    mode = torch.cuda.get_sync_debug_mode()
    if mode == 1:
        warnings.warn("called a synchronizing CUDA operation", stacklevel=2)
    if mode == 2:
        raise RuntimeError("called a synchronizing CUDA operation")
