"""What a caller shows: keys, cookies and tokens, wherever they put them."""

from urllib.parse import urlsplit

from aiohttp import web

from mixer.types import RoomId
from server.config import is_loopback_name
from server.domain.api_key import KEY_PREFIX, Scope
from server.edge.context import CONTEXT
from server.errors import Forbidden, Unauthorized
from server.services.access import Showing

ADMIN_COOKIE = "roomtone_admin"
_ADMIN_NEEDED = "This needs the admin: open the first-run link, or log in with the admin key"
_KEY_UNKNOWN = "This API key is unknown, expired or revoked"
_ALL = frozenset(Scope)


def bearer(request: web.Request) -> str:
    """Return what is in the Authorization header, with or without the word Bearer."""
    return bearer_in(request.headers.get("Authorization", ""))


def bearer_in(header: str) -> str:
    """Return what an Authorization header holds."""
    header = header.strip()
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else header


def base_url(request: web.Request) -> str:
    """Return the address people reach this server at, without a path."""
    public_url = request.app[CONTEXT].settings.public_url
    return public_url or f"{request.scheme}://{request.host}"


def is_own_origin(request: web.Request) -> bool:
    """Whether the request names one of our own origins as the page it comes from.

    A page that came by plain HTTP is none where we are reached by HTTPS: anybody on the way could
    have written it.
    """
    shown = urlsplit(request.headers.get("Origin", ""))
    public = urlsplit(request.app[CONTEXT].settings.public_url)
    if shown.scheme == "http" and "https" in {request.scheme, public.scheme}:
        return False
    return bool(shown.netloc) and shown.netloc.lower() in {request.host.lower(), public.netloc}


def is_same_origin(request: web.Request) -> bool:
    """Whether the request comes from our own pages, or from no page at all.

    Cookies do not tell ports apart, so another program on the same machine could use ours.
    """
    return "Origin" not in request.headers or is_own_origin(request)


def may_open_sockets(request: web.Request) -> bool:
    """Whether the request comes from where the settings let WebSockets come from."""
    allowed = request.app[CONTEXT].settings.allow_origin
    return is_same_origin(request) or request.headers.get("Origin", "").lower() in allowed


def is_admin(request: web.Request) -> bool:
    """Whether the caller shows the admin key, or the cookie from one of our own pages."""
    context = request.app[CONTEXT]
    if context.settings.api_open and is_same_origin(request) and _is_for_loopback(request):
        return True
    if context.access.is_admin_key(bearer(request)):
        return True
    cookie = request.cookies.get(ADMIN_COOKIE, "")
    return bool(cookie) and is_same_origin(request) and context.access.is_admin_cookie(cookie)


def scopes_shown(request: web.Request) -> frozenset[Scope]:
    """Return what the caller may do: everything as admin, else what their API key says."""
    if is_admin(request):
        return _ALL
    shown = bearer(request)
    if not shown.startswith(KEY_PREFIX):
        return frozenset()
    key = request.app[CONTEXT].keys.check(shown)
    if key is None:
        raise Unauthorized(_KEY_UNKNOWN)
    return key.scopes


def require(request: web.Request, scope: Scope) -> None:
    """Let the admin and API keys of that scope pass; the one place where scopes are checked.

    Raises Unauthorized if nothing (or a key that is none) was shown, Forbidden if something else.
    """
    if not may(request, scope):
        if bearer(request) or ADMIN_COOKIE in request.cookies:
            raise Forbidden(_ADMIN_NEEDED)
        raise Unauthorized(_ADMIN_NEEDED)


def may(request: web.Request, scope: Scope) -> bool:
    """Whether `require` lets the caller pass.

    Raises Unauthorized for a key that is none, Forbidden for one that lacks the scope: it can be
    nothing else, so it shall say what is wrong.
    """
    scopes = scopes_shown(request)
    if scope in scopes:
        return True
    if bearer(request).startswith(KEY_PREFIX):
        raise Forbidden(f"This API key lacks the scope {scope.value}")
    return False


def showing(request: web.Request, scope: Scope, *, invite: str = "", pin: str = "") -> Showing:
    """Return everything the caller shows for a room; an API key needs that scope."""
    address = request.remote or ""
    if may(request, scope):
        return Showing(is_admin=True, invite=invite, pin=pin, address=address)
    return Showing(invite=invite, pin=pin, token=bearer(request), address=address)


def listen_cookie(room: RoomId) -> str:
    """Return the name of the cookie that holds a room's listen token."""
    return f"roomtone_listen_{room}"


def listen_token(request: web.Request, room: RoomId) -> str:
    """Return the listen token shown for a room: header, query, cookie, else nothing."""
    return (
        bearer(request)
        or request.query.get("token", "")
        or request.cookies.get(listen_cookie(room), "")
    )


def _is_for_loopback(request: web.Request) -> bool:
    """Whether the caller typed a name of this machine: a page elsewhere could rebind its own."""
    return is_loopback_name(urlsplit(f"//{request.host}").hostname or "")
