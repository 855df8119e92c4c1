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
    from genrev_cli.settings.features import FeatureOptions
    from genrev_cli.settings.sampling import SamplerFile

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


Codes = Annotated[Path, typer.Argument(help="Codes (.h5) of encode.", show_default=False)]

Class = Annotated[
    int | None, typer.Option("--class", help="Of this class alone.", show_default="all classes", rich_help_panel=METHOD, min=0)
]

Recipe = Annotated[str, typer.Option("--recipe", help="Built-in recipe or a .toml file; default: see above.", rich_help_panel=FILES)]


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
        from genrev_cli.store.samplers import MAKERS, SamplerFile

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
        from genrev_cli.settings.features import FeatureOptions

        return FeatureOptions(self.features, self.profile, self.weights, self.precision)


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, in the place of each parameter that is a `Sampling` or `Features`, the options of that
    class one by one, as Typer wants them."""
    parameters = inspect.signature(command).parameters.values()
    groups = {p.name: p.annotation for p in parameters if p.annotation in (Sampling, Features)}
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
