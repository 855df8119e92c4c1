"""Serve a session until Ctrl-C."""

import secrets
import socket
from collections.abc import Callable

import uvicorn

from genrev_cli.errors import UnavailableError
from genrev_cli.explore.app import make_app
from genrev_cli.explore.safety import Guard, Hosts
from genrev_cli.explore.session import Session

_CLOSING_SECONDS = 2


class _Server(uvicorn.Server):
    """A server that says when it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        self._ready()


def serve(session: Session, *, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C. ready: is called with the whole address, with its token, as soon as the page can be opened.

    Raises UnavailableError where the host or port cannot be listened at.
    """
    with listen(host, port) as listening:
        server = server_of(session, host, listening, ready)
        try:
            server.run([listening])
        except KeyboardInterrupt:  # uvicorn raises it again after it has ended: this is how the page is closed
            return
        finally:
            session.maps.close()


def server_of(session: Session, host: str, listening: socket.socket, ready: Callable[[str], None]) -> uvicorn.Server:
    """Return a server for a socket that listens at `host`, with a new token. ready: see `serve`."""
    port, token = listening.getsockname()[1], secrets.token_urlsafe(24)
    guard = Guard(make_app(session), token=token, hosts=Hosts(host, port))  # type: ignore[arg-type]  # starlette's own name for an ASGI app
    config = uvicorn.Config(
        guard, http="h11", log_level="error", access_log=False, lifespan="off", ws="none", server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=_CLOSING_SECONDS, limit_concurrency=64, h11_max_incomplete_event_size=1 << 14,
    )  # fmt: skip
    shown = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return _Server(config, lambda: ready(f"http://{shown}:{port}/#{token}"))


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises UnavailableError where that is not possible."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        cure = "choose another --port, or 0 for a free one" if port else "choose another --host"
        raise UnavailableError(f"cannot listen at {host}, port {port} ({error.strerror or error}); {cure}") from error
