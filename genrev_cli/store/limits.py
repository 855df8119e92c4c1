"""A limit to what the header of a file makes a program build."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from genrev_cli.errors import FileError

_SPARE = 64
"""Parameters beyond those in the file that a module may register while it is built, and drop or share."""


@contextmanager
def no_more_than(tensors: int) -> Iterator[None]:
    """Raise FileError as soon as the modules that are built within the block have many more parameters than a file has `tensors`.

    A header of some kilobytes can describe a network of a million layers, and it takes minutes to build one, even without memory.
    """
    thread, count = threading.get_ident(), 0

    def registered(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        nonlocal count
        if threading.get_ident() == thread and parameter is not None:
            count += 1
            if count > 2 * tensors + _SPARE:
                raise FileError(f"it describes more weights than the {tensors} tensors that the file has")

    handle = register_module_parameter_registration_hook(registered)
    try:
        yield
    finally:
        handle.remove()
