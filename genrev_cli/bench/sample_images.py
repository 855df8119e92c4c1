"""Time sampling from the CelebA RevNet: with the published layers batch by batch, and with genrev's as `genrev sample` does."""

from collections.abc import Callable

import torch

from genrev_cli.bench.harness import Table, Variant, alternate, compared
from genrev_cli.bench.published_revnet import PublishedRevNet
from genrev_cli.bench.revnet_step import RECIPE, celeba_revnet, drawn
from genrev_cli.bench.training_step import EQUAL, NO_BF16, deviation
from genrev_cli.config import read_recipe
from genrev_cli.latents import Prior, build_prior
from genrev_cli.models import Autoencoder
from genrev_cli.progress import Progress
from genrev_cli.settings.bench import BenchOptions
from genrev_cli.settings.sampling import Draw
from genrev_cli.shapes import Pixels, to_pixels
from genrev_cli.store.drawing import Drawing, draw_pixels
from genrev_cli.training.devices import has_bf16

BATCH = 64
IMAGES = 128


def sampling(options: BenchOptions, device: torch.device, progress: Progress) -> list[Table]:
    """Measure images per second from codes to pixels in memory, with an untrained network; no files are written."""
    n, batch = (6, 3) if options.quick else (options.images or IMAGES, options.batch or BATCH)
    model = drawn(celeba_revnet(options.quick)).to(device)
    prior = build_prior({**read_recipe(RECIPE)["prior"], "latent_dim": model.latent_dim}).to(device)
    theirs = published(PublishedRevNet(model), prior, n, batch, device=device)
    variants = [Variant("published layers", theirs), Variant("genrev fp32", own(model, prior, n, batch, device=device, bf16=False))]
    notes = [
        "error: of the pixels, relative to the published layers' in the Euclidean norm",
        "no gradients on either side; the published side gets the codes, genrev draws them with one generator per image",
    ]
    if options.bf16 or has_bf16(device):
        variants.append(Variant("genrev bf16", own(model, prior, n, batch, device=device, bf16=True)))
    else:
        notes.append(NO_BF16)
    title = f"{n} samples of the CelebA RevNet in batches of {batch} on {device.type}"
    timings = alternate(variants, options.rounds, title, progress)
    rows = compared(timings, lambda pixels: deviation([pixels.float()], [timings[0].result.float()]))
    assert rows[1]["error"] < EQUAL, "genrev and the published layers do not sample the same images"
    for row in rows:
        row["images_per_second"] = n / row["seconds"]
    return [Table(title, rows, tuple(notes))]


def published(network: PublishedRevNet, prior: Prior, n: int, batch: int, *, device: torch.device) -> Callable[[], Pixels]:
    """Return a run that decodes given codes batch by batch."""
    codes = Drawing(prior, Draw(), device).codes(range(n))

    @torch.no_grad()
    def run() -> Pixels:
        return torch.cat([to_pixels(network.decode(prior.embed(some))).cpu() for some in codes.split(batch)])

    return run


def own(model: Autoencoder, prior: Prior, n: int, batch: int, *, device: torch.device, bf16: bool) -> Callable[[], Pixels]:
    """Return a run that samples as `genrev sample` does: the last batch is filled up, and the surplus dropped."""

    @torch.no_grad()
    def run() -> Pixels:
        blocks = [range(start, start + batch) for start in range(0, n, batch)]
        drawing = Drawing(prior, Draw(), device, blocks)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            return torch.cat([draw_pixels(model, drawing, numbers).cpu() for numbers in blocks])[:n]

    return run
