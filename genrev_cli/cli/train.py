"""The training commands: one for each trainer, and train-adversarial, train-gan and fit-features."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from genrev_cli.cli import options
from genrev_cli.cli.bars import listener
from genrev_cli.cli.generate import (
    Converted,
    Group,
    One,
    Overrides,
    Part,
    ScheduleOverrides,
    TableOverrides,
    add_command,
    out_option,
    path_option,
)
from genrev_cli.config import recipe_names
from genrev_cli.errors import UsageError
from genrev_cli.recipes.rules import RULES
from genrev_cli.result import Result
from genrev_cli.settings.adversarial import AdversarialConfig, MatchingConfig
from genrev_cli.settings.aeotgan import AEOTGANConfig
from genrev_cli.settings.base import METHOD
from genrev_cli.settings.classification import ClassificationConfig
from genrev_cli.settings.evaluation import EvalOptions
from genrev_cli.settings.sampling import MAKERS, SamplerFile
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.settings.sizes import SizeOptions
from genrev_cli.settings.trainer import CLASSIFIER_TABLES, DIMS, Trainer

_RESUMES = "Options that are left out have the recipe's values. Run the same command again to go on after an interruption."
_SIZED = "for other data, the network, the batch and the steps are sized for the images (genrev recipes --for DATA)."

_INIT = path_option("init", "Start from the network, prior and weights of this checkpoint, on other data or with other settings.")

Table = dict[str, Any]
"""Key → value of a recipe's table."""

Latent = Annotated[
    Literal["ot", "flow", "gaussian"] | None,
    typer.Option(
        "--latent", help="What generated codes are drawn from.", show_default="ot with --ot, flow with --flow", rich_help_panel=METHOD
    ),
]


def _common(*settings: type, evaluated: bool = True, fresh: bool = True) -> dict[str, Part]:
    """Return the parts of every training command: options of its table, of the schedule, of the scores and of the run.

    fresh: the command trains a fresh network, whose size can be chosen.
    """
    sized: dict[str, Part] = {"size": Converted(Group(SizeOptions), lambda asked: asked.size_of_model)} if fresh else {}
    scores: dict[str, Part] = {"evaluation": Group(EvalOptions)} if evaluated else {}
    return {
        "recipe": One("recipe", options.Recipe, ""),
        **sized,
        "schedule": ScheduleOverrides(),
        "method": Overrides(*settings),
        **scores,
        "run": Group(RunOptions),
    }


def add_trainer(trainer: Trainer) -> None:
    """Register the command of a trainer."""

    def run(
        *, data: Path, init: Path | None, out: Path, schedule: Table, method: Table, tables: Table,
        evaluation: EvalOptions, run: RunOptions, recipe: str, size: str,
    ) -> Result:  # fmt: skip
        from genrev_cli.runs.train import train

        overrides = {trainer.name: schedule | method, **tables}
        return train(
            trainer, data, out,
            recipe=recipe, size=size, init=init, overrides=overrides, run=run.scored(evaluation), progress=listener(),
        )  # fmt: skip

    first = next(iter(trainer.variants.values())).family
    of = "of the variant " if "" not in trainer.variants else ""
    chosen = f"Without --recipe, the built-in one {of}for the data's source is used ({first}-mnist for MNIST, …); {_SIZED}"
    if first not in RULES and not any(name.startswith(f"{first}-") for name in recipe_names()):
        chosen = "--recipe FILE.toml is needed: there is no built-in recipe."
    add_command(
        trainer.name,
        f"{trainer.help}\n\n{chosen} {_RESUMES}",
        example=trainer.example,
        parts={
            "data": One("data", options.Data),
            "init": _INIT,
            "out": out_option(Path(trainer.out)),
            **_common(*(variant.settings for variant in trainer.variants.values())),
            "tables": TableOverrides(trainer.tables),
        },
        run=run,
    )


def _train_adversarial(
    *, ckpt: Path, data: Path | None, out: Path | None, recipe: str,
    schedule: Table, method: Table, evaluation: EvalOptions, run: RunOptions,
) -> Result:  # fmt: skip
    from genrev_cli.runs.adversarial import STAGE, train_adversarial

    target, overrides = out or ckpt.with_name("adversarial.safetensors"), {STAGE: schedule | method}
    return train_adversarial(ckpt, target, data=data, recipe=recipe, overrides=overrides, run=run.scored(evaluation), progress=listener())


def _train_gan(
    *, ckpt: Path | None, data: Path | None, ot: Path | None, flow: Path | None, init: Path | None, out: Path | None, latent: str | None,
    recipe: str, size: str, schedule: Table, method: Table, tables: Table, evaluation: EvalOptions, run: RunOptions,
) -> Result:  # fmt: skip
    from genrev_cli.stages.train_gan import STAGE, train_gan

    sampler = sampler_of(latent or "", ot, flow)
    target = out or (ckpt.with_name("gan.safetensors") if ckpt else Path("gan.safetensors"))
    return train_gan(
        target, ckpt=ckpt, data=data, sampler=sampler, init=init, recipe=recipe, size=size,
        overrides={STAGE: schedule | method, **tables}, run=run.scored(evaluation), progress=listener(),
    )  # fmt: skip


def sampler_of(latent: str, ot: Path | None, flow: Path | None) -> SamplerFile | None:
    """Return the file that generated codes are drawn from, None for the prior. Raises UsageError where options contradict each other."""
    files = {name: path for name, path in (("ot", ot), ("flow", flow)) if path}
    if len(files) > 1 and latent not in files:
        raise UsageError(f"--ot {ot} and --flow {flow}: both say what codes are drawn from; choose one with --latent")
    name = latent or next(iter(files), "gaussian")
    if name == "gaussian":
        if files:
            given = next(iter(files))
            raise UsageError(f"--latent gaussian: contradicts --{given} {files[given]}; leave one of them out")
        return None
    if name not in files:
        raise UsageError(f"--latent {name}: needs --{name} FILE; '{MAKERS[name]}' makes one")
    return SamplerFile(files[name], name)


def _fit_features(
    *, data: Path, out: Path, recipe: str, size: str, schedule: Table, method: Table, tables: Table, run: RunOptions
) -> Result:
    from genrev_cli.stages.fit_features import STAGE, fit_features

    overrides = {STAGE: schedule | method, **tables}
    return fit_features(data, out, recipe=recipe, size=size, overrides=overrides, run=run, progress=listener())


add_command(
    "train-adversarial",
    "Train a pretrained network against an adversary, or with a distance instead, so that its codes follow the prior.\n\n"
    "Without --recipe, the checkpoint's own is used; if that has no table for this command, the adversary, the batch and the steps are "
    f"sized for the images. {_RESUMES}",
    example="genrev train-adversarial --ckpt recon.safetensors",
    parts={
        "ckpt": One("ckpt", options.Ckpt),
        "data": One("data", options.CkptData, None),
        "out": out_option(None, "Checkpoint to write; default: adversarial.safetensors beside --ckpt."),
        **_common(AdversarialConfig, MatchingConfig, fresh=False),
    },
    run=_train_adversarial,
)

add_command(
    "train-gan",
    "Train a GAN whose generator starts from an autoencoder's decoder, on codes of a transport map or a flow; or a GAN from noise.\n\n"
    "Without --recipe, the checkpoint's own is used; without --ckpt, the one for the data's source (gan-mnist for MNIST, …); "
    f"{_SIZED} {_RESUMES}",
    example="genrev train-gan --ckpt recon.safetensors --ot ot.safetensors",
    parts={
        "ckpt": path_option("ckpt", "Autoencoder to start from; without it, a GAN from noise on --data."),
        "ot": path_option("ot", "Transport map of fit-ot to draw generated codes from, instead of the prior."),
        "flow": path_option("flow", "Flow of fit-flow to draw generated codes from, instead of the prior."),
        "data": path_option("data", "Prepared images (.h5); default: those that --ckpt was trained on."),
        "init": _INIT,
        "out": out_option(None, "Checkpoint to write; default: gan.safetensors beside --ckpt, or here."),
        "latent": One("latent", Latent, None),
        **_common(AEOTGANConfig),
        "tables": TableOverrides((DIMS,)),
    },
    run=_train_gan,
)

add_command(
    "fit-features",
    "Train a small classifier on labelled images, for 'fid --features FILE' to measure with where Inception makes no sense.\n\n"
    f"Without --recipe, the recipe 'features' is used for digits and MNIST; {_SIZED} {_RESUMES}",
    example="genrev fit-features --data data/mnist.h5 --out mnist-features.safetensors",
    parts={
        "data": One("data", options.Data),
        "out": out_option(Path("features.safetensors"), "Classifier to write (.safetensors)."),
        **_common(ClassificationConfig, evaluated=False),
        "tables": TableOverrides(CLASSIFIER_TABLES),
    },
    run=_fit_features,
)
