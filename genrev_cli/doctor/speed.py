"""Checks of speed: training steps, samples, and whether the host waits for the device."""

import time
import warnings
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import TypeVar

import torch

from genrev_cli.bench.harness import synchronize
from genrev_cli.bench.sample_images import own
from genrev_cli.bench.saved import saved_bytes
from genrev_cli.bench.training_step import Network, loss_of
from genrev_cli.doctor.finding import Numbers, Outcome, info, verdict
from genrev_cli.doctor.subject import Subject
from genrev_cli.errors import lacks_memory
from genrev_cli.methods.reconstruction import Reconstruction
from genrev_cli.training.batches import Batches

ROUNDS = {"cuda": 10, "cpu": 3}
MOST_SECONDS = 10.0
"""No new round starts after this many seconds."""

Measured = TypeVar("Measured")


def training_step(subject: Subject, *, precision: str, memory: str) -> Outcome:
    """Measure a step of pretrain-recon: images per second, memory, and on CUDA how long the host is busy."""
    batch, numbers = fitting(subject, lambda batch: _step(subject, batch, precision, memory))
    detail = f"{numbers['images_per_second']:,.0f} images/s, {numbers['ms_per_step']:.1f} ms for {batch} images, {_memory(numbers)}"
    if subject.cuda:
        detail += f", host busy for {numbers['host_ms']:.1f} ms ({100 * numbers['host_ms'] / numbers['ms_per_step']:.0f}%)"
    return info(detail + (f"; {subject.batch} images do not fit" if batch < subject.batch else ""), {"batch": batch, **numbers})


def _memory(numbers: Numbers) -> str:
    """Return the memory of a step, for the line."""
    return f"peak {numbers['peak_mb']:,.0f} MB" if "peak_mb" in numbers else f"{numbers['kept_mb']:,.1f} MB kept for the backward pass"


def fitting(subject: Subject, measure: Callable[[int], Measured]) -> tuple[int, Measured]:
    """Return the largest of batch, batch / 2, batch / 4, … that fits into memory, and the measurement with it."""
    batch = subject.batch
    while True:
        try:
            return batch, measure(batch)
        except (RuntimeError, MemoryError) as error:
            if batch == 1 or not lacks_memory(error):
                raise
        batch //= 2
        if subject.cuda:
            torch.cuda.empty_cache()


def _step(subject: Subject, batch: int, precision: str, memory: str) -> Numbers:
    """Return time and memory of a training step in a precision and --memory mode."""
    with subject.switched(precision):
        method = subject.reconstruction(precision, memory)
        step = partial(subject.stepper(method, batch), 1)
        if subject.cuda:
            torch.cuda.reset_peak_memory_stats(subject.device)
        first, _ = clocked(step)
        times = rounds(lambda: clocked(step), ROUNDS[subject.device.type])
        seconds, host = (median(column) for column in zip(*times, strict=True))
        kept = {"peak_mb": torch.cuda.max_memory_allocated(subject.device) / 1e6} if subject.cuda else _kept(subject, method, batch)
    speed = {"images_per_second": batch / seconds, "ms_per_step": 1e3 * seconds, "host_ms": 1e3 * host, "first_step_s": first}
    return {**speed, **kept}


def _kept(subject: Subject, method: Reconstruction, batch: int) -> Numbers:
    """Return the memory that autograd keeps for the backward pass, because a CPU does not count its peak."""
    model = method.autoencoder
    problem = subject.problem(model, batch)
    with method.autocast():
        return {"kept_mb": saved_bytes(partial(loss_of, problem, Network(model.encode, model.decode)), problem.parameters) / 1e6}


def rounds(measure: Callable[[], Measured], most: int) -> list[Measured]:
    """Measure up to `most` times, until MOST_SECONDS are over, and return all results."""
    began, found = time.monotonic(), [measure()]
    while len(found) < most and time.monotonic() - began < MOST_SECONDS:
        found.append(measure())
    return found


def clocked(run: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds until the device has finished `run`, and the seconds until `run` returns, during which the host is busy."""
    synchronize()
    began = time.perf_counter()
    run()
    host = time.perf_counter() - began
    synchronize()
    return time.perf_counter() - began, host


def sampling(subject: Subject, *, precision: str) -> Outcome:
    """Measure images per second from codes of the prior to pixels, as genrev sample makes them."""
    model, prior, bf16 = subject.network(), subject.prior(), precision == "bf16"
    with subject.switched(precision):

        def measure(batch: int) -> float:
            run = own(model, prior, 2 * batch, batch, device=subject.device, bf16=bf16)
            run()
            return median(seconds for seconds, _ in rounds(lambda: clocked(run), ROUNDS["cpu"]))

        batch, seconds = fitting(subject, measure)
    speed = 2 * batch / seconds
    return info(f"{speed:,.0f} images/s in batches of {batch}, without writing them", {"images_per_second": speed, "batch": batch})


def no_waits(subject: Subject) -> Outcome:
    """Load a batch and take a training step while torch raises an error whenever the host waits for the device."""
    batches = Batches(subject.images, "train", batch=subject.few, seed=0, device=subject.device, resident_megabytes=4096)
    step = subject.stepper(subject.reconstruction(), subject.few)
    acts: dict[str, Callable[[int], object]] = {"a batch": batches, "a step": step}
    waits = {}
    for number, (name, act) in enumerate(acts.items()):
        act(number)  # the first call loads and plans, and may wait
        if found := _waiting(partial(act, number + 1)):
            waits[name] = found
    batches.close()
    said = "; ".join(f"{name} waits ({reason})" for name, reason in waits.items())
    return verdict(not waits, said or "neither a resident batch nor a step makes the host wait", {"waits": len(waits)})


def _waiting(run: Callable[[], object]) -> str:
    """Return torch's message about the first wait in `run`, '' if there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that it may miss some waits
        torch.cuda.set_sync_debug_mode("error")
    try:
        run()
    except RuntimeError as error:
        return str(error).partition("\n")[0]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return ""
