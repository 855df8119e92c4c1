"""Plot codes of images and generated codes on the same planes, to compare their distributions (An et al. 2020, Figure 4a)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from genrev_cli.errors import FileError
from genrev_cli.files import hdf5
from genrev_cli.files.checkpoint import read_checkpoint_header
from genrev_cli.files.codes import is_gaussian
from genrev_cli.files.images import read_rows
from genrev_cli.latents import Distribution, Prior
from genrev_cli.metrics.arrays import require_same_dims
from genrev_cli.metrics.embedding import pca, perplexity, tsne
from genrev_cli.progress import Progress
from genrev_cli.report.chain import Record
from genrev_cli.report.material import Cloud, CodeClouds
from genrev_cli.seeds import derive
from genrev_cli.settings.sampling import Draw, SamplerFile
from genrev_cli.store.checkpoints import load_checkpoint
from genrev_cli.store.drawing import Drawing
from genrev_cli.store.samplers import load_sampler

POINTS = 1000
SEED = 0
CPU = torch.device("cpu")


def code_clouds(codes: Record, checkpoints: Sequence[Record], samplers: Sequence[Record], progress: Progress) -> list[CodeClouds]:
    """Project up to POINTS codes of a file, with as many generated codes from each sampler fitted to them, or from the prior without any.

    checkpoints: searched for the codes' checkpoint if that has moved. If it is not found, a note says so and the result is empty; so for
    Gaussian codes.
    Raises FileError if a file is damaged.
    """
    if is_gaussian(codes.header):
        progress.note(f"{codes.path}: has Gaussian codes of a flow, which are not plotted")
        return []
    real, labels = _random_codes(codes.path)
    if len(real) < 2:
        progress.note(f"{codes.path}: has only {len(real)} codes, so they are not plotted")
        return []
    sources: list[tuple[str, Distribution]]
    fitted = [file for file in samplers if file.header.inputs.get("codes", {}).get("sha256") == codes.header.sha256]
    if fitted:
        sources = [(file.path.name, load_sampler(SamplerFile(file.path))[1]) for file in fitted]
    else:
        model = _checkpoint(codes, checkpoints)
        if model is None:
            progress.note(
                f"{codes.path}: the checkpoint that made these codes is missing, so they are not plotted; pass that checkpoint too"
            )
            return []
        sources = [("the prior", load_checkpoint(model, CPU).prior)]
    classes = _classes(codes, labels)
    return [
        CodeClouds(codes, _planes(codes, real, _drawn(source, codes, len(real)), progress), classes, SEED, dim=real.shape[1], source=name)
        for name, source in sources
    ]


def _planes(codes: Record, real: np.ndarray, generated: np.ndarray, progress: Progress) -> list[Cloud]:
    require_same_dims(real.shape[1], generated.shape[1])
    with progress.task(f"planes of {codes.path.name}", 2, "planes") as bar:
        x, y, share = pca(real, generated)
        about = f"principal axes of the real codes, which hold {share[0]:.0%} and {share[1]:.0%} of their variance"
        flat = Cloud("PCA", about, x, y)
        bar.advance()
        x, y = tsne(real, generated, SEED)
        near = Cloud(
            "t-SNE",
            f"of both sets together, perplexity {perplexity(len(x) + len(y)):g}; only neighbourhoods are meaningful",
            x,
            y,
            named=True,
        )
        bar.advance()
    return [flat, near]


def _checkpoint(codes: Record, given: Sequence[Record]) -> Path | None:
    """Return the path of the checkpoint that made the codes, identified by its content; None if it is not found."""
    recorded = codes.inputs.get("ckpt")
    if recorded is None:
        return None
    if recorded.path.exists() and read_checkpoint_header(recorded.path).sha256 == recorded.header.sha256:
        return recorded.path
    return next((record.path for record in given if record.header.sha256 == recorded.header.sha256), None)


def _random_codes(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return up to POINTS codes chosen at random, (n, D), and their labels, (n,). Only these are read, since all may exceed the memory."""
    with hdf5.reading(path) as (_, file):
        if not {"codes", "labels"} <= file.keys():
            raise FileError(f"{path}: damaged: codes or labels are missing; run 'genrev encode' again")
        order = np.random.default_rng(derive(SEED, "planes")).permutation(len(file["codes"]))
        rows = np.sort(order[:POINTS])
        return read_rows(file["codes"], rows), file["labels"][:][rows]


@torch.no_grad()
def _drawn(source: Distribution, codes: Record, n: int) -> np.ndarray:
    """Draw n codes, (n, d). Codes of a prior are embedded in all D dimensions if the file holds all of them."""
    drawn = Drawing(source, Draw(SEED), CPU).codes(range(n))
    if isinstance(source, Prior) and codes.header.config.get("latent") == "full":
        drawn = source.embed(drawn)
    return drawn.numpy()


def _classes(codes: Record, labels: np.ndarray) -> list[str]:
    """Return the class name of each label: '' if unknown, the number if the data set has no names."""
    data = codes.inputs.get("data")
    names = (data.header.config.get("classes") if data else None) or []
    return [("" if label < 0 else names[label] if label < len(names) else str(label)) for label in labels.tolist()]
