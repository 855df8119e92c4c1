"""Time a training step of an autoencoder with a restricted latent, for several implementations of one network with the same weights.

z = encode(x);   ẑ = restrict(z);   x̂ = decode(ẑ);   L(x, x̂, z, ẑ) and its gradients; no optimizer
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from genrev_cli.bench.harness import Table, Timing, Variant, alternate, compared
from genrev_cli.bench.machine import threads
from genrev_cli.bench.memory import extra_peak_mb
from genrev_cli.bench.saved import saved_bytes
from genrev_cli.models import Bijection, build_model
from genrev_cli.progress import Progress
from genrev_cli.settings.bench import BenchOptions
from genrev_cli.shapes import Images, Latents, Scalar
from genrev_cli.training.devices import has_bf16

PLAIN, BF16, REVERSIBLE, CHECKPOINT = "genrev fp32", "genrev bf16", "genrev reversible", "genrev checkpoint"
MODES = (PLAIN, REVERSIBLE, CHECKPOINT)
TARGET_REVERSIBLE = 1 / 1.33  # of the speed of PLAIN: four passes through the branches instead of three
EQUAL = 1e-2  # allows rounding to TF32; a wrong implementation is off by about 1
NO_BF16 = "bf16 left out: this CPU has no AVX512_BF16 or AMX and emulates it, slower than fp32; pass --bf16 to measure it anyway"


@dataclass(frozen=True, eq=False)
class Problem:
    """The step. x: (B, C, H, W). restrict: z → ẑ. loss: L(x, x̂, z, ẑ). parameters: shared by all implementations."""

    x: Images
    restrict: Callable[[Latents], Latents]
    loss: Callable[[Images, Images, Latents, Latents], Scalar]
    parameters: list[nn.Parameter]


@dataclass(frozen=True, eq=False)
class Network:
    """One implementation. target: see Variant. seen: whether it keeps tensors for the backward pass only as autograd's saved tensors."""

    encode: Callable[[Images], Latents]
    decode: Callable[[Latents], Images]
    bf16: bool = False
    target: float | None = None
    _: KW_ONLY
    seen: bool = True


def own_networks(model: Bijection, target: float | None, target_bf16: float | None) -> dict[str, Network]:
    """Return genrev's implementations: fp32, bf16, and the other --memory modes. Targets are speed-ups over the first network."""
    modes = {memory: sharing(model, memory) for memory in ("plain", "reversible", "checkpoint")}
    return {
        PLAIN: Network(modes["plain"].encode, modes["plain"].decode, target=target),
        BF16: Network(modes["plain"].encode, modes["plain"].decode, bf16=True, target=target_bf16),
        REVERSIBLE: Network(modes["reversible"].encode, modes["reversible"].decode),
        CHECKPOINT: Network(modes["checkpoint"].encode, modes["checkpoint"].decode),
    }


def sharing(model: Bijection, memory: str) -> Bijection:
    """Return the same network that shares the parameters of `model`, with another memory mode."""
    with torch.device("meta"):
        other = build_model(model.config)
    assert isinstance(other, Bijection)
    other.load_state_dict(model.state_dict(keep_vars=True), assign=True)
    other.memory = memory
    return other


def loss_of(problem: Problem, network: Network) -> Scalar:
    """Return L(x, x̂, z, ẑ). Networks with `bf16` run under autocast."""
    with torch.autocast(problem.x.device.type, torch.bfloat16) if network.bf16 else nullcontext():  # 'meta' has no autocast
        z = network.encode(problem.x)
        z_hat = problem.restrict(z)
        x_hat = network.decode(z_hat)
    return problem.loss(problem.x, x_hat, z, z_hat)


def gradients(problem: Problem, network: Network) -> list[Tensor]:
    """Return ∂L/∂θ, computed by `backward` because memcnn needs it."""
    for parameter in problem.parameters:
        parameter.grad = None
    loss_of(problem, network).backward()
    return [parameter.grad for parameter in problem.parameters if parameter.grad is not None]


def deviation(found: Sequence[Tensor], reference: Sequence[Tensor]) -> float:
    """Return ‖g − g₀‖ / ‖g₀‖ over all tensors together."""
    squares = [torch.stack([(a - b).square().sum(), b.square().sum()]) for a, b in zip(found, reference, strict=True)]
    difference, norm = torch.stack(squares).sum(0).sqrt().tolist()
    return difference / norm


def require_equal(problem: Problem, networks: dict[str, Network]) -> None:
    """Check that every fp32 network encodes and decodes like the first one; otherwise their times could not be compared."""
    first, *others = networks
    with torch.no_grad():
        z = networks[first].encode(problem.x)
        z_hat = problem.restrict(z)
        x_hat = networks[first].decode(z_hat)
        for name in others:
            if not networks[name].bf16:
                off = max(deviation([networks[name].encode(problem.x)], [z]), deviation([networks[name].decode(z_hat)], [x_hat]))
                assert off < EQUAL, f"{name} and {first} are not the same network: {off:.1e}"


def step_tables(
    title: str,
    problem: Problem,
    networks: dict[str, Network],
    peak: Callable[[str], float],
    *,
    options: BenchOptions,
    progress: Progress,
    notes: Sequence[str],
) -> list[Table]:
    """Return two tables: all networks against the first, and from the same runs genrev's memory modes against plain autograd.

    peak: name of a network → MB that a step adds at its peak, measured in its own process.
    """
    notes = [
        *notes,
        "error: of the gradient, relative to the first network's, in the Euclidean norm; times exclude the optimizer",
        "saved_kb: autograd's saved tensors without the parameters, per image; with bf16 also the weights' bf16 copies, once per batch",
        "extra_peak_mb: of a step in its own process, including gradients",
    ]
    if not (options.bf16 or has_bf16(problem.x.device)):
        networks = {name: network for name, network in networks.items() if not network.bf16}
        notes.append(NO_BF16)
    require_equal(problem, networks)
    variants = [Variant(name, partial(gradients, problem, network), network.target) for name, network in networks.items()]
    timings = alternate(variants, options.rounds, title, progress)
    rows = _rows(timings)
    for row in rows:
        network = networks[row["variant"]]
        saved = saved_bytes(partial(loss_of, problem, network), problem.parameters) if network.seen else None
        row["saved_kb"] = None if saved is None else saved / 1e3 / len(problem.x)
        row["extra_peak_mb"] = peak(row["variant"])
    return [Table(title, rows, tuple(notes)), _modes(title, timings)]


def _modes(title: str, timings: Sequence[Timing]) -> Table:
    targets = dict.fromkeys(MODES) | {REVERSIBLE: TARGET_REVERSIBLE}
    own = [replace(t, variant=replace(t.variant, target=targets[t.variant.name])) for t in timings if t.variant.name in MODES]
    return Table(f"{title}: memory", _rows(own), ("from the same runs; the table above has the memory kept for the backward pass",))


def _rows(timings: Sequence[Timing]) -> list[dict[str, Any]]:
    return compared(timings, lambda found: deviation(found, timings[0].result))


def peak_of_step(
    make: Callable[..., tuple[Problem, dict[str, Network]]], name: str, batch: int, options: BenchOptions, *, device: torch.device
) -> float:
    """Return the MB that a step of the network `name` adds at its peak. make(batch, quick, device): at the top level of its module."""
    return extra_peak_mb(_prepared, make, name, batch, options.quick, options.threads, str(device), device=str(device))


def _prepared(
    make: Callable[..., tuple[Problem, dict[str, Network]]], name: str, batch: int, quick: bool, n_threads: int, device: str
) -> Callable[[], None]:
    """Prepare a step in its own process."""
    small, networks = make(1, True, torch.device(device))
    gradients(small, networks[name])  # lets libraries load what they need first
    problem, networks = make(batch, quick, torch.device(device))

    def run() -> None:
        with threads(n_threads):
            gradients(problem, networks[name])

    return run
