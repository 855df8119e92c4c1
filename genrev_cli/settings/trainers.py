"""The commands that train a fresh network on prepared images. `genrev NAME` is generated from each."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from genrev_cli.settings import perceptual, variational
from genrev_cli.settings.base import METHOD, Settings, Spec
from genrev_cli.settings.likelihood import LikelihoodConfig
from genrev_cli.settings.reconstruction import ReconstructionConfig
from genrev_cli.settings.transport import TransportConfig


@dataclass(frozen=True)
class TableOption:
    """A key of a recipe's [model] or [prior] that a command has an option for."""

    table: str
    key: str
    kind: type
    spec: Spec


DIMS = TableOption("prior", "dim", int, Spec("Active latent dimensions d.", METHOD, "--dims"))
BOUND = TableOption("prior", "bound", float, Spec("Clamp active dimensions to ±bound; 0 does not clamp.", METHOD))
EXACT_BITS = TableOption(
    "model",
    "exact_bits",
    int,
    Spec("Keep additive couplings on a grid of 2^-K, where their inverse is exact to the bit; 16 is a good K, 0 is off.", METHOD),
)


CLASSIFIER_TABLES = (
    TableOption("classifier", "dims", int, Spec("Dimensions of the features.", METHOD, at_least=1)),
    TableOption("classifier", "width", int, Spec("Channels of the first convolution.", METHOD, at_least=1)),
)


@dataclass(frozen=True)
class Variant:
    """One way to train. family: of the built-in recipes for it. settings: of its method. method: 'module:Class', imported when it runs."""

    family: str
    settings: type[Settings]
    method: str


@dataclass(frozen=True)
class Trainer:
    """A command that trains a fresh network on prepared images.

    name: of the command and of its table in a recipe. out: the default target. example: shown below the help.
    variants: by the key `variant` of the settings, the first by default; '' where there is one alone.
    tables: keys of model and prior that are options too.
    """

    name: str
    help: str
    example: str
    out: str
    variants: Mapping[str, Variant]
    tables: tuple[TableOption, ...] = field(default=(EXACT_BITS,))


PRETRAIN_RECON = Trainer(
    "pretrain-recon",
    "Train an autoencoder to reconstruct images from a restricted latent.",
    "genrev pretrain-recon --data data/mnist.h5 --out recon.safetensors",
    "recon.safetensors",
    {"": Variant("grn", ReconstructionConfig, "genrev_cli.methods.reconstruction:Reconstruction")},
    (DIMS, BOUND, EXACT_BITS),
)
TRAIN_OT = Trainer(
    "train-ot",
    "Train a reversible network and a Gaussian per class by exact optimal transport, without an adversary.",
    "genrev train-ot --data data/mnist.h5 --out transport.safetensors",
    "transport.safetensors",
    {"": Variant("grn-ot", TransportConfig, "genrev_cli.methods.transport:ClassTransport")},
)
TRAIN_PGA = Trainer(
    "train-pga",
    "Train a perceptual generative autoencoder: generated images are compared with real ones in code space.",
    "genrev train-pga --data data/mnist.h5 --variant vpga --out vpga.safetensors",
    "pga.safetensors",
    {
        name: Variant(name, perceptual.PerceptualConfig, "genrev_cli.methods.perceptual:PerceptualAutoencoder")
        for name in perceptual.VARIANTS
    },
)
TRAIN_VAE = Trainer(
    "train-vae",
    "Train a variational autoencoder, or a Wasserstein autoencoder with an MMD or a discriminator of codes.",
    "genrev train-vae --data data/mnist.h5 --variant wae-mmd --out wae.safetensors",
    "vae.safetensors",
    {
        "vae": Variant("vae", variational.VAEConfig, "genrev_cli.methods.variational:VAE"),
        "wae-mmd": Variant("wae-mmd", variational.WAEConfig, "genrev_cli.methods.variational:WAE"),
        "wae-gan": Variant("wae-gan", variational.WAEConfig, "genrev_cli.methods.variational:WAE"),
    },
    (),
)
TRAIN_FLOW = Trainer(
    "train-flow",
    "Train an invertible network by maximum likelihood, measured in bits per dimension.",
    "genrev train-flow --data data/mnist.h5 --out flow.safetensors",
    "flow.safetensors",
    {"": Variant("flow", LikelihoodConfig, "genrev_cli.methods.likelihood:MaximumLikelihood")},
)

TRAINERS = {trainer.name: trainer for trainer in (PRETRAIN_RECON, TRAIN_OT, TRAIN_PGA, TRAIN_VAE, TRAIN_FLOW)}
"""Name → trainer, in the order of the help. `genrev_cli.plugins.trainer` adds to it."""
