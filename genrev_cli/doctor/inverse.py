"""Checks that decoding gives back what was encoded."""

import torch

from genrev_cli.doctor.finding import Outcome, info, verdict
from genrev_cli.doctor.subject import Subject
from genrev_cli.scoring.exactness import Exactness
from genrev_cli.shapes import to_float
from genrev_cli.training.guard import WARN

BITS = 16
"""K of the grid of 2^−K, unless the checkpoint has its own."""


@torch.no_grad()
def round_trip(subject: Subject, *, precision: str) -> Outcome:
    """Compare x with decode(encode(x)). The largest difference has a limit in fp32; in other precisions it is only reported."""
    model, x = subject.network(), subject.x(subject.few)
    with subject.computing(precision):
        error = (model.decode(model.encode(x)).float() - x).abs()
    largest, mean = error.max().item(), error.mean().item()
    numbers = {"largest": largest, "mean": mean, "limit": WARN if precision == "fp32" else None}
    own = ", the checkpoint's own precision" if precision == subject.precision != "fp32" else ""
    detail = f"largest error {largest:.1e}, mean {mean:.1e}{own}"
    if precision != "fp32":
        return info(f"{detail}; nothing is promised", numbers)
    return verdict(largest <= WARN, f"{detail}; limit {WARN:g}", numbers)


@torch.no_grad()
def exact_bits(subject: Subject, *, precision: str) -> Outcome:
    """Encode and decode with --exact-bits in two batch sizes: every value must come back, and encoding again must give equal codes."""
    bits = subject.bits or BITS
    model = subject.network(bits=bits)
    verify, changed, sizes = Exactness(model), 0, sorted({subject.few, max(subject.few // 2, 1)})
    with subject.computing(precision):
        for size in sizes:
            pixels = subject.pixels(size)
            x = to_float(pixels)
            z = model.encode(x)
            verify.add(pixels, x, model.decode(z))
            changed += int((model.encode(x) != z).sum())
    found = verify.numbers()
    numbers = {**found, "codes_changed": changed, "batches": sizes}
    if found["largest_stream"] >= found["exact_range"]:
        detail = f"a stream reaches {found['largest_stream']:.3g}, but the range of {bits} bits is {found['exact_range']:.3g}"
        return verdict(False, detail, numbers) if subject.bits else info(f"{detail}; a smaller --exact-bits has a wider range", numbers)
    kept = not (found["exact_error"] or verify.pixels or changed)
    if kept:
        return verdict(True, f"{bits} bits: every value came back, in batches of {' and '.join(map(str, sizes))}", numbers)
    detail = f"{bits} bits: {verify.pixels} pixels differ, by up to {found['exact_error']:.1e}; {changed} codes differ on a second run"
    return verdict(False, detail, numbers)
