"""Counts operators and the memory that they allocate. The numbers depend on torch's version and on nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from genrev_cli.training import loop


@dataclass(frozen=True)
class Work:
    """operators: calls. allocations, bytes: number and size of the storages that operators returned and had not been given."""

    operators: int = 0
    allocations: int = 0
    bytes: int = 0

    def __sub__(self, other: "Work") -> "Work":
        return Work(self.operators - other.operators, self.allocations - other.allocations, self.bytes - other.bytes)


class Counter(TorchDispatchMode):
    """Counts all that this thread does within the block, backward passes included."""

    def __init__(self) -> None:
        super().__init__()
        self.done = Work()

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = operator(*args, **kwargs)
        given = {id_of(tensor) for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, torch.Tensor)}
        made = {id_of(tensor): tensor for tensor in tree_leaves(result) if isinstance(tensor, torch.Tensor)}
        new = [tensor.untyped_storage().nbytes() for key, tensor in made.items() if key not in given]
        self.done = Work(self.done.operators + 1, self.done.allocations + len(new), self.done.bytes + sum(new))
        return result


def id_of(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage()._cdata


def counted(call) -> Work:
    """Return what a call does after an equal call, which fills caches."""
    call()
    with Counter() as counter:
        call()
    return counter.done


@contextmanager
def steps_of_training(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Work]]:
    """Yield a list that gets what each training step within the block does, from the end of the step before; the first has the setup."""
    steps: list[Work] = []
    seen = [Work()]
    add = loop.Window.add

    def mark(self, scalars):
        steps.append(counter.done - seen[0])
        seen[0] = counter.done
        add(self, scalars)

    with monkeypatch.context() as patch, Counter() as counter:
        patch.setattr(loop.Window, "add", mark)
        yield steps
