"""explore: a page in the browser that edits codes, served live or recorded as a tour."""

import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from genrev_cli.errors import FileError, UnavailableError, UsageError
from genrev_cli.explore.session import Opened, Session
from genrev_cli.explore.tour import images_of, sliders_of
from genrev_cli.explore.tour_page import LIMIT, make_page
from genrev_cli.files import pretrained
from genrev_cli.files.header import Header, provenance
from genrev_cli.files.images import ImageSet
from genrev_cli.files.page import write_page
from genrev_cli.files.strip import stripped
from genrev_cli.files.targets import check_target, require_remake
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.settings.explore import ExploreSettings
from genrev_cli.settings.sampling import SamplerFile
from genrev_cli.store.belonging import directions_of
from genrev_cli.store.checkpoints import Checkpoint, data_of
from genrev_cli.store.coding import ALONG_FLOW, ALONG_MAP
from genrev_cli.store.samplers import open_model
from genrev_cli.training.devices import resolve_device

KIND = "tour"
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

    session = Session(_opened(ckpt, settings, data, progress), progress)
    if not is_loopback(settings.host):
        progress.note(f"--host {settings.host}: other machines that know the address can use the page; what they send is not encrypted")
    serve(session, host=settings.host, port=settings.port, ready=ready)


def record(ckpt: Path, out: Path, settings: ExploreSettings, *, data: Path | None = None, progress: Progress = SILENT) -> Result:
    """Write a tour of a model as one HTML file that needs no server. Its header and its commands have no path of this machine.

    The page shows images of the data as `explore` does, and samples where there are none.
    Raises FileError for unusable files and for a target that was made from others, DivergedError for a picture that is not finite.
    """
    start = time.perf_counter()
    check_target(out, KIND, (".html",), filter(None, (ckpt, data, settings.directions, settings.ot, settings.flow)), option="--record")
    opened = _opened(ckpt, settings, data, progress)
    inputs = _inputs(opened)
    require_remake(out, inputs, force=settings.force, option="--record")
    session = Session(opened, progress)
    asked, sliders = images_of(session, settings.images), sliders_of(session, settings.steps, progress.note)
    if len(asked) < settings.images:
        progress.note(f"split '{settings.split}' has only {len(asked)} images")
    page = make_page(session, asked, sliders, path=_path(settings, session), progress=progress)
    config = {"images": len(asked), "sliders": len(sliders), "steps": settings.steps, "pictures": page.pictures, "paths": page.paths}
    made_by = provenance(seconds=time.perf_counter() - start, seed=settings.seed, device=str(opened.device))
    header = Header(KIND, config, "", opened.model.header.step, inputs=inputs, made_by=made_by)
    write_page(out, page.html, stripped(header))
    size = out.stat().st_size
    if size > LIMIT:
        progress.note(f"{out}: has {size / 1e6:.1f} MB, much to send; fewer --images, --steps or --dims make it smaller")
    return Result(out, {**config, "megabytes": round(size / 1e6, 2)})


def _path(settings: ExploreSettings, session: Session) -> str:
    """Return the path of a tour between its images: along the map or the flow that is given, if the page can follow it."""
    asked = ALONG_MAP if settings.ot else ALONG_FLOW if settings.flow else "linear"
    return asked if asked in session.about()["paths"] else "linear"


def _opened(ckpt: Path, settings: ExploreSettings, data: Path | None, progress: Progress) -> Opened:
    """Open a model with its map or flow, its directions and its images. Raises FileError like `explore`."""
    device = resolve_device(settings.device)
    ot = settings.ot or pretrained.companion(pretrained.found(ckpt), pretrained.OT)
    sampler = SamplerFile(settings.flow, "flow") if settings.flow else SamplerFile(ot, "ot") if ot else None
    model = open_model(ckpt, device, sampler)
    directions = directions_of(model, settings.directions, progress)
    images = _images(model, data, settings.split, progress)
    return Opened(
        model=model, device=device, data=images, directions=directions, split=settings.split, points=settings.points, dims=settings.dims,
        seed=settings.seed, invert=settings.invert,
    )  # fmt: skip


def _inputs(opened: Opened) -> dict[str, Any]:
    """Return the records of the files of a tour for its header."""
    inputs = opened.model.inputs
    for role, file in (("directions", opened.directions), ("data", opened.data)):
        if file:
            inputs[role] = file.header.as_input(file.path)
    return inputs


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
