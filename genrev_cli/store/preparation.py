"""How pictures become the images of a checkpoint: by the preparation of the data that it was trained on, from its header."""

from collections.abc import Iterator
from typing import Any

from genrev_cli.data.photos import Fitting, Photos
from genrev_cli.data.transform import Transform, from_table
from genrev_cli.progress import Progress
from genrev_cli.store.checkpoints import Checkpoint


def fitting_of(model: Checkpoint, progress: Progress, *, as_is: bool = False) -> Fitting:
    """Return what turns a picture into an image of a checkpoint; a note tells where its header does not say how its data was prepared."""
    shape = model.autoencoder.image_shape
    tables = (data.get("preparation") for data in data_tables(model.header.inputs))
    recorded = next(filter(None, map(from_table, tables)), None)
    fitting = Fitting(recorded or Transform(channels=shape[0], size=shape[:0:-1]), shape, as_is)
    if recorded is None and not as_is:
        progress.note(f"{model.path}: does not say how its images were prepared; for pictures it is taken to be: {fitting.general}")
    return fitting


def data_tables(inputs: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the header's config of the data of a checkpoint, then those of the data of the checkpoints that it was trained from."""
    if "data" in inputs:
        yield inputs["data"].get("config", {})
    if "ckpt" in inputs:
        yield from data_tables(inputs["ckpt"].get("inputs", {}))


def note_fitting(photos: Photos, fitting: Fitting, progress: Progress) -> None:
    """Tell how pictures become images."""
    if not fitting.as_is:
        what = "1 picture is" if len(photos) == 1 else f"{len(photos)} pictures are"
        progress.note(f"{what} prepared as the images of the training were: {fitting.general}")
