"""Commands that train a fresh network on prepared images: `genrev NAME` is generated from each `Trainer`."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass

from genrev_cli.settings.base import ADVANCED, METHOD, Settings, Spec


@dataclass(frozen=True)
class TableOption:
    """A key of a recipe's [model] or [prior] for which a command has an option."""

    table: str
    key: str
    kind: type
    spec: Spec


DIMS = TableOption("prior", "dim", int, Spec("Active latent dimensions d.", METHOD, "--dims"))
BOUND = TableOption("prior", "bound", float, Spec("Clamp active dimensions to ±bound; 0 does not clamp.", ADVANCED))
EXACT_BITS = TableOption(
    "model",
    "exact_bits",
    int,
    Spec("Make the inverse of additive couplings exact to the bit by rounding to 2^-K; try 16; 0: off.", ADVANCED),
)


CLASSIFIER_TABLES = (
    TableOption("classifier", "dims", int, Spec("Dimensions of the features.", METHOD, at_least=1)),
    TableOption("classifier", "width", int, Spec("Channels of the first convolution.", METHOD, at_least=1)),
)


SAMPLE_NEXT = "sample --ckpt {out} --grid samples.png"
"""The next command for a checkpoint whose prior can be sampled."""


@dataclass(frozen=True)
class Variant:
    """One way to train. family: the family of its built-in recipes. settings: the settings class of its method.

    method: the class, or 'module:Class', which is imported when the command runs, so that --help does not import torch.
    """

    family: str
    settings: type[Settings]
    method: str | type


@dataclass(frozen=True)
class Trainer:
    """A command that trains a fresh network on prepared images.

    name: the command, and its table in a recipe. out: the default target. example: shown below the help.
    variants: value of the setting `variant` → variant; the first is the default; '' if there is only one.
    tables: keys of model and prior that are options too. place: order among the commands of its panel.
    next: the commands to propose at the end of a run, see `Command.next`.
    """

    name: str
    help: str
    example: str
    out: str
    _: KW_ONLY
    variants: Mapping[str, Variant]
    tables: tuple[TableOption, ...] = (EXACT_BITS,)
    place: int = 100
    next: tuple[str, ...] = (SAMPLE_NEXT,)
