"""Keep others out of the page: a token, the Host and Origin of each request, and limits of its body, all checked before any route.

The token stands behind # in the address, which browsers send to nobody. The page sends it back in a header, which no other page can do:
a browser asks the server first whether another origin may send that header, and this server never says yes.
"""

import hmac
import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, final
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

TOKEN_HEADER = "x-genrev-token"
API = "/api/"
"""Paths that begin so need the token. The others are the page's own files, which are the same for everybody."""

MOST_BYTES, MOST_PHOTO_BYTES = 1 << 16, 40 << 20
"""Largest body of a request, and of one that brings a picture."""
PHOTO = "/api/photo"

POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Hosts:
    """The names by which the server may be called. bound: the address it listens at. port: its port.

    A page of another site can make its own name point to this machine (DNS rebinding), but the browser then sends that name as the Host.
    """

    bound: str
    port: int

    def allows(self, host: str) -> bool:
        """Return True for a Host header that names this server."""
        name, _, port = host.rpartition(":")
        if not name or not port.isdigit() or port.endswith("]"):
            name, port = host, "80"
        name = name.strip("[]").lower()
        return port == str(self.port) and self._named(name)

    def _named(self, name: str) -> bool:
        if name in ("localhost", self.bound.lower()):
            return True
        try:
            address, bound = ipaddress.ip_address(name), ipaddress.ip_address(self.bound)
        except ValueError:
            return not is_loopback(self.bound) and name == socket.gethostname().lower()
        return address.is_loopback if bound.is_loopback else bound.is_unspecified or address == bound

    def own(self, origin: str) -> bool:
        """Return True for an Origin header of the page itself."""
        parts = urlsplit(origin)
        return parts.scheme == "http" and self.allows(parts.netloc)


def is_loopback(host: str) -> bool:
    """Return True for an address that only this machine reaches."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


@dataclass(frozen=True)
class Refusal:
    """Why a request is not answered. status: of HTTP. reason: one sentence."""

    status: int
    reason: str


class TooMuch(Exception):
    """A body is longer than its header says, or than is allowed."""


@final
class Guard:
    """An ASGI app that passes allowed requests on to another one, and adds `HEADERS` to its answers."""

    def __init__(self, app: App, *, token: str, hosts: Hosts) -> None:
        self.app, self.token, self.hosts = app, token.encode(), hosts

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request. Anything else than HTTP is closed."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        elif refusal := self.refusal(scope):
            await _refuse(refusal, send)
        else:
            await self._pass_on(scope, receive, send)

    def refusal(self, scope: Message) -> Refusal | None:
        """Return why a request is refused, None if it is allowed. It looks only at the headers."""
        hosts, origins, tokens = (_values(scope, name) for name in ("host", "origin", TOKEN_HEADER))
        if len(hosts) != 1 or not self.hosts.allows(hosts[0]):
            return Refusal(421, "this server has another name; use the address that genrev explore printed")
        if len(origins) > 1 or not all(map(self.hosts.own, origins)):
            return Refusal(403, "requests of other pages are refused")
        if not scope["path"].startswith(API):
            return None if scope["method"] in ("GET", "HEAD") else Refusal(405, "the page's own files can only be read")
        if any(site not in ("same-origin", "none") for site in _values(scope, "sec-fetch-site")):
            return Refusal(403, "requests of other pages are refused")
        if len(tokens) != 1 or not hmac.compare_digest(tokens[0].encode(), self.token):
            return Refusal(401, "the key is missing or wrong; use the whole address that genrev explore printed, with all after #")
        return _too_long(scope)

    async def _pass_on(self, scope: Message, receive: Receive, send: Send) -> None:
        limit, taken, began = limit_of(scope["path"]), 0, False

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise TooMuch
            return message

        async def with_headers(message: Message) -> None:
            nonlocal began
            if taken > limit and not began:
                return  # the app's own answer to TooMuch, which is a refusal here
            if message["type"] == "http.response.start":
                began = True
                message = {**message, "headers": [*message.get("headers", []), *_raw(HEADERS)]}
            await send(message)

        try:
            await self.app(scope, bounded, with_headers)
        except TooMuch:
            if not began:
                await _refuse(_too_many(limit), send)


def limit_of(path: str) -> int:
    """Return the largest number of bytes that the body of a request may have."""
    return MOST_PHOTO_BYTES if path == PHOTO else MOST_BYTES


def _too_long(scope: Message) -> Refusal | None:
    if scope["method"] in ("GET", "HEAD"):
        return None
    lengths, limit = _values(scope, "content-length"), limit_of(scope["path"])
    if len(lengths) != 1 or not lengths[0].isascii() or not lengths[0].isdigit():
        return Refusal(411, "a request with a body must state its length")
    if len(lengths[0]) > 12 or int(lengths[0]) > limit:
        return _too_many(limit)
    return None


def _too_many(limit: int) -> Refusal:
    return Refusal(413, f"the body has more than {limit:,} bytes; make the picture smaller")


def _values(scope: Message, name: str) -> list[str]:
    """Return the values of all headers of a name, which is in lower case."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name.encode()]


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


async def _refuse(refusal: Refusal, send: Send) -> None:
    """Answer without reading the body; the connection is closed, because the rest of the body would be taken for the next request."""
    body = json.dumps({"error": refusal.reason}).encode()
    own = {"content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
    await send({"type": "http.response.start", "status": refusal.status, "headers": _raw({**own, **HEADERS})})
    await send({"type": "http.response.body", "body": body})
