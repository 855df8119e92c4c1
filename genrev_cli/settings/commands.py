"""All commands: their order and panels in the help, and how they run under torchrun."""

from dataclasses import KW_ONLY, dataclass

from genrev_cli.settings.trainer import SAMPLE_NEXT
from genrev_cli.settings.trainers import TRAINERS

START, DATA, TRAIN, LATENT, GENERATE, LOOK, SCORE = "Start here", "Data", "Train", "Latent space", "Generate", "Look", "Score"
"""Panels of `genrev --help`."""


@dataclass(frozen=True)
class Command:
    """One command. place: its order in the help. shared: True if processes share its work under torchrun; else rank 0 does all.

    next: what to propose when it has ended, without 'genrev'; the first one that applies. {out} is the file that it wrote, {ckpt}, {data},
    {codes}, … the nearest input of that role in the file's history. {full} is {out} if it has full codes, {of_noise} if it has Gaussian
    codes or their directions, {shown} if a report shows it, which it does not do with films. {gaussian} is {codes} for a map from a
    Gaussian. {likely} is {out} if it was trained by a likelihood, {smooth} is {out} if it has codes of a regularized autoencoder. {split}
    is a split of the data that has images, if 'test' has none. {of_pictures} is {out} if it was made from the user's pictures.
    {size} is the size of a network for a machine without a GPU. What is in brackets is left out if a name in it is unknown; otherwise the
    whole proposal is. A training command is proposed only if the checkpoint's recipe has a table for it.
    """

    name: str
    panel: str
    place: int
    shared: bool = False
    _: KW_ONLY
    next: tuple[str, ...] = ()


_PAGE = ("report {ckpt} {shown}", "explore --ckpt {ckpt}")

_DECODED = "--ckpt {ckpt} --out decoded"

_AGAIN = tuple(f"{name} --data {{data}} --recipe {{best}} --out best.safetensors" for name in TRAINERS)

_OTHERS = (
    Command("demo", START, -10),
    Command("prepare-data", DATA, 0, next=("pretrain-recon --data {out} [--size-of-model {size}]",)),
    Command("recipes", TRAIN, 5),
    Command("train-adversarial", TRAIN, 20, shared=True, next=(SAMPLE_NEXT,)),
    Command("train-gan", TRAIN, 70, shared=True, next=("sample --ckpt {out} [--ot {ot}] [--flow {flow}] --grid samples.png",)),
    Command("search", TRAIN, 150, next=_AGAIN),
    Command(
        "encode",
        LATENT,
        200,
        shared=True,
        next=(
            f"decode {{full}} {_DECODED}",
            f"decode {{of_noise}} {_DECODED}",
            f"decode {{of_pictures}} {_DECODED}",
            "fit-gmm {smooth}",
            "fit-ot {out}",
        ),
    ),
    Command("decode", LATENT, 205, shared=True, next=_PAGE),
    Command(
        "fit-ot",
        LATENT,
        210,
        shared=True,
        next=(
            "fit-flow {gaussian} --ot {out}",
            "sample --ckpt {ckpt} --ot {out} --out samples-ot --grid samples-ot.png",
        ),
    ),
    Command("fit-gmm", LATENT, 220, next=("sample --ckpt {ckpt} --gmm {out} --out samples-gmm --grid samples-gmm.png",)),
    Command("fit-flow", LATENT, 225, next=("sample --ckpt {ckpt} --flow {out} --out samples-flow --grid samples-flow.png",)),
    Command(
        "fit-directions",
        LATENT,
        230,
        next=("traverse --ckpt {ckpt} --directions {of_noise}", "explore --ckpt {ckpt} --directions {out}"),
    ),
    Command("probe", LATENT, 240),
    Command("sample", GENERATE, 300, shared=True, next=("fid {out} --ref {data} [--split {split}]",)),
    Command("edit", GENERATE, 305, next=_PAGE),
    Command("reconstruct", LOOK, 310, next=_PAGE),
    Command("interpolate", LOOK, 320, next=_PAGE),
    Command("traverse", LOOK, 330, next=_PAGE),
    Command("explore", LOOK, 335),
    Command("fit-features", SCORE, 400, shared=True, next=("fid samples --ref {data} [--split {split}] --features {out}",)),
    Command("fid-ref", SCORE, 410, next=("fid samples --ref {out}",)),
    Command("fid", SCORE, 420, shared=True, next=("report [{ckpt}] [{samples}] {out}",)),
    Command("report", LOOK, 430),
    Command("compare", LOOK, 440),
    Command("card", LOOK, 445),
    Command("sweep-bottleneck", SCORE, 450),
    Command("bench", LOOK, 460),
    Command("doctor", LOOK, 470),
    Command("info", LOOK, 480),
)


def all_commands() -> dict[str, Command]:
    """Return name → command in the order of the help. Commands of trainers are always shared."""
    trainers = (Command(trainer.name, TRAIN, trainer.place, shared=True, next=trainer.next) for trainer in TRAINERS.values())
    return {command.name: command for command in sorted((*_OTHERS, *trainers), key=lambda command: command.place)}
