"""A training step of an autoencoder behind a restricted latent, by several implementations of one network on the same weights.

z = encode(x);   ẑ = restrict(z);   x̂ = decode(ẑ);   L(x, x̂, z, ẑ) and its gradients; no optimizer
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial

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
TARGET_REVERSIBLE = 1 / 1.33  # of the speed of PLAIN: four passes through the branches and not three
EQUAL = 1e-2  # TF32 is allowed to round, and a wrong port is off by 1
NO_BF16 = "bf16 left out: this CPU has no AVX512_BF16 or AMX and emulates it, slower than fp32; --bf16 measures it all the same"


@dataclass(frozen=True, eq=False)
class Problem:
    """x: (B, C, H, W). restrict: z → ẑ. loss: of x, x̂, z and ẑ. parameters: those that all implementations share."""

    x: Images
    restrict: Callable[[Latents], Latents]
    loss: Callable[[Images, Images, Latents, Latents], Scalar]
    parameters: list[nn.Parameter]


@dataclass(frozen=True, eq=False)
class Network:
    """One implementation. target: see Variant. seen: what it keeps for the backward pass goes through autograd's saved tensors."""

    encode: Callable[[Images], Latents]
    decode: Callable[[Latents], Images]
    bf16: bool = False
    target: float | None = None
    seen: bool = True


def own_networks(model: Bijection, target: float | None, target_bf16: float | None) -> dict[str, Network]:
    """genrev's: in fp32 and bf16, and by what is kept for the backward pass; targets against a published one, where there is one."""
    modes = {memory: sharing(model, memory) for memory in ("plain", "reversible", "checkpoint")}
    return {
        PLAIN: Network(modes["plain"].encode, modes["plain"].decode, target=target),
        BF16: Network(modes["plain"].encode, modes["plain"].decode, bf16=True, target=target_bf16),
        REVERSIBLE: Network(modes["reversible"].encode, modes["reversible"].decode),
        CHECKPOINT: Network(modes["checkpoint"].encode, modes["checkpoint"].decode),
    }


def sharing(model: Bijection, memory: str) -> Bijection:
    """The same network on the very parameters of `model`, with a `memory` of its own."""
    with torch.device("meta"):
        other = build_model(model.config)
    other.load_state_dict(model.state_dict(keep_vars=True), assign=True)
    other.memory = memory
    return other


def loss_of(problem: Problem, network: Network) -> Scalar:
    """L(x, x̂, z, ẑ), the networks under autocast where bf16 is asked for."""
    with torch.autocast(problem.x.device.type, torch.bfloat16) if network.bf16 else nullcontext():  # 'meta' has no autocast
        z = network.encode(problem.x)
        z_hat = problem.restrict(z)
        x_hat = network.decode(z_hat)
    return problem.loss(problem.x, x_hat, z, z_hat)


def gradients(problem: Problem, network: Network) -> list[Tensor]:
    """∂L/∂θ by `backward`, which memcnn asks for."""
    for parameter in problem.parameters:
        parameter.grad = None
    loss_of(problem, network).backward()
    return [parameter.grad for parameter in problem.parameters]


def deviation(found: Sequence[Tensor], reference: Sequence[Tensor]) -> float:
    """‖g − g₀‖ / ‖g₀‖ over all of them."""
    squares = [torch.stack([(a - b).square().sum(), b.square().sum()]) for a, b in zip(found, reference, strict=True)]
    difference, norm = torch.stack(squares).sum(0).sqrt().tolist()
    return difference / norm


def require_equal(problem: Problem, networks: dict[str, Network]) -> None:
    """Every fp32 network encodes and decodes as the first one does, or times would be those of different work."""
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
    options: BenchOptions,
    progress: Progress,
    notes: Sequence[str],
) -> list[Table]:
    """All networks against the first one, and from the same runs genrev's ways of keeping memory against plain autograd.

    peak: extra megabytes of a step by name, from a process of its own.
    """
    notes = [
        *notes,
        "error: of the gradient, relative to the first one's in the Euclidean norm; times without the optimizer",
        "saved_kb: per image, by autograd's saved tensors without the parameters; with bf16 it has the weights' bf16 copies, once a batch",
        "extra_peak_mb: of a step in a process of its own, gradients included",
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
    return Table(f"{title}: memory", _rows(own), ("of the same runs; what is kept for the backward pass stands above",))


def _rows(timings: Sequence[Timing]) -> list[dict]:
    return compared(timings, lambda found: deviation(found, timings[0].result))


def peak_of_step(
    make: Callable[..., tuple[Problem, dict[str, Network]]], name: str, batch: int, options: BenchOptions, device: torch.device
) -> float:
    """MB that a step of the network `name` adds at its peak. make(batch, quick, device): at the top of its module."""
    return extra_peak_mb(_prepared, make, name, batch, options.quick, options.threads, str(device), device=str(device))


def _prepared(
    make: Callable[..., tuple[Problem, dict[str, Network]]], name: str, batch: int, quick: bool, n_threads: int, device: str
) -> Callable[[], None]:
    """For a process of its own."""
    small, networks = make(1, True, torch.device(device))
    gradients(small, networks[name])  # loads what libraries load when they are first used
    problem, networks = make(batch, quick, torch.device(device))

    def run() -> None:
        with threads(n_threads):
            gradients(problem, networks[name])

    return run
