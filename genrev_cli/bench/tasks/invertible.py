"""Train reversible networks: an INN of FrEIA's layers, a RevNet of memcnn's blocks, and `genrev pretrain-recon` on the same networks."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from genrev_cli.bench.harness import Table
from genrev_cli.bench.tasks.race import Side, race
from genrev_cli.bench.tasks.trainings import Digits, Judge, judged, loss_judge, read_checkpoint, read_weights, traces, write_digits
from genrev_cli.bench.tasks.words import program
from genrev_cli.bench.training_step import NO_BF16
from genrev_cli.progress import Progress
from genrev_cli.settings.bench import BenchOptions
from genrev_cli.training.devices import has_bf16

TEST, BATCH = 250, 64
COMMAND = "pretrain-recon"


@dataclass(frozen=True)
class Case:
    """A network. peer: the other library. images: of an epoch, without --images. margin: black pixels around digits.

    mixed: the other library also trains with bf16.
    """

    recipe: str
    peer: str
    title: str
    images: int
    _: KW_ONLY
    margin: int = 0
    mixed: bool = False


CASES = (
    Case("inn-mnist", "FrEIA", "INN of FrEIA's layers", 512, mixed=True),
    Case("grn-mnist", "memcnn", "RevNet of memcnn's blocks", 2048, margin=2),  # 32×32, because memcnn's blocks have no margin
)

OURS: tuple[tuple[str, dict[str, str], float | None], ...] = (
    ("fp32", {}, 1.1),
    ("bf16", {"precision": "bf16"}, 1.6),
    ("reversible", {"memory": "reversible"}, None),
)
"""What genrev does: name, settings of the command, and how many times less CPU time than the other library in float32 is wanted."""


def invertible(options: BenchOptions, device: torch.device, progress: Progress) -> list[Table]:
    """Train each network for one epoch of digits on both sides, from the same weights, with the same loss, batch, rates and clipping."""
    test, batch = (8, 2) if options.quick else (TEST, options.batch or BATCH)
    tables = []
    with TemporaryDirectory() as scratch:
        for case in CASES:
            n = 4 if options.quick else options.images or case.images
            digits = write_digits(Path(scratch), n, test=test, margin=case.margin)
            tables.append(_table(case, digits, batch, options, device=device, progress=progress))
    return tables


def _table(case: Case, digits: Digits, batch: int, options: BenchOptions, *, device: torch.device, progress: Progress) -> Table:
    bf16 = options.bf16 or has_bf16(device)
    judge = loss_judge(case.recipe, digits.test)
    steps = -(-digits.count // batch)
    precisions = ("fp32", "bf16") if case.mixed and bf16 else ("fp32",)
    sides = [_theirs(case, digits, batch, precision, device=device, judge=judge) for precision in precisions]
    for name, settings, target in OURS:
        if bf16 or name != "bf16":
            out = digits.prepared.with_name(f"{case.recipe}-{name}.safetensors")
            task = {"command": COMMAND, "data": digits.prepared, "out": out, "recipe": case.recipe, "device": device}
            words = program("ours_training", settings={"steps": steps, "batch": batch, "ema_halflife_images": 0, **settings}, **task)
            sides.append(Side(f"genrev {name}", words, judged(judge, out, read_checkpoint), clean=traces(out), target=target))
    notes = [
        "error: mean |x − x̂| of test digits from the active dimensions, as pictures; loss: what training minimises, on these digits",
        "cpu_of_training: without the start of Python and its imports; with the choice of active dimensions and the last save",
        "genrev also measures 8 test digits before and after, draws 64 samples, and writes a log and a state to resume from",
        "reversible keeps outputs and recomputes activations; the other library keeps them, except for memcnn",
        *([] if bf16 else [NO_BF16]),
    ]
    title = f"{steps} steps of {batch} digits, {case.title}, on {device.type}"
    return race(title, sides, options, progress, notes=notes)


def _theirs(case: Case, digits: Digits, batch: int, precision: str, *, device: torch.device, judge: Judge) -> Side:
    out = digits.array.with_name(f"{case.peer}-{precision}.safetensors")
    task = {"peer": case.peer, "recipe": case.recipe, "array": digits.array, "batch": batch, "precision": precision}
    words = program("theirs_invertible", device=device, out=out, **task)
    found = judged(judge, out, lambda path: read_weights(path, case.recipe, digits.test.shape[1:]))
    return Side(f"{case.peer} {precision}", words, found, clean=[out], needs={case.peer: case.peer})
