"""train-gan: a pretrained autoencoder → a GAN whose generator starts as its decoder (An et al. 2020, section 3.3).

Codes are drawn from a map or a flow of the autoencoder's codes, or from its prior.
Without a checkpoint it trains a GAN from noise, such as those of Table 1.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, final

import torch
from torch import nn

from genrev_cli.config import defaults_of, overlaid, split_table
from genrev_cli.errors import UsageError
from genrev_cli.files.header import Header
from genrev_cli.files.pictures import grid, grid_bytes, pixels_digest, write_picture
from genrev_cli.latents import Prior
from genrev_cli.latents.samplers import Resampled
from genrev_cli.methods.aeotgan import AEOTGAN
from genrev_cli.metrics.sliced import sliced_wasserstein
from genrev_cli.models import Autoencoder, build_model
from genrev_cli.precision import autocast_in
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.runs.job import Job
from genrev_cli.runs.monitor import BATCH, AutoencoderMonitor, Monitor
from genrev_cli.runs.planning import defaults_for, job_from_images
from genrev_cli.runs.recipes import recipe_for_checkpoint, say, table_in
from genrev_cli.runs.resume import begun_with
from genrev_cli.runs.run import run_job
from genrev_cli.seeds import derive
from genrev_cli.settings.aeotgan import AEOTGANConfig, settings_of_loss
from genrev_cli.settings.sampling import Draw, SamplerFile
from genrev_cli.settings.schedule import RunOptions, Schedule
from genrev_cli.shapes import to_float, to_pixels
from genrev_cli.store.checkpoints import data_of, write_autoencoder
from genrev_cli.store.drawing import Drawing, draw_images
from genrev_cli.store.samplers import open_model
from genrev_cli.training.method import Method

STAGE = "train-gan"
FAMILY = "gan"  # of recipes, for training from noise
CKPT_FAMILY = "aeotgan"  # of the rule, for checkpoints of other rules
DEFAULT_BATCH = 64  # of most recipes; it is rounded up to a multiple of the method's parts


def train_gan(
    out: Path,
    *,
    ckpt: Path | None = None,
    data: Path | None = None,
    sampler: SamplerFile | None = None,
    recipe: str = "",
    size: str = "",
    init: Path | None = None,
    overrides: dict[str, dict[str, Any]],
    run: RunOptions,
    progress: Progress = SILENT,
) -> Result:
    """Train a generator against a discriminator and write a checkpoint.

    ckpt: the generator starts as its decoder and is trained on codes drawn from `sampler`, or from the checkpoint's prior. recipe: '' is
    the checkpoint's own. If that has no table for this command, it is the rule of AE-OT-GAN for a checkpoint of another rule,
    else the defaults of `AEOTGANConfig`. ckpt None: a fresh network and the prior of a recipe, '' being the one for the data's source, else
    the rule of GANs from noise. A loss that the recipe is not for brings the settings of its authors (`settings_of_loss`).
    init: the network, prior and weights of this checkpoint, instead of fresh ones.
    The checkpoint holds the prior and not the sampler: to sample from it, give the same map or flow again.
    Raises FileError for unusable files, UsageError for unusable settings, and what `run_job` raises.
    """
    if ckpt and init:
        raise UsageError(f"--init {init}: --ckpt {ckpt} already gives the weights to start from; leave one of them out")
    asked = _Asked(recipe, size, overrides, progress)
    begun = {} if run.restart or ckpt else begun_with(out)
    job = _from_checkpoint(ckpt, data, sampler, asked) if ckpt else _from_noise(data, sampler, init, asked, begun=begun)
    return run_job(job, out, run, progress)


class _Asked(NamedTuple):
    """The settings that the user chose, and who is told how the others were completed."""

    recipe: str
    size: str
    overrides: dict[str, dict[str, Any]]
    progress: Progress


def _from_checkpoint(ckpt: Path, data: Path | None, sampler: SamplerFile | None, asked: _Asked) -> Job:
    if asked.size:
        raise UsageError(f"--size-of-model {asked.size}: does not apply to the network of a checkpoint; leave it or --ckpt out")
    if (dims := asked.overrides.get("prior", {}).get("dim")) is not None:
        raise UsageError(f"--dims {dims}: does not apply to the codes of a checkpoint; leave it or --ckpt out")
    start = open_model(ckpt, torch.device("cpu"), sampler)
    if not start.autoencoder.encodes:
        raise UsageError(f"{ckpt}: has no encoder, so there are no codes to train on; give --data without --ckpt to train from noise")
    images = data_of(start.header, data, ckpt)
    choice = recipe_for_checkpoint(start.header, ckpt, images, STAGE, family=CKPT_FAMILY, recipe=asked.recipe, optional=True)
    tables = overlaid(choice.tables, asked.overrides)
    lacks = not asked.recipe and STAGE not in choice.tables
    table = tables.get(STAGE, {}) if lacks else table_in(choice, tables, STAGE)  # a network of any recipe is a good start
    schedule, config = split_table(table, f"{choice.name} [{STAGE}]", Schedule, AEOTGANConfig)
    say(choice, images, "batch and steps", 0, progress=asked.progress)
    if "batch" not in table:
        schedule = replace(schedule, batch=math.ceil(DEFAULT_BATCH / config.parts) * config.parts)
    config.pairs(schedule.batch)

    def build(device: torch.device) -> AEOTGAN:
        trained, frozen = (copy.deepcopy(start.autoencoder).to(device) for _ in range(2))
        prior = _without_codes(copy.deepcopy(start.prior)).to(device)
        return AEOTGAN(trained.train(), prior, config, autocast_in(device, schedule.precision), encoder=frozen)

    settings = {"model": start.autoencoder.config, "prior": base_of(start.prior).config, "method": vars(config)}
    inputs = {"ckpt": start.header.as_input(start.path), "data": images.header.as_input(images.path)}
    if start.sampler:
        path, header = start.sampler
        inputs[start.drawn_from] = header.as_input(path)
        # the digest covers tensors only; the rule that joins cells, or the solver of a flow, must not change either
        settings[start.drawn_from] = header.config["sampler"]
    defaults = defaults_for(settings["model"], settings["prior"], AEOTGANConfig)
    shared = {"a batch": (schedule.batch, config.parts)}
    return Job(
        STAGE, settings, inputs, images, schedule, build,
        batches_per_step=config.discriminator_updates, origin=choice.origin, defaults=defaults, shared=shared, write=_write,
    )  # fmt: skip


def _of_loss(begun: dict[str, Any]) -> Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]:
    """Return `settings_of_loss`, but for a run that began before losses brought settings: it goes on with those of its recipe."""

    def of_loss(table: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
        brought, own = settings_of_loss(table, asked), defaults_of(AEOTGANConfig) | table
        older = bool(begun) and all(begun.get(key) == (list(own[key]) if isinstance(own[key], tuple) else own[key]) for key in brought)
        return {} if older else brought

    return of_loss


def _from_noise(data: Path | None, sampler: SamplerFile | None, init: Path | None, asked: _Asked, *, begun: dict[str, Any]) -> Job:
    if sampler:
        raise UsageError(f"--{sampler.name} {sampler.path}: draws a checkpoint's codes; give that checkpoint as --ckpt")
    if data is None:
        raise UsageError("give --ckpt to train from an autoencoder, or --data to train from noise")
    job = job_from_images(data, STAGE, FAMILY, AEOTGANConfig, make=AEOTGAN, init=init, of_loss=_of_loss(begun), **asked._asdict())
    with torch.device("meta"):
        network = build_model(job.settings["model"])
    _require_trained(network)
    monitor = AutoencoderMonitor if network.encodes else GeneratorMonitor
    return replace(job, batches_per_step=job.settings["method"]["discriminator_updates"], monitor=monitor)


def _require_trained(network: Autoencoder) -> None:
    """Raise UsageError for a network with an encoder that a GAN from noise does not train."""
    trained = sum(parameter.numel() for module in network.decoder_modules() for parameter in module.parameters())
    if trained < network.parameter_count():
        raise UsageError(
            f"'{network.config['name']}': its encoder is not trained without --ckpt; "
            "take a GAN's network with encoder = false in [model], or an invertible one"
        )


def base_of(prior: Prior) -> Prior:
    """Return a checkpoint's own prior, even where codes are drawn from a sampler."""
    return prior.base if isinstance(prior, Resampled) else prior


def _without_codes(prior: Prior) -> Prior:
    """Return the prior with its sampler's tensors kept out of saved states: they are in a file of their own."""
    if isinstance(prior, Resampled):
        for module in prior.sampler.modules():
            for name, tensor in (*module.named_buffers(recurse=False), *module.named_parameters(recurse=False)):
                delattr(module, name)
                module.register_buffer(name, tensor.detach(), persistent=False)
    return prior


def _write(
    path: Path, model: nn.ModuleDict, *, settings: dict[str, Any], step: int, inputs: dict[str, Any], made_by: dict[str, Any]
) -> None:
    """Write the generator's checkpoint, with its own prior."""
    prior = model["prior"]
    assert isinstance(prior, Prior)
    pair = nn.ModuleDict({"autoencoder": model["autoencoder"], "prior": base_of(prior)})
    write_autoencoder(path, pair, settings=settings, step=step, inputs=inputs, made_by=made_by)


@final
class GeneratorMonitor(Monitor):
    """Monitor of a generator that has no encoder: its samples."""

    @torch.no_grad()
    def numbers(self, method: Method, model: nn.Module) -> dict[str, float]:
        """Return the sliced Wasserstein distance between the pixels of samples and of the held-out images, as many of each."""
        generator = torch.Generator(self.device).manual_seed(derive(self.seed, "monitor", "directions"))
        samples = self._samples(model, [range(first, min(first + BATCH, len(self.pixels))) for first in range(0, len(self.pixels), BATCH)])
        distance = sliced_wasserstein(samples.flatten(1), to_float(self.pixels).flatten(1), projections=256, generator=generator)
        return {"pixel_swd": distance.item()}

    @torch.no_grad()
    def preview(self, step: int, model: nn.Module, made_by: dict[str, Any]) -> None:
        """Write a grid of samples from the same seeds every time."""
        name = f"step-{step:07d}-samples.png"
        picture = grid(to_pixels(self._samples(model, [range(64)])).cpu().numpy(), 8)
        write_picture(
            self.folder / name, picture, Header("picture", {"shows": name}, pixels_digest(picture), step, inputs={}, made_by=made_by)
        )

    @staticmethod
    def preview_bytes(image_shape: tuple[int, int, int]) -> int:
        """Return the largest size of a grid of samples, in bytes."""
        return grid_bytes((64, *image_shape))

    def _samples(self, model: nn.Module, blocks: list[range]) -> torch.Tensor:
        assert isinstance(model, nn.ModuleDict)
        autoencoder, prior = model["autoencoder"], model["prior"]
        assert isinstance(autoencoder, Autoencoder)
        assert isinstance(prior, Prior)
        drawing = Drawing(prior, Draw(self.seed), self.device, blocks)
        autoencoder.eval()
        samples = torch.cat([draw_images(autoencoder, drawing, numbers) for numbers in blocks])
        autoencoder.train()
        return samples.clamp(0, 1)
