"""All commands: their order and panels in the help, and how they run under torchrun."""

from dataclasses import dataclass

from genrev_cli.settings.trainers import TRAINERS

DATA, TRAIN, LATENT, GENERATE, LOOK, SCORE = "Data", "Train", "Latent space", "Generate", "Look", "Score"
"""Panels of `genrev --help`."""


@dataclass(frozen=True)
class Command:
    """One command. place: its order in the help. shared: True if processes share its work under torchrun; else rank 0 does all."""

    name: str
    panel: str
    place: int
    shared: bool = False


_OTHERS = (
    Command("prepare-data", DATA, 0),
    Command("recipes", TRAIN, 5),
    Command("train-adversarial", TRAIN, 20, shared=True),
    Command("train-gan", TRAIN, 70, shared=True),
    Command("encode", LATENT, 200, shared=True),
    Command("decode", LATENT, 205, shared=True),
    Command("fit-ot", LATENT, 210, shared=True),
    Command("fit-gmm", LATENT, 220),
    Command("fit-directions", LATENT, 230),
    Command("probe", LATENT, 240),
    Command("sample", GENERATE, 300, shared=True),
    Command("reconstruct", LOOK, 310),
    Command("interpolate", LOOK, 320),
    Command("traverse", LOOK, 330),
    Command("fit-features", SCORE, 400, shared=True),
    Command("fid-ref", SCORE, 410),
    Command("fid", SCORE, 420, shared=True),
    Command("report", LOOK, 430),
    Command("compare", LOOK, 440),
    Command("sweep-bottleneck", SCORE, 450),
    Command("bench", LOOK, 460),
    Command("doctor", LOOK, 470),
    Command("info", LOOK, 480),
)


def all_commands() -> dict[str, Command]:
    """Return name → command in the order of the help. Commands of trainers are always shared."""
    trainers = (Command(trainer.name, TRAIN, trainer.place, shared=True) for trainer in TRAINERS.values())
    return {command.name: command for command in sorted((*_OTHERS, *trainers), key=lambda command: command.place)}
