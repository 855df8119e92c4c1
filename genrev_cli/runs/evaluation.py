"""Score a model while it trains, as in Figure 10 of Schirrmeister et al. 2018."""

import hashlib
import json

import torch

from genrev_cli.errors import UsageError
from genrev_cli.files.images import SPLITS, ImageSet
from genrev_cli.latents import Prior
from genrev_cli.metrics.frechet import Moments, frechet_distance
from genrev_cli.models import Autoencoder
from genrev_cli.progress import Progress
from genrev_cli.runs.monitor import held_out
from genrev_cli.scoring.extractors import open_extractor
from genrev_cli.scoring.features import features_of
from genrev_cli.scoring.images import open_image_input
from genrev_cli.settings.evaluation import EvalOptions
from genrev_cli.settings.sampling import Draw
from genrev_cli.store.drawing import Drawing, draw_pixels
from genrev_cli.training.distributed import dealt, rank, size

BATCH = 64


def require_two(images: ImageSet, split: str) -> None:
    """Raise UsageError for a split with fewer than two images, which have no covariance."""
    found = len(images.rows(split, "--eval-split"))
    if found < 2:
        counts = {name: int((images.split == i).sum()) for i, name in enumerate(SPLITS)}
        larger = [f"--eval-split {name} ({count} images)" for name, count in counts.items() if count > 1]
        raise UsageError(f"{images.path}: split '{split}' has one image, but a distance needs at least 2; pass {' or '.join(larger)}")


class Evaluator:
    """Fréchet distance between samples and real images. Features and codes are the same each time, and all processes share the work.

    label: the name of the distance. protocol: settings that must be equal for two scores to be comparable.
    Raises UnavailableError when the features' weights are missing, UsageError for an unknown split.
    """

    def __init__(self, options: EvalOptions, images: ImageSet, seed: int, device: torch.device, *, progress: Progress) -> None:
        self.n, self.seed, self.device = options.n, seed, device
        self.extractor = open_extractor(options.extractor, images.image_shape, device)
        self.label = self.extractor.label
        split = options.split or held_out(images)
        features = hashlib.sha256(json.dumps(self.extractor.identity, sort_keys=True).encode()).hexdigest()[:12]
        self.protocol = {"n": options.n, "split": split, "features": features}
        require_two(images, split)
        real = open_image_input(images.path, split, 0, progress)
        self.reference = features_of(real, self.extractor, progress, "reference").statistics()

    @torch.no_grad()
    def __call__(self, autoencoder: Autoencoder, prior: Prior) -> float:
        """Return the distance of n samples. Raises DivergedError when one is not finite."""
        moments = Moments(self.extractor.dims)
        blocks = [range(first, min(first + BATCH, self.n)) for first in range(0, self.n, BATCH)]
        drawing = Drawing(prior, Draw(self.seed), self.device, blocks[rank() :: size()])
        autoencoder.eval()
        try:
            for part in dealt(blocks, lambda numbers: self.extractor(draw_pixels(autoencoder, drawing, numbers))):
                moments.add(part)
        finally:
            autoencoder.train()
        return frechet_distance(moments.statistics(), self.reference)
