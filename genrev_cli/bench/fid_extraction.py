"""Time Inception features of the same images: pytorch-fid's network in its own loop, and genrev's."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from genrev_cli.bench.harness import Table, Variant, alternate, compared
from genrev_cli.bench.random_inception import pytorch_fid_network, random_inception_weights
from genrev_cli.metrics.features import InceptionExtractor
from genrev_cli.progress import Progress
from genrev_cli.seeds import derive
from genrev_cli.settings.bench import BenchOptions
from genrev_cli.shapes import Pixels
from genrev_cli.training.devices import has_bf16

BATCH = 50  # pytorch-fid's default
IMAGES = 100
SIDE = 64


def extraction(options: BenchOptions, device: torch.device, progress: Progress) -> list[Table]:
    """Measure images per second. The images are in memory, so decoding is not counted. The weights are random, so none are downloaded."""
    n = options.images or IMAGES
    n = min(n, 10) if options.quick else n
    images = torch.randint(0, 256, (n, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(derive(0, "images")), dtype=torch.uint8)
    state = random_inception_weights(derive(0, "inception"))
    theirs = pytorch_fid_network(state).to(device)
    variants = [
        Variant("pytorch-fid", lambda: pytorch_fid_features(images, theirs, device)),
        Variant("genrev fp32", _ours(images, state, "fp32", device), target=2.2),
    ]
    notes = ["random weights (He, calibrated batch norms); error: ‖x − x₀‖ / ‖x₀ − mean x₀‖ of the features x₀ of pytorch-fid"]
    if options.bf16 or has_bf16(device):
        variants.append(Variant("genrev bf16", _ours(images, state, "bf16", device), target=4.0))
    else:
        notes.append(
            "bf16 left out: this CPU has no AVX512_BF16 or AMX and emulates it, slower than fp32; pass --bf16 to measure it anyway"
        )
    title = f"extraction of {n} images {SIDE}×{SIDE} on {device.type}"
    timings = alternate(variants, options.rounds, title, progress)
    rows = compared(timings, lambda features: _deviation(features, timings[0].result))
    for row in rows:
        row["images_per_second"] = n / row["seconds"]
    return [Table(title, rows, tuple(notes))]


@torch.no_grad()
def pytorch_fid_features(images: Pixels, network: nn.Module, device: torch.device) -> np.ndarray:
    """Return (n, 2048) float64, with the steps of pytorch-fid's get_activations except reading files: batches of 50, NCHW, in [0, 1]."""
    features = np.empty((len(images), 2048))
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH].float().div(255).to(device)
        features[start : start + BATCH] = network(batch)[0].squeeze(3).squeeze(2).cpu().numpy()
    return features


def _ours(images: Pixels, state: dict[str, Tensor], precision: str, device: torch.device) -> Callable[[], np.ndarray]:
    extractor = InceptionExtractor(state, weights_sha256="", precision=precision, device=device)
    return lambda: extractor(images).numpy()


def _deviation(features: np.ndarray, reference: np.ndarray) -> float:
    return float(np.linalg.norm(features - reference) / np.linalg.norm(reference - reference.mean(axis=0)))
