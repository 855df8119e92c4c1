"""Codes of images and of the prior side by side: does the encoder map the data to the prior? (A4)"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from genrev_cli.errors import FileError
from genrev_cli.files import hdf5
from genrev_cli.files.checkpoint import read_checkpoint_header
from genrev_cli.files.images import read_rows
from genrev_cli.metrics.arrays import require_same_dims
from genrev_cli.metrics.embedding import pca, perplexity, tsne
from genrev_cli.progress import Progress
from genrev_cli.report.chain import Record
from genrev_cli.report.material import Cloud, CodeClouds
from genrev_cli.seeds import derive
from genrev_cli.stages.checkpoints import load_checkpoint
from genrev_cli.stages.drawing import draw_codes

POINTS = 1000
SEED = 0


def code_clouds(codes: Record, checkpoints: Sequence[Record], progress: Progress) -> CodeClouds | None:
    """Up to POINTS codes of a file and as many of the prior of their checkpoint, on planes; None, and a note, where that is gone.

    checkpoints: where to look for it when it is not where it was. Raises FileError when the file is damaged.
    """
    model = _checkpoint(codes, checkpoints)
    if model is None:
        progress.note(f"{codes.path}: the checkpoint that it was encoded with is gone, so its codes are not drawn; give it too")
        return None
    real, labels = _some(codes.path)
    if len(real) < 2:
        progress.note(f"{codes.path}: has {len(real)} codes, so they are not drawn")
        return None
    generated = _drawn(model, len(real), full=codes.header.config.get("latent") == "full")
    require_same_dims(real.shape[1], generated.shape[1])
    with progress.task(f"planes of {codes.path.name}", 2, "planes") as bar:
        x, y, share = pca(real, generated)
        about = f"principal axes of the real codes, with {share[0]:.0%} and {share[1]:.0%} of their variance"
        flat = Cloud("PCA", about, x, y)
        bar.advance()
        x, y = tsne(real, generated, SEED)
        near = Cloud(
            "t-SNE", f"of both together, perplexity {perplexity(len(x) + len(y)):g}; only neighbourhoods have a meaning", x, y, named=True
        )
        bar.advance()
    return CodeClouds(codes, [flat, near], _classes(codes, labels), SEED, real.shape[1])


def _checkpoint(codes: Record, given: Sequence[Record]) -> Path | None:
    """Where the checkpoint is that the codes were made with; equal content is the same checkpoint."""
    recorded = codes.inputs.get("ckpt")
    if recorded is None:
        return None
    if recorded.path.exists() and read_checkpoint_header(recorded.path).sha256 == recorded.header.sha256:
        return recorded.path
    return next((record.path for record in given if record.header.sha256 == recorded.header.sha256), None)


def _some(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """POINTS codes drawn at random, and their labels, read alone: all dimensions of all images can be more than fits into memory."""
    with hdf5.reading(path) as (_, file):
        if not {"codes", "labels"} <= file.keys():
            raise FileError(f"{path}: damaged: codes or labels are missing; run 'genrev encode' again")
        order = np.random.default_rng(derive(SEED, "planes")).permutation(len(file["codes"]))
        rows = np.sort(order[:POINTS])
        return read_rows(file["codes"], rows), file["labels"][:][rows]


@torch.no_grad()
def _drawn(ckpt: Path, n: int, *, full: bool) -> np.ndarray:
    """n codes from a checkpoint's prior; full: among all dimensions, of which the others are at rest."""
    cpu = torch.device("cpu")
    prior = load_checkpoint(ckpt, cpu).prior
    codes = draw_codes(prior, SEED, range(n), cpu)
    return (prior.embed(codes) if full else codes).numpy()


def _classes(codes: Record, labels: np.ndarray) -> list[str]:
    """The names of labels; '' where one is unknown, numbers where the data set does not name them."""
    data = codes.inputs.get("data")
    names = (data.header.config.get("classes") if data else None) or []
    return [("" if label < 0 else names[label] if label < len(names) else str(label)) for label in labels.tolist()]
