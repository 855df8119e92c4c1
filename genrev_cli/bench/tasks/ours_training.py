"""Train with genrev: {command, data, out, recipe, settings, device} → {"cpu_of_training": CPU seconds without those of the start}."""

import json
import time
from pathlib import Path
from typing import Any

from genrev_cli.bench.tasks.trainings import load_optimizers
from genrev_cli.bench.tasks.words import arguments
from genrev_cli.runs.train import train
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.settings.trainers import TRAINERS
from genrev_cli.training.method import load_method

NEVER = 10**9  # steps


def main(*, command: str, data: str, out: str, recipe: str, settings: dict[str, Any], device: str) -> None:
    """Run what the command runs, and print the CPU seconds. Preview pictures are drawn once, after the last step."""
    trainer = TRAINERS[command]
    for variant in trainer.variants.values():
        load_method(variant.method)
    load_optimizers()
    start = time.process_time()
    run = RunOptions(device=device, monitor_every=NEVER, preview_every=NEVER)
    train(trainer, Path(data), Path(out), recipe=recipe, overrides={command: settings}, run=run)
    print(json.dumps({"cpu_of_training": time.process_time() - start}))


if __name__ == "__main__":
    main(**arguments())
