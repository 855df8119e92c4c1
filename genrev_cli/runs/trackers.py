"""Send what log.jsonl and previews/ get to a tracker as well: TensorBoard, Trackio or Weights & Biases.

A name is KIND/NAME, such as loss/L_x, monitor/l1_restricted or preview/samples. Steps that a resumed run makes again are not sent twice.
A tracker never ends a run: when it fails, a note says so and the run goes on without it.
"""

import json
import os
import shutil
import sys
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import KW_ONLY, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, final

import numpy as np

from genrev_cli.errors import UnavailableError
from genrev_cli.files.atomic import write_text
from genrev_cli.files.pictures import read_picture

PROJECT = "genrev"
"""Name of the project where the environment does not give one (WANDB_PROJECT, TRACKIO_PROJECT)."""

MEMORY = "tracker.json"
"""File in the run folder: which run of the tracker this is, and the last step of each kind that it got."""


@dataclass(frozen=True)
class Run:
    """Facts that a tracker is told at the start.

    name: of the run. ident: the same after a resume. start: the step at which the run begins now.

    folder: the run folder. settings: those of the training, a table that JSON can hold.
    """

    name: str
    ident: str
    start: int
    folder: Path
    _: KW_ONLY
    settings: Mapping[str, Any]


class Adapter(ABC):
    """A tracker's own calls, and nothing else."""

    @abstractmethod
    def __init__(self, run: Run) -> None:
        """Begin a run, or go on with it where start is not 0."""

    @abstractmethod
    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        """Send numbers of a step."""

    @abstractmethod
    def pictures(self, step: int, pictures: Mapping[str, np.ndarray]) -> None:
        """Send pictures of a step, (H, W, 3) uint8 each."""

    @abstractmethod
    def close(self) -> None:
        """Send the rest, and end."""


@final
class TensorBoard(Adapter):
    """Event files in the run folder: `tensorboard --logdir NAME.safetensors.run`."""

    def __init__(self, run: Run) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = run.folder / "tensorboard"
        if not run.start:
            shutil.rmtree(folder, ignore_errors=True)
        self._writer = SummaryWriter(str(folder))
        if not run.start:
            self._writer.add_text("settings", f"```json\n{json.dumps(run.settings, indent=1)}\n```")

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def pictures(self, step: int, pictures: Mapping[str, np.ndarray]) -> None:
        for name, picture in pictures.items():
            self._writer.add_image(name, picture, step, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


@final
class Trackio(Adapter):
    """A run of Trackio, on this machine unless its own environment variables say otherwise."""

    def __init__(self, run: Run) -> None:
        import trackio

        self._trackio = trackio
        project = os.environ.get("TRACKIO_PROJECT", PROJECT)
        trackio.init(
            project, f"{run.name}-{run.ident[:6]}", config=dict(run.settings), resume="allow", embed=False, auto_log_gpu=False,
            auto_log_cpu=False,
        )  # fmt: skip

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        self._trackio.log(dict(values), step=step)

    def pictures(self, step: int, pictures: Mapping[str, np.ndarray]) -> None:
        self._trackio.log({name: self._trackio.Image(picture) for name, picture in pictures.items()}, step=step)

    def close(self) -> None:
        self._trackio.finish()


@final
class WandB(Adapter):
    """A run of Weights & Biases; WANDB_MODE=offline keeps it in the run folder."""

    def __init__(self, run: Run) -> None:
        import wandb

        self._wandb = wandb
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT), name=run.name, id=run.ident, resume="allow", dir=str(run.folder),
            config=dict(run.settings), settings=wandb.Settings(console="off", silent=True, init_timeout=30),
        )  # fmt: skip

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def pictures(self, step: int, pictures: Mapping[str, np.ndarray]) -> None:
        self._run.log({name: self._wandb.Image(picture) for name, picture in pictures.items()}, step=step)

    def close(self) -> None:
        self._run.finish()


ADAPTERS: dict[str, type[Adapter]] = {"tensorboard": TensorBoard, "trackio": Trackio, "wandb": WandB}
"""Name of --tracker, which is also that of the package → adapter."""


def require_tracker(name: str) -> None:
    """Raise UnavailableError where the package of a tracker is not installed; '' needs none."""
    if name and find_spec(name) is None:
        raise UnavailableError(f"--tracker {name}: the package {name} is not installed; run 'pip install {name}', or leave --tracker out")


@final
class Tracker:
    """Follows the log and the previews of a run. start: the step at which it begins or is resumed; 0 begins a new run of the tracker."""

    def __init__(self, name: str, out: Path, folder: Path, settings: Mapping[str, Any], *, start: int, note: Callable[[str], None]) -> None:
        self._name, self._note, self._file = name, note, folder / MEMORY
        memory = self._remembered() if start else {}
        self._sent: dict[str, int] = memory.get("sent", {})
        ident = memory.get("ident") or uuid.uuid4().hex
        self._memory = {"tracker": name, "ident": ident, "sent": self._sent}
        self._adapter: Adapter | None = None
        self._try(lambda: self._begin(Run(out.stem, ident, start if memory else 0, folder, settings=settings)))

    def _begin(self, run: Run) -> None:
        write_text(self._file, json.dumps(self._memory))
        self._adapter = ADAPTERS[self._name](run)

    def _remembered(self) -> dict[str, Any]:
        """Return what an earlier part of this run left, {} if there is nothing or it is of another tracker."""
        try:
            memory = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return memory if isinstance(memory, dict) and memory.get("tracker") == self._name else {}

    def record(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        """Follow a line of the log; only its numbers are sent."""
        numbers = {f"{kind}/{name}": float(value) for name, value in values.items() if isinstance(value, int | float)}
        self._send(step, kind, lambda adapter: adapter.numbers(step, numbers))

    def pictures(self, step: int, files: Sequence[Path]) -> None:
        """Follow the previews of a step."""
        if files:
            self._send(step, "preview", lambda adapter: adapter.pictures(step, {_picture_name(file): _pixels(file) for file in files}))

    def close(self) -> None:
        """End the tracker's run."""
        if adapter := self._adapter:
            self._try(adapter.close)

    def _send(self, step: int, kind: str, call: Callable[[Adapter], None]) -> None:
        """Send something once: before it is sent, its step is kept, so that a killed run does not send it again."""
        if (adapter := self._adapter) is None or step <= self._sent.get(kind, -1):
            return
        self._sent[kind] = step

        def send() -> None:
            write_text(self._file, json.dumps(self._memory))
            call(adapter)

        self._try(send)

    def _try(self, call: Callable[[], None]) -> None:
        """Call the tracker; what it prints goes to stderr, and an error ends only the tracking."""
        try:
            with redirect_stdout(sys.stderr):
                call()
        except Exception as error:  # trackers raise errors of every kind when their network fails
            self._adapter = None
            self._note(f"--tracker {self._name}: {type(error).__name__}: {str(error).strip() or 'failed'}; the run goes on without it")


def _picture_name(file: Path) -> str:
    return f"preview/{file.stem.split('-', 2)[-1]}"


def _pixels(file: Path) -> np.ndarray:
    """Return a picture as (H, W, 3) uint8; gray ones become RGB, because not every tracker takes one channel."""
    pixels = read_picture(file)[1].transpose(1, 2, 0)
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
