"""Settings of bench."""

from dataclasses import dataclass
from pathlib import Path

from genrev_cli.settings.base import ADVANCED, FILES, SIZE, Settings, setting
from genrev_cli.settings.common import device_setting


@dataclass(frozen=True, kw_only=True)
class BenchOptions(Settings):
    """only: sections to run, () for all. images, batch: None is what the section takes by itself. path: None draws images."""

    only: tuple[str, ...] = setting(
        (),
        "Sections: extraction, frechet, moments of fid; training, metrics, transport, stages of growth; minibatch, semidiscrete, drawing "
        "of ot; step, depth of revnet; fid, pictures, sampling, minibatch, transport, invertible, autoencoders of task.",
        panel=SIZE,
        shown="all",
    )
    rounds: int = setting(3, "Timed runs of each variant, in turn.", panel=SIZE, at_least=1)
    threads: int = setting(0, "Threads of PyTorch, NumPy and SciPy; 0 leaves the number to each.", panel=ADVANCED, at_least=0)
    images: int | None = setting(
        None, "Images per run.", panel=SIZE, at_least=2, shown="100 of fid, 1024 of batches, 128 of sample, 256 to 7500 of task"
    )
    batch: int | None = setting(None, "Images at a time.", panel=SIZE, at_least=1, shown="16 of revnet, 64 of inn, batches, sample, task")
    path: Path | None = setting(
        None, "Folder of JPEGs or PNGs for batches and task; for task also a zip.", panel=FILES, shown="images drawn for it"
    )
    device: str = device_setting()
    quick: bool = setting(False, "Small sizes, to see that it works; no measurement.", panel=SIZE)
    bf16: bool = setting(False, "Measure bf16 even where the CPU emulates it.", panel=ADVANCED)
