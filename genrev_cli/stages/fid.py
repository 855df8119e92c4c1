"""fid: two sets of images, or a model and real ones → a JSON file with their distance and all that decides it."""

import time
from pathlib import Path

from genrev_cli.files.targets import check_target
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.scoring.measure import measure, score_inputs, write_score
from genrev_cli.settings.fid import FidOptions
from genrev_cli.training.distributed import rank


def fid(samples: Path | None, out: Path, options: FidOptions, *, progress: Progress = SILENT) -> Result:
    """Measure as `measure` does, and write the result. Raises what that raises, and FileError for an unusable target."""
    start = time.perf_counter()
    check_target(out, "score", (".json",), score_inputs(samples, options))
    measured = measure(samples, options, progress)
    return Result(None) if rank() else write_score(out, measured, options, start)
