"""Monitors: measurements on held-out images, and preview pictures, during training."""

from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from genrev_cli.errors import UsageError
from genrev_cli.files.header import Header
from genrev_cli.files.images import ImageSet
from genrev_cli.files.pictures import grid, grid_bytes, pixels_digest, write_picture
from genrev_cli.metrics.reconstruction import L1
from genrev_cli.metrics.sliced import relative_sliced_wasserstein
from genrev_cli.seeds import derive
from genrev_cli.settings.sampling import Draw
from genrev_cli.shapes import Pixels, to_float, to_pixels
from genrev_cli.store.drawing import Drawing, draw_images
from genrev_cli.training.method import AutoencoderMethod, Method, parts_of

IMAGES = 1000
BATCH = 250


def held_out(images: ImageSet) -> str:
    """Return the split to monitor: val if there is one, else test, else train."""
    present = [split for split in ("val", "test") if (images.split == ("train", "val", "test").index(split)).any()]
    return present[0] if present else "train"


class Monitor(ABC):
    """Measures a model on the same held-out images every time, so that curves compare models and not images. folder: for pictures."""

    def __init__(self, images: ImageSet, seed: int, device: torch.device, folder: Path) -> None:
        rows = images.rows(held_out(images))
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(derive(seed, "monitor", "rows")))
        chosen = rows[order[:IMAGES].numpy()]
        self.pixels = torch.from_numpy(images.read(chosen)).to(device)
        self.labels = torch.from_numpy(images.labels[chosen]).to(device)
        self.seed, self.device, self.folder = seed, device, folder

    @abstractmethod
    def numbers(self, method: Method, model: nn.Module) -> dict[str, float]:
        """Measure `model`: the model of the method, or its average."""

    def preview(self, step: int, model: nn.Module, made_by: dict[str, Any]) -> None:  # noqa: B027 (not all have some)
        """Write pictures."""

    @staticmethod
    def preview_bytes(image_shape: tuple[int, int, int]) -> int:
        """Return the largest size of the pictures of one preview, in bytes."""
        return 0


@final
class AutoencoderMonitor(Monitor):
    """Reconstructions, codes and samples."""

    @torch.no_grad()
    def numbers(self, method: Method, model: nn.Module) -> dict[str, float]:
        """Return the L1 errors of the restricted and the full round trip, max |z|, the relative sliced Wasserstein distance of the codes
        to the prior, and the method's own numbers. Networks run in the precision of the training. The former is that of pictures, which are
        clipped to [0, 1].
        """
        assert isinstance(method, AutoencoderMethod)
        autoencoder, prior = parts_of(model)
        autoencoder.eval()
        restricted, full, codes, widest = L1(), L1(), [], 0.0
        own: list[dict[str, Tensor]] = []
        swd: dict[str, float] = {}
        generator = torch.Generator(self.device).manual_seed(derive(self.seed, "monitor", "method"))
        for pixels in self.pixels.split(BATCH):
            x = to_float(pixels)
            with method.autocast():
                z = autoencoder.encode(x)
                restricted.add(x, autoencoder.decode(prior.restrict(z)).clamp(0, 1))
                full.add(x, autoencoder.decode(z))
            codes.append(prior.select(z))
            widest = max(widest, z.abs().max().item())
            own.append(method.measure(autoencoder, prior, x, generator))
        autoencoder.train()
        y = torch.cat(codes)
        generator = torch.Generator(self.device).manual_seed(derive(self.seed, "monitor", "prior"))
        two = prior.sample(len(y), generator), prior.sample(len(y), generator)
        with suppress(UsageError):  # a prior without width, as of equal images: there is no such number
            swd["relative_swd"] = float(relative_sliced_wasserstein(y, *two, projections=256, generator=generator))
        return {
            "l1_restricted": restricted.mean,
            "roundtrip_mean": full.mean,
            "roundtrip_max": full.max,
            "max_abs_z": widest,
            **swd,
            **{name: torch.cat([numbers[name] for numbers in own]).mean().item() for name in own[0]},
            **method.describe(prior),
        }

    @torch.no_grad()
    def preview(self, step: int, model: nn.Module, made_by: dict[str, Any]) -> None:
        """Write a grid of samples and one of reconstructions (originals above), with the same seeds and images every time."""
        autoencoder, prior = parts_of(model)
        autoencoder.eval()
        samples = draw_images(autoencoder, Drawing(prior, Draw(self.seed), self.device), range(64))
        x = to_float(self.pixels[:16])
        restored = autoencoder.decode(prior.restrict(autoencoder.encode(x)))
        autoencoder.train()
        self._write(f"step-{step:07d}-samples.png", to_pixels(samples), 8, step, made_by=made_by)
        self._write(f"step-{step:07d}-recon.png", torch.cat([self.pixels[:16], to_pixels(restored)]), 16, step, made_by=made_by)

    @staticmethod
    def preview_bytes(image_shape: tuple[int, int, int]) -> int:
        """Return the largest size of a grid of samples and one of reconstructions, in bytes."""
        return grid_bytes((64, *image_shape)) + grid_bytes((32, *image_shape))

    def _write(self, name: str, tiles: Pixels, columns: int, step: int, *, made_by: dict[str, Any]) -> None:
        picture = grid(tiles.cpu().numpy(), columns)
        write_picture(
            self.folder / name, picture, Header("picture", {"shows": name}, pixels_digest(picture), step, inputs={}, made_by=made_by)
        )
