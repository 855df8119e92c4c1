"""The routes of the page. An answer with pictures is one frame of bytes: the length of a JSON object in 4 bytes, the object, and pixels."""

import io
import json
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
from PIL import Image
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from genrev_cli.errors import GenrevError, UsageError
from genrev_cli.explore.asked import Changes, asked_of, changes_of, number, whole
from genrev_cli.explore.commands import file_name
from genrev_cli.explore.session import MOST_FRAMES, Session
from genrev_cli.shapes import Pixels

PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/map.js": ("map.js", "text/javascript; charset=utf-8"),
    "/words.js": ("words.js", "text/javascript; charset=utf-8"),
    "/server.js": ("server.js", "text/javascript; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""Path → file of the page and its type. No other file can be asked for."""

Handler = Callable[[Request], Awaitable[Response]]


def make_app(session: Session) -> Starlette:
    """Return the app of a session. It must stand behind a `Guard`."""
    routes = [Route(path, _page(name, kind)) for path, (name, kind) in PAGE.items()]
    api: dict[str, tuple[str, Callable[[Session, Request], Awaitable[Response]]]] = {
        "about": ("GET", _about), "map": ("GET", _map), "photo": ("POST", _photo), "draw": ("POST", _draw),
        "edit": ("POST", _edit), "path": ("POST", _path), "save": ("POST", _save),
    }  # fmt: skip
    routes += [Route(f"/api/{name}", _with(session, handler), methods=[method]) for name, (method, handler) in api.items()]
    return Starlette(routes=routes, exception_handlers={GenrevError: _failure})


def _page(name: str, kind: str) -> Handler:
    content = files("genrev_cli.explore").joinpath("page", name).read_bytes()

    async def answer(request: Request) -> Response:
        return Response(content, headers={"content-type": kind})

    return answer


def _with(session: Session, handler: Callable[[Session, Request], Awaitable[Response]]) -> Handler:
    async def answer(request: Request) -> Response:
        return await handler(session, request)

    return answer


async def _failure(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400)


def frame(told: dict[str, Any], pixels: Pixels) -> Response:
    """Return an answer with pictures (n, C, H, W) uint8. Their pixels come as (n, H, W, C); their shape stands in the object."""
    n, channels, height, width = pixels.shape
    head = json.dumps({**told, "pictures": [n, height, width, channels]}).encode()
    body = len(head).to_bytes(4, "big") + head + pixels.permute(0, 2, 3, 1).contiguous().numpy().tobytes()
    return Response(body, media_type="application/octet-stream")


async def _table(request: Request) -> dict[str, Any]:
    """Return the JSON object in the body. Raises UsageError for another body."""
    try:
        found = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise UsageError("the body is not JSON") from error
    if not isinstance(found, dict):
        raise UsageError("the body is not a JSON object")
    return found


async def _about(session: Session, request: Request) -> Response:
    return JSONResponse(await run_in_threadpool(session.about))


async def _map(session: Session, request: Request) -> Response:
    found = await run_in_threadpool(session.maps.ask, request.query_params.get("kind", "pca"))
    if found is None:
        return JSONResponse({"ready": False, "done": session.maps.done, "of": session.points}, 202)
    return JSONResponse({"ready": True, **found, "labels": session.labels})


async def _photo(session: Session, request: Request) -> Response:
    name = file_name(unquote(request.headers.get("x-name", "")))
    photo = await run_in_threadpool(session.upload, await request.body(), name)
    return await run_in_threadpool(_opened, session, photo)


async def _draw(session: Session, request: Request) -> Response:
    asked = asked_of(await _table(request))
    photo = await run_in_threadpool(session.draw, asked)
    return await run_in_threadpool(_opened, session, photo)


def _opened(session: Session, photo: int) -> Response:
    told = {**session.summary(photo), "command": session.command(photo, Changes())}
    return frame(told, session.photos.get(photo).pixels)


async def _edit(session: Session, request: Request) -> Response:
    photo, changes = _edit_of(await _table(request))

    def answer() -> Response:
        before, after = session.photos.get(photo).pixels[0], session.edited(photo, changes)
        change = np.abs(after.numpy().astype(np.int16) - before.numpy())
        told = {"command": session.command(photo, changes), "changed": float((change > 8).any(0).mean()), "l1": float(change.mean() / 255)}
        return frame(told, after[None])

    return await run_in_threadpool(answer)


def _edit_of(table: dict[str, Any]) -> tuple[int, Changes]:
    return whole(table, "photo", 0, at_most=2**31), changes_of(table.get("changes", {}))


async def _path(session: Session, request: Request) -> Response:
    table = await _table(request)
    first, last = asked_of(table.get("first")), asked_of(table.get("last"))
    path, rest, frames = (
        table.get("path", "linear"),
        number(table, "rest", 1.0, at_least=0, at_most=1),
        whole(table, "frames", 24, at_least=2, at_most=MOST_FRAMES),
    )
    found = await run_in_threadpool(lambda: session.path(first, last, path=str(path), rest=rest, frames=frames))
    return frame({}, found)


async def _save(session: Session, request: Request) -> Response:
    """Return the original or the edited picture as PNG, or the code of the edited one."""
    table = await _table(request)
    photo, changes = _edit_of(table)
    stem = session.photos.get(photo).name.rpartition(".")[0] or session.photos.get(photo).name
    what = table.get("what")
    if what == "original":
        return _attached(_png(session.photos.get(photo).pixels[0]), f"{stem}.png", "image/png")
    if what == "png":
        return _attached(_png(await run_in_threadpool(session.edited, photo, changes)), f"{stem}-edited.png", "image/png")
    if what == "code":
        return _attached(await run_in_threadpool(session.code_file, photo, changes), f"{stem}-edited.h5", "application/x-hdf5")
    raise UsageError("what: choose original, png or code")


def _png(pixels: Pixels) -> bytes:
    array, buffer = pixels.permute(1, 2, 0).numpy(), io.BytesIO()
    Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array).save(buffer, "PNG")
    return buffer.getvalue()


def _attached(content: bytes, name: str, kind: str) -> Response:
    return Response(content, media_type=kind, headers={"content-disposition": f"attachment; filename*=UTF-8''{quote(name)}"})
