"""The subject of the checks: a device, and a network with its prior from a recipe or checkpoint."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import torch

from genrev_cli.bench.harness import timed
from genrev_cli.bench.training_step import Network, Problem, gradients
from genrev_cli.doctor.images import smooth_images
from genrev_cli.files.images import ImageSet
from genrev_cli.latents import Prior
from genrev_cli.methods.reconstruction import Reconstruction, image_loss, latent_loss
from genrev_cli.models import MEMORY, Autoencoder, Bijection, RevNet
from genrev_cli.precision import autocast_in
from genrev_cli.runs.execution import execute
from genrev_cli.scoring.exactness import exact
from genrev_cli.settings.reconstruction import ReconstructionConfig
from genrev_cli.settings.schedule import RunOptions, Schedule
from genrev_cli.shapes import Images, Latents, Pixels, Scalar, to_float
from genrev_cli.training.devices import has_bf16, resolve_device


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """A device and a network on it.

    word: the device as given by --device. name: description of the network for the report. template: network and prior on the CPU, never
    changed. settings: of the training step. batch: number of images in timed steps; few: in steps whose results are compared.
    precision: the checkpoint's own, else fp32. bits: K of its exact mode, or 0. images: a small prepared set. scratch: temporary folder.
    """

    word: str
    device: torch.device
    name: str
    template: tuple[Autoencoder, Prior]
    settings: ReconstructionConfig
    batch: int
    few: int
    precision: str
    bits: int
    images: ImageSet
    scratch: Path

    @property
    def cuda(self) -> bool:
        """Return True if the device is a GPU."""
        return self.device.type == "cuda"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Return (C, H, W)."""
        return self.template[0].image_shape

    def network(self, *, bits: int = 0) -> Autoencoder:
        """Return a copy of the network on the device, in evaluation mode; bits: K of a grid of 2^−K, or 0."""
        model = copy.deepcopy(self.template[0])
        return (exact(model, bits) if bits else model).to(self.device).eval()

    def prior(self) -> Prior:
        """Return a copy of the prior on the device."""
        return copy.deepcopy(self.template[1]).to(self.device)

    def pixels(self, n: int) -> Pixels:
        """Return n smooth random images, (n, C, H, W) uint8 on the device, equal in every call."""
        return torch.from_numpy(smooth_images(n, self.image_shape)).to(self.device)

    def x(self, n: int) -> Images:
        """Return `pixels` in [0, 1]."""
        return to_float(self.pixels(n))

    def lacks(self, need: str) -> str:
        """Return why `need` is missing, '' if it is there. need: a precision, or 'cuda', 'encoder', 'inverse', 'grid' (an exact mode)."""
        model, device = self.template[0], self.device
        if need in ("cuda", "tf32") and not self.cuda:
            return "TF32 is a mode of CUDA devices" if need == "tf32" else "this needs a CUDA device"
        if need == "tf32" and torch.cuda.get_device_capability(device)[0] < 8:
            return "this GPU is older than TF32"
        if need == "bf16" and not has_bf16(device) and self.precision != "bf16":
            return "bf16 is emulated on this device"
        missing = {
            "encoder": "" if model.encodes else "the network has no encoder",
            "inverse": "" if isinstance(model, Bijection) else "the network is not invertible",
            "grid": "" if isinstance(model, RevNet) else "only networks with additive couplings have an exact mode",
        }
        return missing.get(need, "")

    @contextmanager
    def switched(self, precision: str) -> Iterator[None]:
        """Set the device to a precision within the block, and to fp32 after it. Autocast is left to the method."""
        resolve_device(self.word, precision)
        try:
            yield
        finally:
            resolve_device(self.word)

    @contextmanager
    def computing(self, precision: str) -> Iterator[None]:
        """Run networks in a precision within the block; for bf16 this includes autocast."""
        with self.switched(precision), autocast_in(self.device, precision)():
            yield

    def reconstruction(self, precision: str = "fp32", memory: str = MEMORY[0]) -> Reconstruction:
        """Return the method of `genrev pretrain-recon` on a copy of the network, set up as in that command."""
        model = self.network().train().requires_grad_(True)
        method = Reconstruction(model, self.prior(), self.settings, autocast_in(self.device, precision))
        execute(method, Schedule(batch=self.batch, precision=precision, memory=memory), RunOptions())
        return method

    def stepper(self, method: Reconstruction, batch: int) -> Callable[[int], dict[str, Scalar]]:
        """Return a function that takes the training step of a given number, on a batch already on the device."""
        x, generator = self.x(batch), torch.Generator(self.device)
        labels = torch.zeros(batch, dtype=torch.int64, device=self.device)
        return lambda number: method.step(x, labels, generator.manual_seed(number))

    def problem(self, model: Autoencoder, batch: int, restrict: Callable[[Latents], Latents] | None = None) -> Problem:
        """Return the loss of the training step with its inputs, without an optimizer.

        restrict: z → ẑ, instead of the prior's own projection.
        """
        settings = self.settings

        def loss(x: Images, x_hat: Images, z: Latents, z_hat: Latents) -> Scalar:
            """L = w_x L_x + w_z L_z"""
            L_x = image_loss(x, x_hat, settings.image_norm, one_sided=settings.one_sided)
            return settings.weight_x * L_x + settings.weight_z * latent_loss(z, z_hat)

        return Problem(self.x(batch), restrict or self.prior().restrict, loss, _coding_parameters(model))

    @cached_property
    def seconds_per_image(self) -> float:
        """Return the seconds per image of a training step in fp32; 0 if that fails, because a check will then report it."""
        if not self.template[0].encodes:
            return 0.0
        try:
            model = self.network().requires_grad_(True)
            batch = max(self.few // 2, 1)
            step = partial(gradients, self.problem(model, batch), Network(model.encode, model.decode))
            step()
            return min(timed(step)[0] for _ in range(2)) / batch
        except Exception:  # the first check that trains raises it again and reports it
            return 0.0


def _coding_parameters(model: Autoencoder) -> list[torch.nn.Parameter]:
    """Return the parameters that encoding and decoding use."""
    return [parameter for module in model.coding_modules() for parameter in module.parameters()]
