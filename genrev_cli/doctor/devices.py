"""Checks of the device itself."""

import torch

from genrev_cli.doctor.finding import Outcome, info, verdict
from genrev_cli.doctor.subject import Subject
from genrev_cli.training.devices import has_bf16, resolve_device


def device_words(subject: Subject) -> Outcome:
    """Resolve every word that --device accepts here. On CUDA each must give a device with an index."""
    if torch.cuda.is_available():
        torch.cuda.set_device(0)  # the device that is current in a new process
    words = dict.fromkeys(["auto", subject.word, *(["cuda"] if torch.cuda.is_available() else []), "cpu"])
    try:
        found = {word: resolve_device(word) for word in words}
    finally:
        resolve_device(subject.word)  # resolving a device makes it the current one
    complete = all(device.type == "cpu" or device.index is not None for device in found.values())
    return verdict(complete, ", ".join(f"{word} → {device}" for word, device in found.items()), {w: str(d) for w, d in found.items()})


def bf16_support(subject: Subject) -> Outcome:
    """Report whether the device multiplies bfloat16 in hardware."""
    there = has_bf16(subject.device)
    return info("in hardware" if there else "emulated, and slower than fp32; do not pass --precision bf16 here", {"hardware": there})
