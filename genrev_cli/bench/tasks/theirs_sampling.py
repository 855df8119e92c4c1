"""Draw images as scripts usually do: {ckpt, n, batch, out, device} → a folder `out` of PNG files."""

from pathlib import Path

import torch
from torchvision.utils import save_image

import genrev_cli
from genrev_cli.bench.tasks.words import arguments


@torch.no_grad()
def main(*, ckpt: str, n: int, batch: int, out: str, device: str) -> None:
    """Write the files."""
    model, generator = genrev_cli.load(ckpt, device=device), torch.Generator(device).manual_seed(0)
    Path(out).mkdir()
    for start in range(0, n, batch):
        codes = model.prior.sample(min(batch, n - start), generator)
        for number, image in enumerate(model.network.decode(model.prior.embed(codes))):
            save_image(image, Path(out, f"{start + number:06d}.png"))


if __name__ == "__main__":
    main(**arguments())
