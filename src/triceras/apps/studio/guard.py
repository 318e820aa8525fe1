"""What stands before the studio: who may ask, how much they may send, what browsers may do."""

from __future__ import annotations

import ipaddress
import socket
from secrets import compare_digest
from urllib.parse import urlsplit

from anyio import fail_after
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_HEADER = "x-triceras-token"
SLOWEST = 60.0  # seconds that a body may take to arrive
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class RequestError(Exception):
    """A request that is answered with an error.

    Args:
        status: of HTTP.
        message: what was wrong and what to do, for the person at the page.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def is_local(host: str) -> bool:
    """Whether only this machine can reach a server at that address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def known_host(header: str, served: str) -> bool:
    """Whether a Host header names this server; a foreign domain made to point here (DNS rebinding) doesn't.

    >>> known_host("127.0.0.1:8760", "127.0.0.1"), known_host("evil.example:8760", "127.0.0.1")
    (True, False)
    """
    name = (urlsplit(f"//{header}").hostname or "").lower()
    if is_local(name) or name == served.lower():
        return True
    if is_local(served):
        return False
    try:
        ipaddress.ip_address(name)  # an address can't be rebound, only a name
        return True
    except ValueError:
        own = socket.gethostname().lower()
        return name in (own, f"{own}.local", socket.getfqdn().lower())


class Guard:
    """Middleware: checks Host and Origin of every request and the token of those under `/api`; adds headers.

    Args:
        app: what is guarded.
        token: that requests must bring in the header `x-triceras-token`.
        host: the address that is served.
    """

    def __init__(self, app: ASGIApp, token: str, host: str) -> None:
        self.app, self.token, self.host = app, token, host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
        headers = Headers(scope=scope)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        error = self._error(scope["path"], headers)
        app = self.app if error is None else JSONResponse({"error": error[1]}, error[0])
        await app(scope, receive, send_guarded)

    def _error(self, path: str, headers: Headers) -> tuple[int, str] | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        try:
            if not known_host(host, self.host):
                return 421, "This server goes by another name. Open the address that the terminal shows."
            if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
                return 403, "Only the studio's own page may ask."
        except ValueError:
            return 400, "The Host or Origin header can't be read."
        if path.startswith("/api/"):
            given = headers.get(TOKEN_HEADER, "")
            if not compare_digest(given.encode(), self.token.encode()):
                return 403, "This page belongs to an earlier start of the studio. Reload it."
        return None


async def body(request: Request, limit: int, what: str = "The request") -> bytes:
    """A request's body, refused as soon as it is known to be longer than `limit` bytes, or to come too slowly."""
    declared = request.headers.get("content-length", "0")
    too_much = RequestError(413, f"{what} is too large: at most {limit / 2**20:.0f} MiB are taken.")
    if not declared.isdigit() or int(declared) > limit:
        raise too_much
    parts, size = [], 0
    try:
        with fail_after(SLOWEST):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise too_much
                parts.append(part)
    except TimeoutError:
        raise RequestError(408, f"{what} took longer than {SLOWEST:.0f} seconds to arrive.") from None
    # nobody reads this answer, but without it the terminal shows a traceback
    except ClientDisconnect:
        raise RequestError(400, f"{what} broke off.") from None
    return b"".join(parts)
