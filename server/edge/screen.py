"""What a request must pass before anything looks at what it asks for."""

import re
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from server.config import Settings, is_loopback_name
from server.domain.address import one_caller
from server.domain.forwarded import is_host
from server.edge.context import CONTEXT
from server.edge.headers import is_preflight, preflight
from server.edge.rights import bearer, is_own_origin
from server.edge.socket import turn_away
from server.errors import Forbidden, NotFound, TooFast, WrongHost
from server.services.limits import EVERYBODY, Limit, token_key

MOST_PATH: Final = 2048

# Nothing of ours has them; what decodes twice, or not at all, would see another path than we do:
# an escaped slash, backslash, dot or control character, the bare ones, and dot segments.
_FOUL: Final = re.compile(
    r"%(?:2[fFeE]|5[cC]|[01][0-9a-fA-F]|7[fF])|[^!-\[\]-~]|/\.{1,2}(?:/|$)", re.ASCII
)
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_UNCOUNTED: Final = frozenset({"/health", "/ready", "/metrics"})  # asked by who watches the server
_GIVES_TOKENS: Final = frozenset(
    {"/api/session", "/api/token", "/api/rooms/{room}/users", "/whip/{room}", "/whep/{room}"}
)


@web.middleware
async def screen(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse foul paths, wrong hosts, pages of other sites, and who comes too often."""
    _check_path(request)
    _check_host(request)
    _check_origin(request)
    try:
        _check_rate(request)
    except TooFast as error:
        if request.path == "/ws" and "Origin" in request.headers:
            return await turn_away(request, error.retry_after_ms)
        raise
    return await (preflight(request) if is_preflight(request) else handler(request))


def _check_path(request: web.Request) -> None:
    path = request.raw_path.partition("?")[0]
    if len(path) > MOST_PATH or _FOUL.search(path):
        raise NotFound("There is nothing at this address")


def _check_host(request: web.Request) -> None:
    """Hold the Host header against the names we have.

    On loopback that keeps out pages whose own name was rebound to this machine: they would be of
    one origin with us.
    """
    hosts = request.headers.getall("Host", [])
    if len(hosts) != 1 or not is_host(hosts[0]):
        raise WrongHost
    if not is_served_host(request.app[CONTEXT].settings, request.host):
        raise WrongHost


def is_served_host(settings: Settings, host: str) -> bool:
    """Whether a Host header may ask here."""
    if not is_host(host):
        return False
    if not settings.allow_host and not settings.is_loopback:
        return True
    return is_own_host(settings, host)


def is_own_host(settings: Settings, host: str) -> bool:
    """Whether a Host header names this server, where its names are known."""
    name = urlsplit(f"//{host}").hostname or ""
    if name in settings.allow_host or name == urlsplit(settings.public_url).hostname:
        return True
    return settings.is_loopback and is_loopback_name(name)


def _check_origin(request: web.Request) -> None:
    """Let no page of another site change anything, whatever it shows."""
    if request.method in _SAFE:
        return
    settings = request.app[CONTEXT].settings
    origin = request.headers.get("Origin")
    if origin is None:
        is_ours = request.headers.get("Sec-Fetch-Site", "none") in {"none", "same-origin"}
    else:
        is_ours = is_own_origin(request) or origin.lower() in settings.allow_origin
    if not is_ours:
        raise Forbidden("A page of another site may not do this")


def _check_rate(request: web.Request) -> None:
    context = request.app[CONTEXT]
    limits, caller = context.limits, one_caller(request.remote or "")
    if request.path in _UNCOUNTED:
        return
    if request.path.startswith("/hls/"):
        limits.check(Limit.HLS, caller)
        return
    if request.path.startswith("/radio/"):
        limits.check(Limit.RADIO, caller)
        return
    token = bearer(request)
    if token and context.access.is_admin_key(token):
        return
    if request.path == "/ws":
        limits.check(Limit.SOCKETS, caller)
        limits.check(Limit.SOCKETS_ALL, EVERYBODY)
        return
    limits.check(Limit.REQUESTS, caller)
    if token:
        limits.check(Limit.TOKEN, token_key(token))
    resource = request.match_info.route.resource
    if request.method == "POST" and resource is not None and resource.canonical in _GIVES_TOKENS:
        limits.check(Limit.JOINS, caller)
