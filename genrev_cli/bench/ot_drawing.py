"""Time drawing codes from a transport map: one by one, and as `genrev sample --ot` does."""

import copy
from collections.abc import Callable
from statistics import median

import torch

from genrev_cli.bench.harness import Table, Variant, alternate, compared
from genrev_cli.bench.training_step import deviation
from genrev_cli.latents.streams import uniforms
from genrev_cli.latents.transport import TransportMap
from genrev_cli.ot.extension import Extension
from genrev_cli.ot.scores import build_scores, centred
from genrev_cli.progress import Progress
from genrev_cli.seeds import derive
from genrev_cli.settings.bench import BenchOptions
from genrev_cli.settings.sampling import Draw
from genrev_cli.shapes import Codes
from genrev_cli.store.drawing import Drawing

BATCH = 64
CODES = 512
SIZES = ((60_000, 32), (160_000, 128))
THETA = 0.9
EQUAL = 1e-2  # in float32, two scores that are equal up to rounding may swap places


def drawing(options: BenchOptions, device: torch.device, progress: Progress) -> list[Table]:
    """Measure codes per second from maps with random codes, heights and centres."""
    sizes, codes, batch = (((2000, 8),), 12, 5) if options.quick else (SIZES, CODES, BATCH)
    return [_table(random_map(n, dim).to(device), codes, batch, options, progress=progress) for n, dim in sizes]


def random_map(n: int, dim: int) -> TransportMap:
    """Return a map with codes from N(0, 1), centres uniform in the cube and heights from N(0, 0.1²)."""
    sampler, generator = TransportMap(dim, [n], [THETA]), torch.Generator().manual_seed(derive(0, "bench-map", n, dim))
    sampler.codes.normal_(generator=generator)
    sampler.centres.uniform_(-0.5, 0.5, generator=generator)
    sampler.heights.normal_(std=0.1, generator=generator)
    return sampler


def _table(sampler: TransportMap, n: int, batch: int, options: BenchOptions, *, progress: Progress) -> Table:
    device = sampler.codes.device
    variants = [Variant("one by one", one_by_one(sampler, n, batch)), Variant("genrev", own(sampler, n, batch))]
    title = f"{n} codes of a map of {len(sampler.codes)} codes in {sampler.dim} dimensions, in batches of {batch} on {device.type}"
    timings = alternate(variants, options.rounds, title, progress)
    rows = compared(timings, lambda codes: deviation([codes], [timings[0].result]))
    assert rows[1]["error"] < EQUAL, "the two variants do not draw the same codes"
    for row, timing in zip(rows, timings, strict=True):
        row |= {"codes_per_second": n / row["seconds"], "codes_per_cpu_second": n / median(timing.cpu_seconds)}
    notes = (
        "one by one: a copy on the CPU for each batch, a generator for each code, and torch.topk over all scores",
        "the numbers of these generators are replaced, so that both variants draw the same codes; both use today's computation of weights",
    )
    return Table(title, rows, notes)


def one_by_one(sampler: TransportMap, n: int, batch: int) -> Callable[[], Codes]:
    """Return a run that copies the map for each batch and makes a generator for each code."""

    def block(first: int) -> Codes:
        home = copy.deepcopy(sampler).cpu()
        numbers = range(first, min(first + batch, n))
        for number in numbers:
            generator = torch.Generator().manual_seed(derive(0, "sample", number))
            torch.multinomial(home.weight.sum()[None], 1, generator=generator)
            torch.rand(1, home.dim, generator=generator)
        x = uniforms(derive(0, "sample", "map", 0), numbers, 1 + home.dim)[:, 1:] - 0.5
        scores = build_scores(centred(home.codes)).lift(home.heights - home.heights.mean())
        full = torch.cat([x.float(), x.new_zeros(-len(x) % scores.rows, home.dim, dtype=torch.float32)])
        indices = scores.top(full, home.neighbours)[1][: len(x)]
        extension = Extension(home.codes, home.heights, home.centres, theta=home.theta[0], k=home.neighbours, rule=home.rule)
        return extension.among(x, indices).codes.to(sampler.codes.device)

    return lambda: torch.cat([block(first) for first in range(0, n, batch)])


def own(sampler: TransportMap, n: int, batch: int) -> Callable[[], Codes]:
    """Return a run that draws as `genrev sample` does."""
    blocks = [range(first, min(first + batch, n)) for first in range(0, n, batch)]

    def run() -> Codes:
        source = Drawing(sampler, Draw(), sampler.codes.device, blocks)
        return torch.cat([source.codes(numbers) for numbers in blocks])

    return run
