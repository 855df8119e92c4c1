"""Checkpoints as objects: an autoencoder and its prior. Training stages write them; most other commands read them."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files import pretrained
from genrev_cli.files.checkpoint import HALVES, read_checkpoint, tensors_digest, write_checkpoint
from genrev_cli.files.header import Header, require_kind
from genrev_cli.files.images import ImageSet, open_images
from genrev_cli.latents import Prior, build_prior
from genrev_cli.latents.samplers import Resampled
from genrev_cli.models import Autoencoder, build_model
from genrev_cli.plugins import missing, needed
from genrev_cli.store.limits import no_more_than

_MAKER = "genrev pretrain-recon"


@dataclass(frozen=True)
class Checkpoint:
    """A trained autoencoder with its prior, in evaluation mode and without gradients.

    sampler: file and header of the distribution from which codes are drawn instead of from the prior; None for the prior.
    """

    path: Path
    header: Header
    autoencoder: Autoencoder
    prior: Prior
    _: KW_ONLY
    sampler: tuple[Path, Header] | None = None

    @property
    def inputs(self) -> dict[str, Any]:
        """Records of the checkpoint, and of the sampler, for the header of a file that is made from them."""
        inputs = {"ckpt": self.header.as_input(self.path)}
        if self.sampler:
            path, header = self.sampler
            inputs["sampler"] = header.as_input(path)
        return inputs

    @property
    def own_prior(self) -> Prior:
        """The prior of the training, even when codes are drawn from a sampler."""
        return self.prior.base if isinstance(self.prior, Resampled) else self.prior

    @property
    def drawn_from(self) -> str:
        """The name of the distribution from which codes are drawn: 'prior', or that of the sampler."""
        return self.sampler[1].config["sampler"]["name"] if self.sampler else "prior"


def prefixed(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    """Return a module's state with `prefix.` before each name."""
    return {f"{prefix}.{key}": tensor for key, tensor in module.state_dict().items()}


def load_prefixed(module: nn.Module, prefix: str, tensors: dict[str, Tensor], path: Path) -> None:
    """Load into a module what `prefixed` returned. Raises FileError when names or shapes do not fit."""
    own = {key.removeprefix(f"{prefix}."): tensor for key, tensor in tensors.items() if key.startswith(f"{prefix}.")}
    try:
        module.load_state_dict(own, assign=any(tensor.is_meta for tensor in module.state_dict().values()))
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise FileError(f"{path}: its weights do not fit the {prefix} that its header describes ({first})") from error


def write_autoencoder(
    path: Path,
    model: nn.ModuleDict,
    *,
    settings: dict[str, Any],
    step: int,
    inputs: dict[str, Any],
    made_by: dict[str, Any],
) -> None:
    """Write the weights of an `autoencoder` and its `prior`. settings: those of their training, for the header."""
    tensors = prefixed("autoencoder", model["autoencoder"]) | prefixed("prior", model["prior"])
    config = {**settings, "model": model["autoencoder"].config, "prior": model["prior"].config}
    if plugins := needed([("network", config["model"]["name"]), ("trainer", settings.get("stage", ""))]):
        config["plugins"] = plugins
    write_checkpoint(path, tensors, Header("checkpoint", config, tensors_digest(tensors), step, inputs=inputs, made_by=made_by))


def load_checkpoint(path: Path, device: torch.device) -> Checkpoint:
    """Read a checkpoint, or a model that comes with genrev by its name, onto a device. Weights that are stored in 16 bits get 32.

    Raises FileError when it is missing, damaged, or not a checkpoint.
    """
    path = pretrained.found(path)
    header, tensors = read_checkpoint(path)
    require_kind(header, "checkpoint", path, _MAKER)
    try:
        with torch.device("meta"), no_more_than(len(tensors)):  # the file's tensors become the weights, without initialising or copying any
            autoencoder, prior = build_model(header.config["model"]), build_prior(header.config["prior"])
    except Exception as error:  # an impossible table raises errors of many types
        cause = missing(header.config.get("plugins")) or f"its header does not describe a model that this version of genrev knows ({error})"
        raise FileError(f"{path}: {cause}") from error
    if autoencoder.latent_dim != prior.latent_dim:
        raise FileError(f"{path}: damaged: its network has {autoencoder.latent_dim} latent dimensions and its prior {prior.latent_dim}")
    tensors = {name: tensor.float() if tensor.dtype in HALVES else tensor for name, tensor in tensors.items()}
    load_prefixed(autoencoder, "autoencoder", tensors, path)
    load_prefixed(prior, "prior", tensors, path)
    return Checkpoint(path, header, autoencoder.to(device).eval().requires_grad_(False), prior.to(device).requires_grad_(False))


def data_of(header: Header, given: Path | None, path: Path) -> ImageSet:
    """Return the image set to use with a checkpoint: the given one, else the one it was trained on.

    That one may have moved together with the checkpoint: a file of its name beside the checkpoint is taken if its content is the same.
    Raises FileError when the latter is gone or has changed, or when its images do not fit the model; UsageError when it is not known.
    """
    recorded = header.inputs.get("data")
    if given is None:
        if pretrained.short(path) != str(path):
            made = f"genrev prepare-data {pretrained.short(path)}-small --out digits.h5"
            raise UsageError(f"{pretrained.short(path)}: comes without images; run '{made}', and pass --data digits.h5")
        if recorded is None:
            raise UsageError(f"{path}: does not say which data it was trained on; pass --data")
        images = _recorded_data(recorded, path)
    else:
        images = open_images(given)
    require_shape(images, header, path)
    return images


def _recorded_data(recorded: dict[str, Any], ckpt: Path) -> ImageSet:
    """Open the images that a checkpoint was trained on, from the recorded path, else from a file of the same name beside the checkpoint."""
    source = Path(recorded["path"])
    beside = ckpt.parent / source.name
    for place in (source, beside):
        if place.exists():
            images = open_images(place)
            if images.header.sha256 == recorded["sha256"]:
                return images
    if source.exists():
        raise FileError(f"{source}: has changed since {ckpt} was trained on it; pass --data to use it anyway")
    found = f", and {beside} has other images" if beside.exists() else f"; put it beside {ckpt.name}"
    raise FileError(f"{ckpt}: was trained on {source}, which does not exist any more{found}, or pass --data")


def recipe_of(header: Header, path: Path) -> dict[str, Any]:
    """Return name (`recipe`) and tables (`recipe_tables`) of the recipe that trained a checkpoint, and the size of a rule (`recipe_size`).

    Raises UsageError when it has none.
    """
    if "recipe_tables" not in header.config:
        raise UsageError(f"{path}: does not say by which recipe it was trained; pass --recipe")
    return {key: header.config[key] for key in ("recipe", "recipe_tables", "recipe_size") if key in header.config}


def require_shape(images: ImageSet, header: Header, path: Path) -> None:
    """Raise FileError when the shape of the images does not fit the model of a checkpoint."""
    wanted, found = tuple(header.config["model"]["image_shape"]), images.image_shape
    if found != wanted:
        raise FileError(
            f"{images.path}: images are {_shape(found)}, {path} takes {_shape(wanted)}; run 'genrev prepare-data' with a fitting --size"
        )


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(str(side) for side in shape)
