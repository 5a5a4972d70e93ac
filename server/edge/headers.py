"""Headers that every answer has: what browsers may do with it, and whose pages may read it."""

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from server.config import Settings
from server.domain.forwarded import is_host
from server.edge.context import CONTEXT

ALWAYS: Final = {
    "Permissions-Policy": "microphone=(self), display-capture=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",  # an address may hold a token
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_POLICY: Final = (
    # hls.js gives its text tracks an address that begins with data:.
    "default-src 'self'; connect-src {connect}; media-src 'self' blob: data:;"
    " worker-src 'self' blob:; img-src 'self' data:; object-src 'none'; base-uri 'none';"
    " form-action 'self'; frame-ancestors {ancestors}"
)
_REST: Final = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, If-Match",
    "Access-Control-Expose-Headers": "Accept-Patch, ETag, Link, Location, Retry-After",
    "Access-Control-Max-Age": "3600",
}
_PLAYERS: Final = {
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-None-Match, Range",
    "Access-Control-Expose-Headers": "Accept-Ranges, Content-Range, ETag, Retry-After",
    "Access-Control-Max-Age": "86400",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request its answer's headers depend on."""

    method: str
    path: str
    host: str
    origin: str
    # The player alone: no microphone, and nothing to raise a hand with. It may be framed.
    is_player: bool = False


async def add_headers(request: web.Request, answer: web.StreamResponse) -> None:
    """Add what is missing, just before an answer is sent."""
    origin = request.headers.get("Origin", "")
    is_player = request.path.startswith("/listen/") and "embed" in request.query
    asked = Asked(request.method, request.path, request.host, origin, is_player)
    dress(request.app[CONTEXT].settings, asked, answer)


def dress(settings: Settings, asked: Asked, answer: web.StreamResponse) -> None:
    """Give an answer the headers that all have."""
    for name, value in ALWAYS.items():
        answer.headers.setdefault(name, value)
    answer.headers.setdefault("Content-Security-Policy", policy(settings, asked))
    if asked.path.startswith(("/api/", "/whip/", "/whep/")):
        answer.headers.setdefault("Cache-Control", "no-store")  # it may hold a token
    if asked.path.startswith("/hls/"):
        if answer.status >= 400:  # it may be there in a moment
            answer.headers.setdefault("Cache-Control", "no-store")
    else:
        answer.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    if settings.tls_cert is not None and settings.hsts_s:
        answer.headers["Strict-Transport-Security"] = f"max-age={settings.hsts_s}"
    _share(settings, asked, answer)
    answer.headers["Server"] = "roomtone"


def named_origins(settings: Settings) -> frozenset[str]:
    """Return the origins that answers with a stream tell apart: none where any may read them."""
    return frozenset() if "*" in settings.hls_origin else frozenset(settings.hls_origin)


def policy(settings: Settings, asked: Asked) -> str:
    """Return the Content-Security-Policy: nothing inline, nothing from elsewhere."""
    # 'self' does not hold for WebSockets in every browser.
    hosts = [asked.host] if is_host(asked.host) else []
    connect = ["'self'", *(f"{scheme}://{host}" for host in hosts for scheme in ("ws", "wss"))]
    if settings.public_url:
        connect += [settings.public_url, settings.public_url.replace("http", "ws", 1)]
    ancestors = settings.embed_origin if asked.is_player else ()
    return _POLICY.format(connect=" ".join(connect), ancestors=" ".join(ancestors) or "'none'")


def is_preflight(request: web.Request) -> bool:
    """Whether a browser asks on behalf of a page of another site (Fetch, CORS-preflight)."""
    asks = "Origin" in request.headers and "Access-Control-Request-Method" in request.headers
    return request.method == "OPTIONS" and asks


async def preflight(_request: web.Request) -> web.Response:
    """`OPTIONS`: whether a page of another site may ask; its headers are those of any answer."""
    return web.Response(status=204)


def _share(settings: Settings, asked: Asked, answer: web.StreamResponse) -> None:
    """Let pages of other sites read the answer, where the settings say so.

    Cookies never count, but those of listeners for pages whose origin is named.
    """
    is_stream = asked.path.startswith("/hls/")
    allowed = settings.hls_origin if is_stream else settings.allow_origin
    if "*" in allowed:
        answer.headers["Access-Control-Allow-Origin"] = "*"
    elif allowed:
        answer.headers.add("Vary", "Origin")  # a cache must not give one site's answer to another
        if asked.origin.lower() not in allowed:
            return
        answer.headers["Access-Control-Allow-Origin"] = asked.origin
        if is_stream:
            answer.headers["Access-Control-Allow-Credentials"] = "true"
    else:
        return
    for name, value in (_PLAYERS if is_stream else _REST).items():
        if asked.method == "OPTIONS" or name == "Access-Control-Expose-Headers":
            answer.headers[name] = value
