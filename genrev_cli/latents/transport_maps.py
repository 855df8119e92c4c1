"""Turn solved heights into a transport map: mass centres, the bound θ or ε, and statistics of the map (An et al. 2020, section 3.2)."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from genrev_cli.errors import UsageError
from genrev_cli.latents.transport import TransportMap
from genrev_cli.ot.angles import auto_theta, neighbour_angles
from genrev_cli.ot.cells import mass_centres
from genrev_cli.ot.edges import auto_epsilon, neighbour_edges
from genrev_cli.ot.extension import Extension, statistics
from genrev_cli.ot.semidiscrete import Solver
from genrev_cli.ot.source import Cube, Ranks
from genrev_cli.settings.transport_map import EDGE, FitOtOptions
from genrev_cli.shapes import Codes

CENTRES_PER_CODE, LEAST_CENTRES = 20, 100_000
"""Numbers of samples that measure the mass centres: per code, and at least."""
ANGLES = 20_000
"""Number of samples that measure the angles between cells and the statistics of the map."""


@dataclass(frozen=True)
class MeasuredMap:
    """One map. codes, centres (n, d), heights, weight (n,). bound: θ, or ε of an edge complex. statistics: see `extension.statistics`."""

    codes: Codes
    heights: Tensor
    centres: Codes
    weight: Tensor
    _: KW_ONLY
    bound: float
    statistics: dict[str, float]


def measure_map(solver: Solver, options: FitOtOptions, seed: int, *, precision: str, ranks: Ranks) -> MeasuredMap:
    """Measure the map of a solver's heights, and its bound where the options say 'auto'. precision: of the scores that measure the centres.

    Raises UsageError when the rule would reject every sample.
    """
    target, heights = solver.target, solver.heights()
    n, dim = target.codes.shape
    samples = max(LEAST_CENTRES, CENTRES_PER_CODE * n)
    centres = mass_centres(
        target.codes, heights, samples=samples, seed=seed, precision=precision, source=options.source, ranks=ranks, search=solver.search
    )
    if options.source != "cube":
        return MeasuredMap(target.codes, heights.float(), centres, target.weights.float(), bound=0.0, statistics={})
    x = Cube(dim, target.codes.device, seed, "ot-angles").batch(0, ANGLES)
    by_edge = options.complex == EDGE
    measure, choose = (neighbour_edges, auto_epsilon) if by_edge else (neighbour_angles, auto_theta)
    measured, bound = measure(x, target.codes, heights, k=options.neighbours), options.bound()
    bound = choose(measured) if bound is None else bound
    settings: dict[str, Any] = {options.bound_name: bound, "k": options.neighbours, "rule": options.rule, "drop": options.drop}
    found = statistics(Extension(target.codes, heights, centres, **settings)(x), measured, "edge" if by_edge else "angle")
    if not found["kept"]:
        raise UsageError(
            f"--rule {options.rule}: no cell of a map of {n} codes has a neighbour within {options.bound_name} = {bound:.3g}, so every "
            f"sample would be rejected; use a larger --{options.bound_name}, more --neighbours, or --keep"
        )
    return MeasuredMap(target.codes, heights.float(), centres, target.weights.float(), bound=bound, statistics=found)


def assemble(parts: Sequence[MeasuredMap], shares: Tensor, options: FitOtOptions) -> TransportMap:
    """Return the sampler of one map, or of one map per class. shares (K,): those of the classes, with sum 1."""
    sampler = TransportMap(
        parts[0].codes.shape[1],
        [len(part.codes) for part in parts],
        **{"theta": (), options.bound_name: [part.bound for part in parts]},
        rule=options.joins,
        neighbours=options.neighbours,
        drop=options.drop,
        conditional=options.per_class,
        source=options.source,
    )
    for name in ("codes", "heights", "centres"):
        getattr(sampler, name).copy_(torch.cat([getattr(part, name) for part in parts]))
    sampler.weight.copy_(torch.cat([share * part.weight.cpu() for part, share in zip(parts, shares, strict=True)]))
    return sampler


def averaged(found: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the statistics of several maps, averaged over the maps."""
    return {name: fmean(one[name] for one in found) for name in found[0]}
