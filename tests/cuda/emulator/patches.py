"""What torch does outside of its operators, as it has to be on the emulated device."""

import functools

import torch
import torch.distributed as dist

from emulator.record import RECORD

_WAITING = ((torch.cuda, "synchronize"), (torch.cuda.Event, "synchronize"), (torch.cuda.Stream, "synchronize"))


def _recorded(function, name: str):
    @functools.wraps(function)
    def waiting(*args, **kwargs):
        RECORD.wait(name)
        return function(*args, **kwargs)

    return waiting


def _with_gloo_for_nccl(function):
    @functools.wraps(function)
    def begin(backend=None, *args, **kwargs):
        return function(backend.replace("nccl", "gloo") if backend else backend, *args, **kwargs)

    return begin


def _keeping_parameters(function):
    """Let a module that moves keep its Parameter objects, as between plain tensors: their contents are swapped."""

    @functools.wraps(function)
    def apply(module, *args, **kwargs):
        before = torch.__future__.get_swap_module_params_on_conversion()
        torch.__future__.set_swap_module_params_on_conversion(True)
        try:
            return function(module, *args, **kwargs)
        finally:
            torch.__future__.set_swap_module_params_on_conversion(before)

    return apply


def patch_torch() -> None:
    """Record explicit waits, let gloo stand in for NCCL, and let modules keep their parameters when they move."""
    for owner, name in _WAITING:
        setattr(owner, name, _recorded(getattr(owner, name), f"{owner.__name__.rpartition('.')[2]}.{name}"))
    dist.init_process_group = _with_gloo_for_nccl(dist.init_process_group)
    torch.nn.Module._apply = _keeping_parameters(torch.nn.Module._apply)
