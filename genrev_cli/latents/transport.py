"""The semi-discrete transport map as a distribution: x from its source, y = T̃(x) (An et al. 2020, section 3.2)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from genrev_cli.errors import UsageError
from genrev_cli.latents.distribution import Distribution
from genrev_cli.latents.streams import normal, uniforms
from genrev_cli.ot.extension import RULES, Extension
from genrev_cli.seeds import derive
from genrev_cli.settings.transport_map import SOURCES
from genrev_cli.shapes import Codes

_TRIES = 1000  # draws of x for one code, for rules that reject some


@dataclass(frozen=True, kw_only=True)
class TransportMapConfig:
    """dim: d. sizes: number of codes of each map; there is one map for all classes, or one per class. theta: angle of each, in radians.

    epsilon: bound on the edges of each, instead of an angle; then there is no theta.
    rule, neighbours, drop: rule, k and drop of `Extension`. conditional: the maps are those of classes 0, 1, ….
    source: that of x, 'cube' or 'gaussian'; from the Gaussian no codes are joined, so the rule is 'nearest'.
    """

    dim: int
    sizes: tuple[int, ...]
    theta: tuple[float, ...]
    rule: str = "barycentric"
    neighbours: int = 20
    drop: bool = False
    conditional: bool = False
    epsilon: tuple[float, ...] = ()
    source: str = "cube"


@final
class TransportMap(Distribution):
    """y = T̃(x), x ~ U[−½, ½]^d or N(0, I), for one map of all codes or one map per class; then a class is drawn first, by its share.

    codes, centres (n, d), heights, weight (n,): those of all maps, concatenated; weight sums to 1 over all.

    With one map the host does not wait for the device. Maps of classes wait once, for the number of samples of each class, and a rule that
    rejects waits at every try, for the number of samples that are left.
    """

    codes: Tensor
    centres: Tensor
    heights: Tensor
    weight: Tensor

    def __init__(
        self,
        dim: int,
        sizes: Sequence[int],
        theta: Sequence[float],
        rule: str = "barycentric",
        *,
        neighbours: int = 20,
        drop: bool = False,
        conditional: bool = False,
        epsilon: Sequence[float] = (),
        source: str = "cube",
    ) -> None:
        super().__init__()
        bounds, said = epsilon or theta, f"epsilon = {list(epsilon)}" if epsilon else f"theta = {list(theta)}"
        if dim < 1 or not sizes or min(sizes) < 1 or len(sizes) != len(bounds) or (len(sizes) > 1 and not conditional):
            raise UsageError(f"dim = {dim}, sizes = {list(sizes)}, {said} describe no maps")
        if rule not in RULES or neighbours < 1 or not min(bounds) >= 0 or (epsilon and theta):
            raise UsageError(f"rule = {rule!r}, neighbours = {neighbours}, {said}: there is {', '.join(RULES)}")
        if source not in SOURCES or (source != "cube" and rule != "nearest"):
            raise UsageError(f"source = {source!r}, rule = {rule!r}: maps come from {', '.join(SOURCES)}, and only the cube's join codes")
        self.sizes, self.theta, self.epsilon, self.source = tuple(sizes), tuple(theta), tuple(epsilon), source
        self.dim, self.rule, self.neighbours, self.drop = dim, rule, neighbours, drop
        self.classes = len(sizes) if conditional else 0
        self.config = {
            "name": "ot", "dim": dim, "sizes": list(sizes), "theta": list(theta), "rule": rule, "neighbours": neighbours, "drop": drop,
            "conditional": conditional, **({} if source == "cube" else {"source": source}),
        } | ({"epsilon": list(epsilon)} if epsilon else {})  # fmt: skip
        n = sum(sizes)
        self.register_buffer("codes", torch.zeros(n, dim))
        self.register_buffer("centres", torch.zeros(n, dim))
        self.register_buffer("heights", torch.zeros(n))
        self.register_buffer("weight", torch.full((n,), 1 / n))
        self._ready: _Ready | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_ready": None}  # a copy sets itself up for its own tensors

    def sample(self, n: int, generator: torch.Generator, temperature: float = 1.0) -> Codes:
        """Draw like `Distribution.sample`. Raises UsageError for a temperature other than 1: the map has no width to scale."""
        return self.sample_rows(n, slice(None), generator, temperature)

    def sample_rows(self, n: int, rows: slice, generator: torch.Generator, temperature: float = 1.0) -> Codes:
        """Return `sample(n, …)[rows]`; only these rows are computed."""
        self._require_no_temperature(temperature)
        u = _uniform(n, self.dim, generator)[rows]
        if not self._rejects:
            return self._drawn(lambda attempt: u)
        # The number of tries depends on the rows, but the next draw of `generator` must not.
        seed = int(torch.randint(1 << 62, (1,), generator=generator, device=generator.device))
        again = torch.Generator(generator.device).manual_seed(seed)
        return self._drawn(lambda attempt: _uniform(n, self.dim, again)[rows] if attempt else u)

    def sample_numbered(self, seed: int, numbers: Sequence[int], temperature: float = 1.0) -> Codes:
        self._require_no_temperature(temperature)
        return self._drawn(lambda attempt: uniforms(derive(seed, "sample", "map", attempt), numbers, 1 + self.dim))

    def for_numbers(self) -> "TransportMap":
        """Return the map itself: on every device, x is drawn on the CPU, and its cells are found in float64."""
        return self

    @property
    def bounds(self) -> tuple[float, ...]:
        """ε of each map, or θ where there is none."""
        return self.epsilon or self.theta

    @property
    def _rejects(self) -> bool:
        return self.drop or self.rule == "two-cell"

    def _require_no_temperature(self, temperature: float) -> None:
        if temperature != 1:
            raise UsageError(f"--temperature {temperature:g}: a transport map has no width to scale; leave --temperature out")

    def _drawn(self, uniform: Callable[[int], Tensor]) -> Codes:
        """Return codes (n, d) from u = uniform(0), (n, 1 + d) in [0, 1): u_0 chooses the map, u_1 … u_d give x. uniform(k): try k."""
        ready, u = self._set_up(), uniform(0).to(self.codes.device)
        if len(self.sizes) == 1 and not self._rejects:
            return ready.maps[0](self._point(u)).codes
        numbers = torch.searchsorted(ready.shares, u[:, 0].double().contiguous(), right=True)
        codes, kept = self.codes.new_empty(len(u), self.dim), torch.zeros(len(u), dtype=torch.bool, device=self.codes.device)
        waiting = torch.arange(len(u), device=self.codes.device)
        for attempt in range(_TRIES):
            x = self._point(uniform(attempt).to(self.codes.device) if attempt else u)
            for number, rows in self._by_map(numbers[waiting]):
                made = self._map_that_keeps(number)(x[waiting[rows]])
                codes[waiting[rows]], kept[waiting[rows]] = made.codes, made.kept
            if not self._rejects:
                return codes
            waiting = (~kept).nonzero().squeeze(1)
            if not len(waiting):
                return codes
        raise UsageError(self._rejected(int(numbers[waiting[0]])))

    def _point(self, u: Tensor) -> Tensor:
        """Return x, (n, d), from u (n, 1 + d)."""
        return u[:, 1:] - 0.5 if self.source == "cube" else normal(u[:, 1:])

    def _by_map(self, numbers: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Yield (number of a map, its samples among the (n,)) of every map with samples."""
        counts = torch.bincount(numbers, minlength=len(self.sizes)).tolist() if len(self.sizes) > 1 else [len(numbers)]
        for number, rows in enumerate(numbers.argsort(stable=True).split(counts)):
            if len(rows):
                yield number, rows

    def _map_that_keeps(self, number: int) -> Extension:
        """Return the map of this number. Raises UsageError if it would reject every sample."""
        if self._rejects and not self.bounds[number]:
            raise UsageError(self._rejected(number))
        return self._set_up().maps[number]

    def _rejected(self, number: int) -> str:
        name = "epsilon" if self.epsilon else "theta"
        return f"the map rejects all draws: {name} = {self.bounds[number]:.3g} joins no cells; fit it with a larger --{name}"

    def _set_up(self) -> "_Ready":
        """Return what is computed from the tensors. It is computed again when a tensor is replaced or written to."""
        tensors = (self.codes, self.heights, self.centres, self.weight)
        versions = tuple(tensor._version for tensor in tensors)
        if self._ready is None or not self._ready.is_of(tensors, versions):
            parts = zip(*(tensor.split(self.sizes) for tensor in tensors[:3]), self.bounds, strict=True)
            settings: dict[str, Any] = {"k": self.neighbours, "rule": self.rule, "drop": self.drop}
            name = "epsilon" if self.epsilon else "theta"
            maps = [Extension(codes, heights, centres, **{name: bound}, **settings) for codes, heights, centres, bound in parts]
            shares = torch.stack([part.double().sum() for part in self.weight.split(self.sizes)]).cumsum(0)
            self._ready = _Ready(tensors, versions, maps, shares / shares[-1])
        return self._ready

    def moments(self) -> tuple[Codes, Codes]:
        """Return the moments of the codes to which the map was fitted."""
        mean = self.weight @ self.codes
        return mean, (self.weight @ (self.codes - mean).square()).sqrt()

    def given(self, label: int) -> "TransportMap":
        """Return the map of one class. Raises UsageError for a class that does not exist."""
        self.require_class(label)
        settings = {name: getattr(self, name) for name in ("dim", "rule", "neighbours", "drop", "source")}
        theta, epsilon = (bounds[label : label + 1] for bounds in (self.theta, self.epsilon))
        one = TransportMap(sizes=self.sizes[label : label + 1], theta=theta, epsilon=epsilon, **settings)
        one.to(self.codes.device)
        for name in ("codes", "heights", "centres", "weight"):
            part = getattr(self, name).split(self.sizes)[label]
            getattr(one, name).copy_(part / part.sum() if name == "weight" else part)
        return one

    def between(self, a: Codes, b: Codes, t: Tensor) -> Codes:
        """Return T̃ along a straight line in the cube, between the mass centres of the cells of the codes nearest to a and to b.

        (d,), (d,), (n,) → (n, d). Every point is a value of the map, so a path jumps between modes and never lies in a gap.
        Raises UsageError if a and b belong to maps of different classes.
        """
        ends = [int((self.codes - end).square().sum(1).argmin()) for end in (a, b)]
        starts = [0, *torch.tensor(self.sizes).cumsum(0).tolist()]
        number, other = (max(i for i, start in enumerate(starts[:-1]) if start <= end) for end in ends)
        if number != other:
            raise UsageError(
                f"the ends are of classes {number} and {other}, and there is no path between their maps; use a map of all classes"
            )
        c_a, c_b = (self.centres[end] for end in ends)
        return self._set_up().maps[number](torch.lerp(c_a, c_b, t[:, None])).codes


@dataclass(frozen=True)
class _Ready:
    """maps: one Extension per map. shares (K,): cumulative shares of the maps. tensors, versions: from which they were computed."""

    tensors: tuple[Tensor, ...]
    versions: tuple[int, ...]
    maps: list[Extension]
    shares: Tensor

    def is_of(self, tensors: tuple[Tensor, ...], versions: tuple[int, ...]) -> bool:
        """Return True for the same tensors if none was written to since."""
        return versions == self.versions and all(mine is other for mine, other in zip(self.tensors, tensors, strict=True))


def _uniform(n: int, dim: int, generator: torch.Generator) -> Tensor:
    """Draw (n, 1 + d) numbers in [0, 1), all at once."""
    return torch.rand(n, 1 + dim, generator=generator, device=generator.device)
