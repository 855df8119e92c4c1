"""The extended semi-discrete transport map as a distribution: x uniform in the cube, y = T̃(x) (An et al. 2020; D4, D5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from genrev_cli.errors import UsageError
from genrev_cli.latents.distribution import Distribution
from genrev_cli.ot.extension import RULES, Extended, extend, normals
from genrev_cli.shapes import Codes

_TRIES = 1000  # draws of x for one code, where the rule rejects some


@dataclass(frozen=True)
class TransportMapConfig:
    """dim: d. sizes: the number of codes of each map, one for all classes or one per class; theta: the angle of each, in radians.

    rule, neighbours, drop: how cells are joined, see `extend`. conditional: the maps are those of the classes 0, 1, ….
    """

    dim: int
    sizes: tuple[int, ...]
    theta: tuple[float, ...]
    rule: str = "barycentric"
    neighbours: int = 20
    drop: bool = False
    conditional: bool = False


@final
class TransportMap(Distribution):
    """y = T̃(x), x ~ U[−½, ½]^d, for one map of all codes, or for one per class, of which a class is drawn by its share first.

    codes, centres (n, d), heights, weight (n,): those of all maps one after the other; weight sums to 1 over all.
    """

    def __init__(
        self,
        dim: int,
        sizes: Sequence[int],
        theta: Sequence[float],
        rule: str = "barycentric",
        neighbours: int = 20,
        drop: bool = False,
        conditional: bool = False,
    ) -> None:
        super().__init__()
        if dim < 1 or not sizes or min(sizes) < 1 or len(sizes) != len(theta) or (len(sizes) > 1 and not conditional):
            raise UsageError(f"[sampler]: dim = {dim}, sizes = {list(sizes)}, theta = {list(theta)} describe no maps")
        if rule not in RULES or neighbours < 1 or not min(theta) >= 0:
            raise UsageError(f"[sampler]: rule = {rule!r}, neighbours = {neighbours}, theta = {list(theta)}: there is {', '.join(RULES)}")
        self.sizes, self.theta = tuple(sizes), tuple(theta)
        self.dim, self.rule, self.neighbours, self.drop = dim, rule, neighbours, drop
        self.classes = len(sizes) if conditional else 0
        self.config = {
            "name": "ot", "dim": dim, "sizes": list(sizes), "theta": list(theta), "rule": rule, "neighbours": neighbours, "drop": drop,
            "conditional": conditional,
        }  # fmt: skip
        n = sum(sizes)
        self.register_buffer("codes", torch.zeros(n, dim))
        self.register_buffer("centres", torch.zeros(n, dim))
        self.register_buffer("heights", torch.zeros(n))
        self.register_buffer("weight", torch.full((n,), 1 / n))

    def sample(self, n: int, generator: torch.Generator, temperature: float = 1.0) -> Codes:
        """Raises UsageError for another temperature than 1: the map has no width to scale."""
        return self._drawn([generator] * n, temperature)

    def sample_each(self, generators: Sequence[torch.Generator], temperature: float = 1.0) -> Codes:
        return self._drawn(generators, temperature)

    def _drawn(self, generators: Sequence[torch.Generator], temperature: float) -> Codes:
        if temperature != 1:
            raise UsageError(f"--temperature {temperature:g}: an OT map has no width to scale; leave it out")
        share = torch.stack([part.sum() for part in self.weight.split(self.sizes)])
        maps = torch.cat([torch.multinomial(share, 1, generator=generator) for generator in generators])
        codes = self.codes.new_empty(len(generators), self.dim)
        for number in maps.unique().tolist():
            waiting = (maps == number).nonzero().squeeze(1)
            for _ in range(_TRIES):
                x = torch.cat([self._uniform(generators[i]) for i in waiting.tolist()])
                made = self._extended(number, x)
                codes[waiting[made.kept]] = made.codes[made.kept]
                waiting = waiting[~made.kept]
                if not len(waiting):
                    break
            else:
                raise UsageError(
                    f"the map rejects all of {_TRIES} draws: theta = {self.theta[number]:.3g} joins no cells; fit it with a larger one"
                )
        return codes

    def _uniform(self, generator: torch.Generator) -> Tensor:
        return torch.rand(1, self.dim, generator=generator, device=generator.device) - 0.5

    def _part(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Codes, heights and centres of one map."""
        return tuple(tensor.split(self.sizes)[number] for tensor in (self.codes, self.heights, self.centres))

    def _extended(self, number: int, x: Codes) -> Extended:
        codes, heights, centres = self._part(number)
        return extend(
            x, codes, heights, centres, normals(codes), theta=self.theta[number], k=self.neighbours, rule=self.rule, drop=self.drop
        )

    def moments(self) -> tuple[Codes, Codes]:
        """Of the codes that the map was fitted to."""
        mean = self.weight @ self.codes
        return mean, (self.weight @ (self.codes - mean).square()).sqrt()

    def given(self, label: int) -> "TransportMap":
        """The map of one class."""
        self.require_class(label)
        settings = {name: self.config[name] for name in ("dim", "rule", "neighbours", "drop")}
        one = TransportMap(sizes=self.sizes[label : label + 1], theta=self.theta[label : label + 1], **settings)
        one.to(self.codes.device)
        for name in ("codes", "heights", "centres", "weight"):
            part = getattr(self, name).split(self.sizes)[label]
            getattr(one, name).copy_(part / part.sum() if name == "weight" else part)
        return one

    def between(self, a: Codes, b: Codes, t: Tensor) -> Codes:
        """T̃ along the straight line in the cube from the cell of the code nearest to a to that of the one nearest to b.

        (d,), (d,), (n,) → (n, d): every point is where the map puts samples, so that a path jumps between modes and never crosses a gap.
        Raises UsageError where the two belong to the maps of different classes.
        """
        ends = [int((self.codes - end).square().sum(1).argmin()) for end in (a, b)]
        starts = [0, *torch.tensor(self.sizes).cumsum(0).tolist()]
        number, other = (max(i for i, start in enumerate(starts[:-1]) if start <= end) for end in ends)
        if number != other:
            raise UsageError(
                f"the ends are of the classes {number} and {other}, whose maps have no path between them; take a map of all classes"
            )
        c_a, c_b = (self.centres[end] for end in ends)
        return self._extended(number, torch.lerp(c_a, c_b, t[:, None])).codes
