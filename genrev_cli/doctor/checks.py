"""All checks, the most important first. To add one, write a function of the subject and a line here."""

from functools import partial

from genrev_cli.doctor.codes import codes_of_map, fit_kernels
from genrev_cli.doctor.devices import bf16_support, device_words
from genrev_cli.doctor.finding import Check
from genrev_cli.doctor.inverse import exact_bits, round_trip
from genrev_cli.doctor.nccl import nccl
from genrev_cli.doctor.speed import no_waits, sampling, training_step
from genrev_cli.doctor.storage import png_writing, streamed
from genrev_cli.doctor.training import determinism, resume, reversible_gradients
from genrev_cli.doctor.weights import inception_weights
from genrev_cli.precision import PRECISIONS

CHECKS: tuple[Check, ...] = (
    Check("device words", device_words),
    *(Check(f"round trip, {name}", partial(round_trip, precision=name), 0.5, ("inverse", name), few=1) for name in PRECISIONS),
    *(Check(f"exact bits, {name}", partial(exact_bits, precision=name), 0.5, ("grid", name), few=1) for name in PRECISIONS),
    Check("reversible gradients", reversible_gradients, needs=("inverse",), few=3),
    Check("same run twice", determinism, needs=("encoder",), few=10),
    Check("resume", resume, 4),
    Check("bf16", bf16_support, 0.1),
    Check("no waits in a step", no_waits, needs=("cuda", "encoder"), few=4),
    *(
        Check(f"train, {name}, {memory}", partial(training_step, precision=name, memory=memory), 1, (need, name), full=5)
        for name in PRECISIONS
        for memory, need in (("plain", "encoder"), ("reversible", "inverse"))
    ),
    *(Check(f"sample, {name}", partial(sampling, precision=name), needs=(name,), full=2) for name in PRECISIONS),
    Check("streamed images", streamed, 3),
    Check("codes of a transport map", codes_of_map, 6),
    Check("fit-ot kernels", fit_kernels, 3),
    Check("Inception weights", inception_weights),
    Check("NCCL", nccl, 20, ("cuda",)),
    Check("PNG writing", png_writing, 2),
)
"""All checks, in the order in which they run."""
