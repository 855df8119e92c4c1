"""Checks of optimal transport: drawing codes from a map, and the kernels that fit one."""

from collections.abc import Callable
from functools import partial

import torch

from genrev_cli.bench.harness import timed
from genrev_cli.doctor.finding import Outcome, info
from genrev_cli.doctor.subject import Subject
from genrev_cli.latents.transport import TransportMap
from genrev_cli.ot.scores import build_scores, centred
from genrev_cli.seeds import derive
from genrev_cli.settings.sampling import Draw
from genrev_cli.store.drawing import Drawing
from genrev_cli.training.devices import has_bf16

CODES, DIM = 60_000, 32
"""The size of the map: as many codes as MNIST has images."""
ANGLE = 0.9
BLOCK, PER_STEP = 64, 96
"""Number of codes in a block of genrev sample, and in a step of train-gan."""
LEAST_SECONDS, MOST_CODES = 0.2, 16_384
"""Draw for at least this many seconds, but not more than this many codes."""
SAMPLES = {"cuda": 4096, "cpu": 256}
EPSILON = 0.05
PER_CODE = 200
"""Default maximum of samples per code in fit-ot."""


def codes_of_map(subject: Subject) -> Outcome:
    """Measure codes per second as genrev sample --ot draws them, and milliseconds for the codes of a train-gan step."""
    drawn = _map().to(subject.device)
    generator = torch.Generator(subject.device)

    def draw(n: int) -> None:
        blocks = [range(first, first + BLOCK) for first in range(0, n, BLOCK)]
        source = Drawing(drawn, Draw(), subject.device, blocks)
        for numbers in blocks:
            source.codes(numbers)

    step = lambda: drawn.sample(PER_STEP, generator.manual_seed(1))  # noqa: E731
    draw(BLOCK)  # the first calls load libraries
    step()
    speed, ms = _speed(draw), 1e3 * timed(step)[0]
    numbers = {"codes_per_second": speed, "ms_per_step": ms, "codes": CODES, "dim": DIM}
    return info(f"{speed:,.0f} codes/s from a map of {CODES:,} codes × {DIM}; {ms:.1f} ms for the {PER_STEP} of a train-gan step", numbers)


def _speed(draw: Callable[[int], object]) -> float:
    """Return codes per second, measured over enough blocks for the clock."""
    n = BLOCK
    while (seconds := timed(partial(draw, n))[0]) < LEAST_SECONDS and n < MOST_CODES:
        n *= 4
    return n / seconds


def _map() -> TransportMap:
    """Return a map of random codes that keeps every draw."""
    generator = torch.Generator().manual_seed(derive(0, "doctor", "map"))
    drawn = TransportMap(DIM, [CODES], [ANGLE])
    codes, heights = torch.randn(CODES, DIM, generator=generator), 0.1 * torch.randn(CODES, generator=generator)
    centres = torch.rand(CODES, DIM, generator=generator) - 0.5
    drawn.load_state_dict({"codes": codes, "centres": centres, "heights": heights, "weight": torch.full((CODES,), 1 / CODES)})
    return drawn


def fit_kernels(subject: Subject) -> Outcome:
    """Measure samples per second of the kernel of fit-ot."""
    generator = torch.Generator().manual_seed(derive(0, "doctor", "codes"))
    codes = torch.randn(CODES, DIM, generator=generator).to(subject.device)
    x = (torch.rand(SAMPLES[subject.device.type], DIM, generator=generator) - 0.5).to(subject.device)
    numbers = {}
    for precision in ("fp32", "bf16") if has_bf16(subject.device) else ("fp32",):
        scores = build_scores(centred(codes), precision).lift(torch.zeros(CODES, dtype=torch.float64, device=subject.device))
        run = partial(scores.soft_counts, x, EPSILON)
        run()
        numbers[precision] = len(x) / timed(run)[0]
    speeds = " and ".join(f"{speed:,.0f} samples/s in {precision}" for precision, speed in numbers.items())
    minutes = PER_CODE * CODES / max(numbers.values()) / 60
    return info(f"{speeds}; {PER_CODE} for each of {CODES:,} codes would take {minutes:.1f} minutes", numbers)
