"""The options that several commands share, each spelled once."""

from pathlib import Path
from typing import Annotated, Any

import typer

FILES, TRAINING, METHOD, RUN = "Files", "Training", "Method", "Run"

Ckpt = Annotated[Path, typer.Option("--ckpt", help="Checkpoint (.safetensors) of a training stage.", rich_help_panel=FILES)]
Data = Annotated[Path, typer.Option("--data", help="Prepared images (.h5) of prepare-data.", rich_help_panel=FILES)]
CkptData = Annotated[
    Path | None,
    typer.Option("--data", help="Prepared images (.h5); default: those the checkpoint was trained on.", rich_help_panel=FILES),
]
Recipe = Annotated[str, typer.Option("--recipe", help="Built-in recipe or a .toml file; default: see below.", rich_help_panel=FILES)]
Split = Annotated[str, typer.Option("--split", help="train, val, test or all.", rich_help_panel=FILES)]

Picture = Annotated[Path, typer.Option("--out", help="Picture to write (.png).", rich_help_panel=FILES)]

Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.", rich_help_panel=RUN)]
BatchSize = Annotated[int, typer.Option("--batch", min=1, help="Images at a time.", rich_help_panel=RUN)]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.", rich_help_panel=RUN)]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.", rich_help_panel=RUN)]


def Overrides(kind: type, flag: str, help: str, panel: str) -> Any:  # noqa: N802 (used like a type)
    """An optional value that replaces the recipe's."""
    return Annotated[kind | None, typer.Option(flag, help=help, show_default="recipe", rich_help_panel=panel)]


Steps = Overrides(int, "--steps", "Stop after so many steps.", TRAINING)
Epochs = Overrides(float, "--epochs", "Stop after so many passes over the training images.", TRAINING)
TrainBatch = Overrides(int, "--batch", "Images per mini-batch, over all processes.", TRAINING)
TrainSeed = Overrides(int, "--seed", "Seed of weights, order and noise.", TRAINING)
Precision = Overrides(str, "--precision", "fp32, or bf16: networks in bfloat16, streams in float32.", TRAINING)
Ema = Overrides(int, "--ema-halflife-images", "Average the weights with this half-life; 0 is off.", TRAINING)
Lr = Overrides(float, "--lr", "Learning rate of the autoencoder.", TRAINING)
WeightX = Overrides(float, "--weight-x", "Weight of the image loss.", METHOD)
WeightZ = Overrides(float, "--weight-z", "Weight of the latent loss.", METHOD)

Restart = Annotated[bool, typer.Option("--restart", help="Discard what an earlier run left and begin anew.", rich_help_panel=RUN)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Open the inputs, print settings, parameters and steps; write nothing.", rich_help_panel=RUN)]
LogEvery = Annotated[int, typer.Option("--log-every", min=1, help="Steps between two lines of log.jsonl.", rich_help_panel=RUN)]
MonitorEvery = Annotated[int, typer.Option("--monitor-every", min=1, help="Steps between two measurements on held-out images.", rich_help_panel=RUN)]
PreviewEvery = Annotated[int, typer.Option("--preview-every", min=1, help="Steps between two preview pictures.", rich_help_panel=RUN)]
SaveMinutes = Annotated[float, typer.Option("--save-minutes", help="Minutes between two saves of the state.", rich_help_panel=RUN)]
ResidentMegabytes = Annotated[
    int, typer.Option("--resident-megabytes", min=0, help="Keep the images on the device up to this size, else read as needed.", rich_help_panel=RUN)
]


def given(**values: Any) -> dict[str, Any]:
    """Those options that were given."""
    return {name: value for name, value in values.items() if value is not None}
