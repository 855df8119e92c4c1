"""Codes of images, and those that samples are drawn from, side by side: does one follow the other? (A4; D, Fig. 4a)"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from genrev_cli.errors import FileError
from genrev_cli.files import hdf5
from genrev_cli.files.checkpoint import read_checkpoint_header
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
    """Up to POINTS codes of a file, and as many drawn from each sampler that was fitted to them, on planes; without any from the prior.

    checkpoints: where to look for the codes' own when it is not where it was; where it is gone there is a note, and nothing of the prior.
    Raises FileError when a file is damaged.
    """
    real, labels = _some(codes.path)
    if len(real) < 2:
        progress.note(f"{codes.path}: has {len(real)} codes, so they are not drawn")
        return []
    fitted = [file for file in samplers if file.header.inputs.get("codes", {}).get("sha256") == codes.header.sha256]
    if fitted:
        sources = [(file.path.name, load_sampler(SamplerFile(file.path))[1]) for file in fitted]
    else:
        model = _checkpoint(codes, checkpoints)
        if model is None:
            progress.note(f"{codes.path}: the checkpoint that it was encoded with is gone, so its codes are not drawn; give it too")
            return []
        sources = [("the prior", load_checkpoint(model, CPU).prior)]
    classes = _classes(codes, labels)
    return [
        CodeClouds(codes, _planes(codes, real, _drawn(source, codes, len(real)), progress), classes, SEED, real.shape[1], name)
        for name, source in sources
    ]


def _planes(codes: Record, real: np.ndarray, generated: np.ndarray, progress: Progress) -> list[Cloud]:
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
    return [flat, near]


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
def _drawn(source: Distribution, codes: Record, n: int) -> np.ndarray:
    """n codes; of a prior, where the file has all dimensions, among all of them, of which the others are at rest."""
    drawn = Drawing(source, Draw(SEED), CPU).codes(range(n))
    full = isinstance(source, Prior) and codes.header.config.get("latent") == "full"
    return (source.embed(drawn) if full else drawn).numpy()


def _classes(codes: Record, labels: np.ndarray) -> list[str]:
    """The names of labels; '' where one is unknown, numbers where the data set does not name them."""
    data = codes.inputs.get("data")
    names = (data.header.config.get("classes") if data else None) or []
    return [("" if label < 0 else names[label] if label < len(names) else str(label)) for label in labels.tolist()]
