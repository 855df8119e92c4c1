"""What two programs that train the same network share: images, fresh weights, the file of weights, and the judge of both.

R: x → z encoder;   R⁻¹ decoder;   clip: the projection on the support of the prior
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import genrev_cli
from genrev_cli.bench.tasks.words import answer
from genrev_cli.config import read_recipe
from genrev_cli.files.npz import reading_npz
from genrev_cli.files.writers import write_data
from genrev_cli.latents import Prior, build_prior
from genrev_cli.methods.reconstruction import image_loss, latent_loss
from genrev_cli.metrics.features import PixelExtractor
from genrev_cli.metrics.frechet import Moments, Statistics, frechet_distance
from genrev_cli.models import Autoencoder, build_model, sized
from genrev_cli.runs.resume import run_folder
from genrev_cli.shapes import Images, Pixels, to_float, to_pixels
from genrev_cli.store.checkpoints import load_prefixed, prefixed
from genrev_cli.training.loop import seeded

SEED = 0
WATCHED = 8  # test images in the prepared file; genrev measures them before the first step and after the last
BATCH = 50


@dataclass(frozen=True)
class Digits:
    """Digits of MNIST. count: n. prepared: for genrev (.h5). array: the same training images (n, 1, H, W) uint8 (.safetensors).

    test: (m, 1, H, W) uint8, for the judge.
    """

    count: int
    prepared: Path
    array: Path
    test: np.ndarray


def write_digits(folder: Path, n: int, *, test: int, margin: int = 0) -> Digits:
    """Write the first n training images that come with genrev, with so many black pixels around them. test: images for the judge."""
    with as_file(files("genrev_cli.data").joinpath("mnist-small.npz")) as path, reading_npz(path) as arrays:
        pixels, tests = arrays["images"][:, None], int(arrays["tests"])
    pixels = np.pad(pixels, ((0, 0), (0, 0), (margin, margin), (margin, margin)))
    train, held_out = pixels[: len(pixels) - tests][:n], pixels[len(pixels) - tests :][:test]
    digits = Digits(len(train), folder / f"digits-{margin}.h5", folder / f"digits-{margin}.safetensors", held_out)
    save_file({"images": torch.from_numpy(train)}, digits.array)
    watched = held_out[:WATCHED]
    write_data(digits.prepared, np.concatenate([train, watched]), split=["train"] * len(train) + ["test"] * len(watched))
    return digits


def fresh(recipe: str, image_shape: tuple[int, ...]) -> tuple[Autoencoder, Prior]:
    """Return the recipe's network and prior as genrev's training commands build them, with the weights of step 0."""
    table = read_recipe(recipe)
    with seeded(SEED, "weights"):
        model = build_model({**sized(table["model"], table["prior"]["dim"]), "image_shape": list(image_shape)})
    return model, build_prior({**table["prior"], "latent_dim": model.latent_dim})


def read_images(array: str, device: str) -> Pixels:
    """Return what `write_digits` wrote for other programs, (n, 1, H, W) uint8."""
    return load_file(array, device)["images"]


def write_weights(path: str, model: Autoencoder, prior: Prior) -> None:
    """Write the weights of a trained network, under genrev's names, and the buffers of its prior."""
    tensors = {**prefixed("model", model), **prefixed("prior", prior)}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def read_weights(path: Path, recipe: str, image_shape: tuple[int, ...]) -> tuple[Autoencoder, Prior]:
    """Return what `write_weights` wrote."""
    model, prior = fresh(recipe, image_shape)
    tensors = load_file(path)
    load_prefixed(model, "model", tensors, path)
    load_prefixed(prior, "prior", tensors, path)
    return model, prior


def read_checkpoint(path: Path) -> tuple[Autoencoder, Prior]:
    """Return the network and the prior of a checkpoint."""
    model = genrev_cli.load(path, device="cpu")
    return model.network, model.prior


def traces(out: Path) -> list[Path]:
    """Return what a training command leaves: a checkpoint and a run folder."""
    return [out, run_folder(out)]


def load_optimizers() -> None:
    """Let torch import what its first optimizer needs, a compiler among it, which takes a second."""
    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])


Judge = Callable[[Autoencoder, Prior], dict[str, Any]]


def judged(judge: Judge, out: Path, read: Callable[[Path], tuple[Autoencoder, Prior]]) -> Callable[[str], dict[str, Any]]:
    """Return the judge of a side that writes `out` and prints its own columns. read: opens `out`."""
    return lambda stdout: {**judge(*read(out)), **answer(stdout)}


@torch.no_grad()
def restored(model: Autoencoder, prior: Prior, x: Images) -> tuple[Tensor, Tensor, Tensor]:
    """Return z = R(x), ẑ = clip(z) and x̂ = R⁻¹(ẑ), without batch statistics."""
    model.eval()
    parts = []
    for part in x.split(BATCH):
        z = model.encode(part)
        z_hat = prior.restrict(z)
        parts.append((z, z_hat, model.decode(z_hat)))
    z, z_hat, x_hat = (torch.cat(column) for column in zip(*parts, strict=True))
    return z, z_hat, x_hat


def loss_judge(recipe: str, test: np.ndarray) -> Judge:
    """Return a judge: the error mean |x − x̂| of the test images, x̂ as a picture in [0, 1], and the loss that the recipe minimises."""
    weights, x = read_recipe(recipe)["pretrain-recon"], to_float(torch.from_numpy(test))

    def columns(model: Autoencoder, prior: Prior) -> dict[str, Any]:
        z, z_hat, x_hat = restored(model, prior, x)
        L_x, L_z = image_loss(x, x_hat, one_sided=weights.get("one_sided", False)), latent_loss(z, z_hat)
        return {"error": image_loss(x, x_hat.clamp(0, 1)).item(), "loss": (weights["weight_x"] * L_x + weights["weight_z"] * L_z).item()}

    return columns


def sample_judge(test: np.ndarray) -> Judge:
    """Return a judge: √ mean (x − x̂)² of the test images, and the Fréchet distance between the pixels of as many samples and theirs."""
    x = to_float(torch.from_numpy(test))
    real = pixel_statistics(torch.from_numpy(test))

    def columns(model: Autoencoder, prior: Prior) -> dict[str, Any]:
        x_hat = restored(model, prior, x)[2]
        codes = prior.embed(prior.sample(len(x), torch.Generator().manual_seed(SEED)))
        with torch.no_grad():
            drawn = torch.cat([model.decode(part) for part in codes.split(BATCH)])
        error = (x - x_hat).square().mean().sqrt().item()
        return {"rmse": error, "fd_pixel": frechet_distance(pixel_statistics(to_pixels(drawn)), real)}

    return columns


def pixel_statistics(pixels: Pixels) -> Statistics:
    """Return mean and covariance of the features of FD-pixel, from images (n, C, H, W) uint8."""
    channels, height, width = pixels.shape[1:]
    extractor = PixelExtractor((channels, height, width))
    moments = Moments(extractor.dims)
    moments.add(extractor(pixels).numpy())
    return moments.statistics()
