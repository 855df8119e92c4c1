"""The emulated tensor, and how every operator that meets one is run: checked, recorded, computed on the CPU, and handed back as CUDA's."""

import torch
from torch import Tensor
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from emulator.generators import generator_on
from emulator.kernels import KERNELS
from emulator.patches import patch_torch
from emulator.placement import Meeting, require_one_device
from emulator.record import RECORD
from emulator.rounding import with_rounded_factors
from emulator.waits import record_call

_CPU = torch.device("cpu")


class EmulatedTensor(torch.Tensor):
    """A tensor that says that it is on a CUDA device. values: its numbers, on the CPU."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, values: Tensor, device: torch.device) -> "EmulatedTensor":
        assert values.device == _CPU, f"the numbers of an emulated tensor are on {values.device}"
        tensor = torch.Tensor._make_wrapper_subclass(
            cls, values.size(), strides=values.stride(), storage_offset=values.storage_offset(), dtype=values.dtype, layout=values.layout,
            device=device,
        )  # fmt: skip
        tensor.values_on_cpu = values
        return tensor

    @classmethod
    def __torch_dispatch__(cls, operator, types, args=(), kwargs=None):
        return call(operator, args, kwargs or {})

    def tolist(self):
        RECORD.wait("tolist")
        return self.values_on_cpu.tolist()

    def numpy(self, *args, **kwargs):
        raise TypeError(
            f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."
        )

    def __array__(self, *args, **kwargs):
        return self.numpy()

    def __repr__(self, *args, **kwargs):
        return f"EmulatedTensor({self.values_on_cpu}, device={self.device})"

    def __reduce_ex__(self, protocol):
        raise RuntimeError("a tensor of the emulated device cannot be pickled; genrev pickles none")


def call(operator: torch._ops.OpOverload, args: tuple, kwargs: dict):
    """Run an operator, on the emulated device if its tensors or its argument `device` say so."""
    args, kwargs = tree_map(_emulated, (args, kwargs))
    flat = tree_flatten((args, kwargs))[0]
    tensors = [value for value in flat if isinstance(value, Tensor)]
    meeting = Meeting(
        own=[tensor for tensor in tensors if isinstance(tensor, EmulatedTensor)],
        host=[tensor for tensor in tensors if tensor.device == _CPU],
        devices={tensor.device for tensor in tensors if isinstance(tensor, EmulatedTensor)},
    )
    name = operator._schema.name.partition("::")[2]
    device = _device_of_result(name, args, kwargs, meeting)
    for generator in (value for value in flat if isinstance(value, torch.Generator)):
        if device.type == "cpu":
            generator_on(device, generator)
    if device.type != "cuda" and not meeting.own:
        return operator(*args, **kwargs)
    require_one_device(operator, name, args, meeting)
    record_call(name, args, kwargs)
    result = _on_cpu(operator, name, args, kwargs, device)
    return _handed_back(operator, args, kwargs, result, device)


def _emulated(value):
    """Return a tensor that torch made on the device behind our back, by torch.tensor(…, device=…) say, as one of ours."""
    if isinstance(value, Tensor) and value.device.type == "cuda" and not isinstance(value, EmulatedTensor):
        RECORD.copy("cpu to cuda")
        RECORD.wait("blocking copy to the device from pageable memory")
        return EmulatedTensor(value.cpu(), value.device)
    return value


def _device_of_result(name: str, args: tuple, kwargs: dict, meeting: Meeting) -> torch.device:
    requested = kwargs.get("device")
    if requested is not None:
        device = torch.device(requested)
        return torch.device("cuda", torch.cuda.current_device()) if device.type == "cuda" and device.index is None else device
    if name == "copy_":
        return args[0].device
    return meeting.own[0].device if meeting.own else _CPU


def _on_cpu(operator, name: str, args: tuple, kwargs: dict, device: torch.device):
    """Compute the result with the tensors' numbers on the CPU."""

    def inner(value):
        if isinstance(value, EmulatedTensor):
            return value.values_on_cpu
        if isinstance(value, torch.Generator):
            return generator_on(device, value)
        return _CPU if isinstance(value, torch.device) and value.type == "cuda" else value

    args, kwargs = tree_map(inner, (args, kwargs))
    if device.type == "cuda":
        kwargs.pop("pin_memory", None)
    if name == "_to_copy":
        kwargs.pop("non_blocking", None)
    function = KERNELS.get(operator.name(), operator)
    result = function(*with_rounded_factors(name, args), **kwargs)
    if name == "_to_copy" and result.numel() and result.data_ptr() == args[0].data_ptr():
        result = result.clone()  # between devices there is always a copy
    return result


def _handed_back(operator, args: tuple, kwargs: dict, result, device: torch.device):
    """Return results as tensors of `device`; what an operator in place changed is the tensor that it was given."""
    if torch.Tag.inplace_view in operator.tags:
        with no_dispatch():
            operator(*args, **kwargs)  # the shape that the outer tensor shows
    given = {}
    for i, spec in enumerate(operator._schema.arguments):
        value = args[i] if i < len(args) else kwargs.get(spec.name)
        if spec.alias_info is not None and spec.alias_info.is_write and value is not None:
            given[frozenset(spec.alias_info.before_set)] = value
            for tensor in value if isinstance(value, list | tuple) else [value]:
                if isinstance(tensor, EmulatedTensor) and tensor.shape != tensor.values_on_cpu.shape:
                    raise RuntimeError(f"the emulated device cannot change a tensor's shape in place ({operator})")

    def back(value):
        foreign = isinstance(value, Tensor) and not isinstance(value, EmulatedTensor) and value.device == _CPU
        return EmulatedTensor(value, device) if foreign and device.type == "cuda" else value

    returns = operator._schema.returns
    if len(returns) == 1:
        written = returns[0].alias_info
        return given[frozenset(written.before_set)] if written is not None and written.is_write else tree_map(back, result)
    if not returns:
        return None
    return tuple(
        given[frozenset(spec.alias_info.before_set)] if spec.alias_info is not None and spec.alias_info.is_write else tree_map(back, value)
        for spec, value in zip(returns, result, strict=True)
    )


class _Mode(TorchDispatchMode):
    """Hands over what has no emulated tensor among its arguments: tensors made on the device, and copies to it."""

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        return call(operator, args, kwargs or {})


_modes: list[_Mode] = []


def started() -> bool:
    """Return whether the device is emulated in this process."""
    return bool(_modes)


def start() -> None:
    """Emulate the device from here on to the end of the process. Raises RuntimeError where the runtime was not preloaded."""
    if not torch.cuda.is_available() or torch.cuda.get_device_name(0) != "emulated device":
        raise RuntimeError("the emulated CUDA runtime is not preloaded; tests/cuda/run.py does it")
    torch.cuda.init()
    patch_torch()
    _modes.append(_Mode())
    _modes[0].__enter__()
