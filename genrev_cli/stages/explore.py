"""explore: a page in the browser that edits codes."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from genrev_cli.errors import FileError, UnavailableError, UsageError
from genrev_cli.files import pretrained
from genrev_cli.files.images import ImageSet
from genrev_cli.progress import SILENT, Progress
from genrev_cli.settings.explore import ExploreSettings
from genrev_cli.settings.sampling import SamplerFile
from genrev_cli.store.belonging import directions_of
from genrev_cli.store.checkpoints import Checkpoint, data_of
from genrev_cli.store.samplers import open_model
from genrev_cli.training.devices import resolve_device

NEEDED = ("starlette", "uvicorn")


def explore(
    ckpt: Path, settings: ExploreSettings, *, data: Path | None = None, ready: Callable[[str], None], progress: Progress = SILENT
) -> None:
    """Open a model and serve its page until Ctrl-C. ready: is called with the page's address.

    Without `data` the page shows images of the training's data, if they are still there.
    Raises UnavailableError where packages are missing or the port is taken, FileError for unusable files or ones that
    do not belong together.
    """
    require_packages()
    from genrev_cli.explore.safety import is_loopback
    from genrev_cli.explore.server import serve
    from genrev_cli.explore.session import Opened, Session

    device = resolve_device(settings.device)
    ot = settings.ot or pretrained.companion(pretrained.found(ckpt), pretrained.OT)
    model = open_model(ckpt, device, SamplerFile(ot, "ot") if ot else None)
    directions = directions_of(model, settings.directions, progress)
    images = _images(model, data, settings.split, progress)
    opened = Opened(
        model=model, device=device, data=images, directions=directions, split=settings.split, points=settings.points, dims=settings.dims,
        seed=settings.seed,
    )  # fmt: skip
    session = Session(opened, progress)
    if not is_loopback(settings.host):
        progress.note(f"--host {settings.host}: other machines that know the address can use the page; what they send is not encrypted")
    serve(session, host=settings.host, port=settings.port, ready=ready)


def require_packages() -> None:
    """Raise UnavailableError unless the packages of the extra `explore` are installed."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise UnavailableError(f"explore needs {' and '.join(missing)}; run: pip install 'genrev-cli[explore]'")


def _images(model: Checkpoint, data: Path | None, split: str, progress: Progress) -> ImageSet | None:
    """Return the images of the page; None, with a note, where none are given and those of the training are gone or lack the split."""
    try:
        images = data_of(model.header, data, model.path)
        images.rows(split)
    except (FileError, UsageError) as error:
        if data:
            raise
        progress.note(f"the page shows samples, and no images of the data: {error}")
        return None
    return images
