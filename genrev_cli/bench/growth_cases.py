"""The work that `genrev bench growth` measures: functions that take a size and return a run."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genrev_cli.bench.ot_drawing import own as drawn_codes
from genrev_cli.bench.ot_drawing import random_map
from genrev_cli.files.writers import write_data
from genrev_cli.metrics.frechet import Moments, Statistics, frechet_distance
from genrev_cli.metrics.neighbours import prdc
from genrev_cli.metrics.sliced import sliced_wasserstein
from genrev_cli.models import Bijection, build_model
from genrev_cli.ot.discrete import transport_loss
from genrev_cli.ot.semidiscrete import SolverConfig, build_solver
from genrev_cli.scoring.comparing import compared
from genrev_cli.settings.codes import EncodeSettings
from genrev_cli.settings.sample import SampleSettings
from genrev_cli.stages.encode import encode
from genrev_cli.stages.sample import sample

Run = Callable[[], Any]

MODEL = Path("mnist")
BATCH = 8


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def step_by_depth(memory: str, blocks: int) -> Run:
    """Encode, restrict, decode, loss and gradients of a RevNet with `blocks` blocks on each of two scales, for 32×32 images."""
    return _step(memory, blocks, 32)


def step_by_side(memory: str, side: int) -> Run:
    """The same step with two blocks per scale, for images of `side` × `side` pixels."""
    return _step(memory, 2, side)


def _step(memory: str, blocks: int, side: int) -> Run:
    scales = [{"blocks": blocks, "hidden": 32, "kernel": 3}] * 2
    model = build_model({"name": "revnet", "image_shape": [3, side, side], "scales": scales})
    assert isinstance(model, Bijection)
    model.memory = memory
    x = torch.rand(BATCH, 3, side, side, generator=_generator())
    parameters = list(model.parameters())

    def run() -> Any:
        z = model.encode(x)
        loss = (x - model.decode(z / 2)).abs().mean() + z.square().mean()
        return torch.autograd.grad(loss, parameters)

    return run


def assignment(n: int) -> Run:
    """The exact transport loss between two sets of n codes in 32 dimensions, and its gradient."""
    x, y = torch.randn(2, n, 32, generator=_generator())
    return lambda: torch.autograd.grad(transport_loss(x.requires_grad_(), y), x)


def sliced(n: int) -> Run:
    """The sliced Wasserstein distance between two sets of n codes in 32 dimensions, with 64 projections."""
    x, y = torch.randn(2, n, 32, generator=_generator())
    return lambda: sliced_wasserstein(x, y, projections=64, generator=_generator())


def moments_by_n(n: int) -> Run:
    """Mean and covariance of n features in 128 dimensions, in batches of 500."""
    return _moments(n, 128)


def moments_by_d(d: int) -> Run:
    """Mean and covariance of 4,000 features in d dimensions."""
    return _moments(4000, d)


def _moments(n: int, d: int) -> Run:
    features = np.random.default_rng(0).standard_normal((n, d), np.float32)

    def run() -> Statistics:
        moments = Moments(d)
        for start in range(0, n, 500):
            moments.add(features[start : start + 500])
        return moments.statistics()

    return run


def frechet(d: int) -> Run:
    """The Fréchet distance of two covariances of full rank in d dimensions."""
    rng = np.random.default_rng(0)
    rows = [rng.standard_normal((2 * d, d)) * np.geomspace(1, 0.01, d) for _ in range(2)]
    pair = [(some.mean(axis=0), np.cov(some, rowvar=False)) for some in rows]
    return lambda: frechet_distance(*(Statistics(None, mu, sigma=sigma) for mu, sigma in pair))


def neighbours(n: int) -> Run:
    """Precision, recall, density and coverage of n features each in 64 dimensions."""
    real, fake = np.random.default_rng(0).standard_normal((2, n, 64), np.float32)
    return lambda: prdc(real, fake)


def solver_step(codes: int) -> Run:
    """One step of fit-ot with 250 samples, in 32 dimensions."""
    return build_solver(torch.randn(codes, 32, generator=_generator()), None, SolverConfig(batch=250), 0).step


def map_codes(codes: int) -> Run:
    """Draw 64 codes from a transport map of `codes` codes in 32 dimensions."""
    return drawn_codes(random_map(codes, 32), 64, 64)


def sample_images(n: int) -> Run:
    """genrev sample --ckpt mnist -n N --out samples.h5"""
    return partial(_in_a_folder, lambda folder: sample(MODEL, folder / "samples.h5", SampleSettings(n=n, device="cpu")))


def encode_images(n: int) -> Run:
    """genrev encode --ckpt mnist --data N random images"""
    images = np.random.default_rng(0).integers(0, 256, (n, 1, 28, 28), np.uint8)

    def run(folder: Path) -> None:
        write_data(folder / "data.h5", images)
        encode(MODEL, folder / "codes.h5", EncodeSettings(device="cpu"), data=folder / "data.h5")

    return partial(_in_a_folder, run)


def pixel_fid(n: int) -> Run:
    """genrev fid --features pixel between two sets of n images of 16×16 pixels."""
    first, second = np.random.default_rng(0).integers(0, 256, (2, n, 1, 16, 16), np.uint8)
    return lambda: compared(first, second, {"features": "pixel", "device": "cpu"})


def _in_a_folder(run: Callable[[Path], Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder))
