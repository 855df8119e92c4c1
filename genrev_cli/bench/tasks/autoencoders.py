"""Train variational and Wasserstein autoencoders on digits: pythae's pipeline, and `genrev train-vae`."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from genrev_cli.bench.harness import Table
from genrev_cli.bench.tasks.race import TARGET, Side, race
from genrev_cli.bench.tasks.trainings import Digits, judged, read_checkpoint, read_weights, sample_judge, traces, write_digits
from genrev_cli.bench.tasks.words import program
from genrev_cli.progress import Progress
from genrev_cli.settings.bench import BenchOptions

IMAGES, TEST, BATCH = 7500, 500, 64
COMMAND = "train-vae"

VARIANTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "vae": ("vae-mnist-small", "VAE", {"decoder_std": 2.0}),  # pythae's decoder has a standard deviation of 1 for pixels in [0, 1]
    "wae-mmd": ("wae-mmd-mnist", "WAE_MMD", {}),
    "wae-gan": ("wae-gan-mnist", "Adversarial_AE", {}),
}
"""Variant of train-vae → the recipe, pythae's model, and genrev's settings that differ from the recipe's."""


def autoencoders(options: BenchOptions, device: torch.device, progress: Progress) -> list[Table]:
    """Train each for one epoch of digits on both sides, from the same weights, with the same loss, batch, rates and networks."""
    n, test, batch = (8, 8, 4) if options.quick else (options.images or IMAGES, TEST, options.batch or BATCH)
    with TemporaryDirectory() as scratch:
        digits = write_digits(Path(scratch), (n - n % batch) or n, test=test)  # a small last batch would change pythae's batch norms
        return [_table(variant, digits, batch, options, device=device, progress=progress) for variant in VARIANTS]


def _table(variant: str, digits: Digits, batch: int, options: BenchOptions, *, device: torch.device, progress: Progress) -> Table:
    recipe, name, settings = VARIANTS[variant]
    home, judge, steps = digits.prepared.parent, sample_judge(digits.test), -(-digits.count // batch)
    theirs, ours, own_files = home / f"pythae-{variant}.safetensors", home / f"{variant}.safetensors", home / "pythae"
    task = {"variant": variant, "recipe": recipe, "array": digits.array, "batch": batch, "folder": own_files, "out": theirs}
    more = {"steps": steps, "batch": batch, "ema_halflife_images": 0, **settings}
    sides = [
        Side(
            f"pythae {name}",
            program("theirs_pythae", device=device, **task),
            judged(judge, theirs, lambda path: read_weights(path, recipe, digits.test.shape[1:])),
            clean=[theirs, own_files],
            needs={"pythae": "pythae"},
        ),
        Side(
            f"genrev {variant}",
            program("ours_training", command=COMMAND, data=digits.prepared, out=ours, recipe=recipe, settings=more, device=device),
            judged(judge, ours, read_checkpoint),
            clean=traces(ours),
            target=TARGET,
        ),
    ]
    notes = [
        f"rmse: √ mean (x − x̂)² of {len(digits.test)} test digits; fd_pixel: Fréchet distance of as many samples to them, in pixel space",
        "cpu_of_training: without the start of Python and its imports; one epoch and the last save",
        "genrev also measures 8 test digits before and after, draws 64 samples, and writes a log and a state to resume from",
    ]
    return race(f"{steps} steps of {batch} digits, {recipe}, on {device.type}", sides, options, progress, notes=notes)
