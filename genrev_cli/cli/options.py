"""The options that several commands share, each spelled once."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genrev_cli.errors import UsageError

if TYPE_CHECKING:
    from genrev_cli.stages.evaluation import EvalOptions
    from genrev_cli.stages.extractors import FeatureOptions
    from genrev_cli.stages.job import RunOptions
    from genrev_cli.stages.samplers import SamplerFile

FILES, TRAINING, METHOD, SCORE, FEATURES, RUN = "Files", "Training", "Method", "Score", "Features", "Run"

Ckpt = Annotated[Path, typer.Option("--ckpt", help="Checkpoint (.safetensors) of a training stage.", rich_help_panel=FILES)]
Data = Annotated[Path, typer.Option("--data", help="Prepared images (.h5) of prepare-data.", rich_help_panel=FILES)]
CkptData = Annotated[
    Path | None,
    typer.Option("--data", help="Prepared images (.h5); default: those the checkpoint was trained on.", rich_help_panel=FILES),
]
Split = Annotated[str, typer.Option("--split", help="train, val, test or all.", rich_help_panel=FILES)]

Picture = Annotated[Path, typer.Option("--out", help="Picture to write (.png).", rich_help_panel=FILES)]

Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.", rich_help_panel=RUN)]
BatchSize = Annotated[int, typer.Option("--batch", min=1, help="Images at a time.", rich_help_panel=RUN)]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.", rich_help_panel=RUN)]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.", rich_help_panel=RUN)]
SaveMinutes = Annotated[float, typer.Option("--save-minutes", help="Minutes between two saves of the state.", rich_help_panel=RUN)]
TimeLimit = Annotated[
    float,
    typer.Option(
        "--time-limit",
        help="Save the state and end before the process is so many minutes old, by what a step, a save and the exit take; "
        "the same command goes on. 0: never.",
        rich_help_panel=RUN,
    ),
]
Restart = Annotated[bool, typer.Option("--restart", help="Discard what an earlier run left and begin anew.", rich_help_panel=RUN)]


def Overrides(kind: type, flag: str, help: str, panel: str, least: float | None = None) -> Any:
    """An optional value that replaces the recipe's."""
    return Annotated[kind | None, typer.Option(flag, help=help, show_default="recipe", rich_help_panel=panel, min=least)]


Lr = Overrides(float, "--lr", "Learning rate.", TRAINING)
ExactBits = Overrides(
    int, "--exact-bits", "Additive couplings on a grid of 2^-K: their inverse is exact to the bit. 0: off; 16 is a good K.", METHOD, 0
)
WeightX = Overrides(float, "--weight-x", "Weight of the image loss.", METHOD)
WeightMMD = Overrides(float, "--weight-mmd", "Weight of the MMD between codes and prior; 1 makes an INN-AE an INN-VAE.", METHOD)
WeightZ = Overrides(float, "--weight-z", "Weight of the latent loss.", METHOD)

Codes = Annotated[Path, typer.Argument(help="Codes (.h5) of encode.", show_default=False)]

Class = Annotated[
    int | None, typer.Option("--class", help="Of this class alone.", show_default="all classes", rich_help_panel=METHOD, min=0)
]

Recipe = Annotated[str, typer.Option("--recipe", help="Built-in recipe or a .toml file; default: see above.", rich_help_panel=FILES)]


@dataclass(frozen=True)
class Training:
    """The options that every training command has, see `expanded`."""

    steps: Overrides(int, "--steps", "Stop after so many steps.", TRAINING, 1) = None
    epochs: Overrides(float, "--epochs", "Stop after so many passes over the training images.", TRAINING) = None
    batch: Overrides(int, "--batch", "Images per mini-batch, over all processes.", TRAINING) = None
    precision: Overrides(
        str,
        "--precision",
        "fp32; bf16: networks in bfloat16, streams in float32; tf32 (CUDA): faster float32 whose round trip is less exact.",
        TRAINING,
    ) = None
    memory: Overrides(
        str, "--memory", "What invertible networks keep for the backward pass: plain (all), reversible or checkpoint.", TRAINING
    ) = None
    ema_halflife_images: Overrides(int, "--ema-halflife-images", "Average the weights with this half-life; 0 is off.", TRAINING) = None
    seed: Overrides(int, "--seed", "Seed of weights, order and noise.", TRAINING) = None
    device: Device = "auto"
    log_every: Annotated[int, typer.Option("--log-every", min=1, help="Steps between two lines of log.jsonl.", rich_help_panel=RUN)] = 50
    monitor_every: Annotated[
        int, typer.Option("--monitor-every", min=1, help="Steps between two measurements on held-out images.", rich_help_panel=RUN)
    ] = 500
    preview_every: Annotated[
        int, typer.Option("--preview-every", min=1, help="Steps between two preview pictures.", rich_help_panel=RUN)
    ] = 500
    save_minutes: SaveMinutes = 10.0
    time_limit: TimeLimit = 0.0
    resident_megabytes: Annotated[
        int,
        typer.Option(
            "--resident-megabytes", min=0, help="Keep the images on the device up to this size, else read as needed.", rich_help_panel=RUN
        ),
    ] = 4096
    compile: Annotated[bool, typer.Option("--compile", help="Run networks by torch.compile.", rich_help_panel=RUN)] = False
    channels_last: Annotated[
        bool, typer.Option("--channels-last", help="Keep weights with the channels innermost in memory.", rich_help_panel=RUN)
    ] = False
    restart: Restart = False
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Open the inputs, print settings, parameters and steps; write nothing.", rich_help_panel=RUN)
    ] = False

    def schedule(self) -> dict[str, Any]:
        """What replaces the recipe's schedule; passes over the images replace a recipe's number of steps.

        Raises UsageError when both are given.
        """
        if self.steps is not None and self.epochs is not None:
            raise UsageError(f"--steps {self.steps} and --epochs {self.epochs:g} say the same thing twice; give one of them")
        values = given(
            **{name: getattr(self, name) for name in ("steps", "epochs", "batch", "precision", "memory", "ema_halflife_images", "seed")}
        )
        return values if self.epochs is None else {**values, "steps": 0}

    def run(self, evaluation: "Evaluation | None" = None) -> "RunOptions":
        """How the run behaves on this machine, and how what it trains is scored on the way."""
        from genrev_cli.stages.job import RunOptions

        values = {field.name: getattr(self, field.name) for field in fields(RunOptions) if field.name != "evaluation"}
        return RunOptions(**values, **({"evaluation": evaluation.options()} if evaluation else {}))


@dataclass(frozen=True)
class Evaluation:
    """The options of commands that can score what they train on the way, see `expanded`."""

    eval_every: Annotated[
        int,
        typer.Option(
            "--eval-every", min=0, help="Steps between two scores of samples; keeps the best too. 0: none.", rich_help_panel=SCORE
        ),
    ] = 0
    eval_n: Annotated[int, typer.Option("--eval-n", min=2, help="Samples per score.", rich_help_panel=SCORE)] = 5000
    eval_features: Annotated[
        str, typer.Option("--eval-features", help="inception, pixel, or a file, as for fid --features.", rich_help_panel=SCORE)
    ] = "inception"
    eval_split: Annotated[
        str, typer.Option("--eval-split", help="Real images to compare with; default: val, else test, else train.", rich_help_panel=SCORE)
    ] = ""

    def options(self) -> "EvalOptions":
        """For the run."""
        from genrev_cli.stages.evaluation import EvalOptions
        from genrev_cli.stages.extractors import FeatureOptions

        return EvalOptions(self.eval_every, self.eval_n, self.eval_split, FeatureOptions(self.eval_features))


@dataclass(frozen=True)
class Sampling:
    """Where the codes of samples come from, see `expanded`."""

    ot: Annotated[
        Path | None, typer.Option("--ot", help="Draw codes from this map of fit-ot, not from the prior.", rich_help_panel=FILES)
    ] = None
    gmm: Annotated[Path | None, typer.Option("--gmm", help="Draw codes from this mixture of fit-gmm.", rich_help_panel=FILES)] = None
    sampler: Annotated[
        str,
        typer.Option(
            "--sampler", help="prior, gmm or ot; needed where several are there.", show_default="what is given", rich_help_panel=METHOD
        ),
    ] = ""

    def file(self) -> "SamplerFile | None":
        """For the stage; None is the prior. Raises UsageError where it is not clear what is meant."""
        from genrev_cli.stages.samplers import MAKERS, SamplerFile

        files = {name: path for name, path in (("ot", self.ot), ("gmm", self.gmm)) if path}
        name = self.sampler or (next(iter(files)) if len(files) == 1 else "prior" if not files else "")
        if not name:
            raise UsageError("--ot and --gmm: both are given; say with --sampler which of them is meant")
        if name == "prior":
            return None
        if name not in MAKERS:
            raise UsageError(f"--sampler {name}: choose prior, {', '.join(MAKERS)}")
        if name not in files:
            raise UsageError(f"--sampler {name}: needs --{name} FILE; '{MAKERS[name]}' makes one")
        return SamplerFile(files[name], name)


@dataclass(frozen=True)
class Features:
    """What images are compared in, see `expanded`."""

    features: Annotated[
        str,
        typer.Option(
            "--features",
            help="inception (the FID), pixel (needs no weights), a TorchScript file, or a classifier of fit-features; "
            "all but the first make distances of other names.",
            rich_help_panel=FEATURES,
        ),
    ] = "inception"
    profile: Annotated[
        str, typer.Option("--profile", help="How images are prepared: as pytorch-fid, tf or torchmetrics do.", rich_help_panel=FEATURES)
    ] = "pytorch-fid"
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights", help="Inception's weights; default: $GENREV_WEIGHTS, the usual folders, else fetched.", rich_help_panel=FEATURES
        ),
    ] = None
    precision: Annotated[
        str, typer.Option("--precision", help="Of Inception: fp32, or bf16, whose effect is estimated.", rich_help_panel=FEATURES)
    ] = "fp32"

    def options(self) -> "FeatureOptions":
        """For the stage."""
        from genrev_cli.stages.extractors import FeatureOptions

        return FeatureOptions(self.features, self.profile, self.weights, self.precision)


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, in the place of each parameter that is a `Training`, `Evaluation`, `Sampling` or `Features`, the options of that
    class one by one, as Typer wants them."""
    parameters = inspect.signature(command).parameters.values()
    groups = {p.name: p.annotation for p in parameters if p.annotation in (Training, Evaluation, Sampling, Features)}
    own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters if p.name not in groups]
    shared = [
        inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
        for group in groups.values()
        for field in fields(group)
    ]

    @functools.wraps(command)
    def wrapper(**values: Any) -> None:
        built = {name: group(**{field.name: values.pop(field.name) for field in fields(group)}) for name, group in groups.items()}
        command(**built, **values)

    wrapper.__signature__ = inspect.Signature([*own, *shared])
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *shared)}
    return wrapper


def numbers(flag: str, text: str) -> tuple[int, ...]:
    """The whole numbers in '1,2,3'; () of ''.

    Raises UsageError for anything else.
    """
    try:
        return tuple(int(word) for word in text.split(",")) if text else ()
    except ValueError as error:
        raise UsageError(f"{flag} {text}: whole numbers are needed, with commas between them") from error


def given(**values: Any) -> dict[str, Any]:
    """Those options that were given."""
    return {name: value for name, value in values.items() if value is not None}
