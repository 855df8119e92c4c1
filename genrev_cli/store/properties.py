"""Properties of codes: the classes and attributes that their images have."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from genrev_cli.errors import UsageError
from genrev_cli.files.codes import CodeFile
from genrev_cli.seeds import derive
from genrev_cli.store.class_names import class_names


@dataclass(frozen=True)
class Property:
    """A class, against all others, or an attribute. source: 'class' or 'attribute'. sides: (N,) int8: 1 has, 0 has not, −1 not known."""

    name: str
    source: str
    sides: np.ndarray


def properties_of(codes: CodeFile, wanted: Sequence[str] = ()) -> list[Property]:
    """Return the classes of codes, each against all others, and their attributes. wanted: only these, in this order; () takes all.

    An attribute that is called like a class gets 'attribute ' before its name. Raises UsageError for a name that there is not.
    """
    present = np.unique(codes.labels[codes.labels >= 0])
    names = labelled(codes)
    classes = [Property(names[label], "class", _sides(codes.labels, label)) for label in present]
    found = classes if len(present) > 1 else []
    taken = {one.name for one in found}
    for name, values in zip(codes.attribute_names, codes.attributes.T, strict=True):
        found.append(Property(f"attribute {name}" if name in taken else name, "attribute", values))
    if not wanted:
        return found
    by_name = {one.name: one for one in found}
    if unknown := [name for name in wanted if name not in by_name]:
        known = ", ".join(list(by_name)[:20]) + (f", … ({len(by_name)} in all)" if len(by_name) > 20 else "")
        raise UsageError(f"--of {unknown[0]}: {codes.path} has no such class or attribute; it has {known or 'none'}")
    return [by_name[name] for name in wanted]


def labelled(codes: CodeFile) -> dict[int, str]:
    """Return label → name of its class, as the header of the images has it; the number itself where it has none."""
    names = class_names(codes.header)
    return {int(label): names[label] if label < len(names) else str(label) for label in np.unique(codes.labels) if label >= 0}


def _sides(labels: np.ndarray, label: int) -> np.ndarray:
    return np.where(labels < 0, -1, labels == label).astype(np.int8)


def held_out(n: int, share: float, seed: int) -> np.ndarray:
    """Return which of n codes are held out, (n,) bool: `share` of them, the same ones for the same seed."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(derive(seed, "held-out"))).numpy()
    chosen = np.zeros(n, bool)
    chosen[order[: round(share * n)]] = True
    return chosen
