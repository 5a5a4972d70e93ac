"""WHIP (RFC 9725) and WHEP: to publish to a room, or hear it, by HTTP and WebRTC alone."""

import re
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Final

from aiohttp import web

from mixer.errors import MixerError
from mixer.types import RoomId
from server.domain.grants import Right, require_right
from server.domain.sdp import read_fragment
from server.edge.context import CONTEXT
from server.edge.errors import TOO_LARGE, problem, refusal
from server.edge.pace import whole_body
from server.edge.reading import path_room
from server.edge.rights import base_url, bearer
from server.errors import (
    BadInput,
    BadToken,
    NotAcceptable,
    PreconditionRequired,
    ServerError,
    Unauthorized,
    UnsupportedMedia,
)
from server.services.standing import Kind, Standing
from server.services.tokens import Grant

SDP: Final = "application/sdp"
FRAGMENT: Final = "application/trickle-ice-sdpfrag"
_TAG: Final = re.compile(r'\s*(?:\*|(?:W/)?"[\x21\x23-\x7e]{0,64}")\s*')
_MAX_TAGS: Final = 16

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _with_problems(handler: Handler) -> Handler:
    """Answer errors as problem details (RFC 9457), which clients of these protocols look for."""

    @wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except (ServerError, MixerError) as error:
            refused = refusal(error)
            if refused is None:
                raise
            return problem(request, refused)
        except web.HTTPRequestEntityTooLarge:
            return problem(request, TOO_LARGE)

    return answer


@_with_problems
async def publish(request: web.Request) -> web.Response:
    """`POST /whip/{room}`."""
    context = request.app[CONTEXT]
    room, token = path_room(request), _token(request)
    grant = _joining(request, room, token)
    require_right(grant.rights, Right.SPEAK)
    offer = await _read(request, SDP)
    one, answer = await context.standings.publish(grant, token, offer)
    return _created(request, one, answer)


@_with_problems
async def listen(request: web.Request) -> web.Response:
    """`POST /whep/{room}`."""
    context = request.app[CONTEXT]
    room, token = path_room(request), _token(request)
    grant = _hearing(request, room, token)
    offer = await _read(request, SDP)
    one, answer = await context.standings.listen(grant, token, offer)
    return _created(request, one, answer)


@_with_problems
async def change(request: web.Request) -> web.Response:
    """`PATCH` of a connection: candidates, or an ICE restart."""
    one = _standing(request)
    tags = _tags(request)
    fragment = read_fragment(await _read(request, FRAGMENT))
    if fragment is None:
        raise BadInput("The body is no fragment of SDP with ICE credentials or candidates")
    answer = await request.app[CONTEXT].standings.change(one, fragment, tags)
    headers = {"ETag": f'"{one.tag}"'}
    if answer is None:
        return web.Response(status=204, headers=headers)
    return web.Response(
        body=answer.encode(), headers=headers | {"Content-Type": FRAGMENT}, status=200
    )


@_with_problems
async def end(request: web.Request) -> web.Response:
    """`DELETE` of a connection."""
    await request.app[CONTEXT].standings.end(_standing(request))
    return web.Response()


async def describe(request: web.Request) -> web.Response:
    """`OPTIONS`: what may be sent here."""
    is_connection = "connection" in request.match_info
    methods = "PATCH, DELETE, OPTIONS" if is_connection else "POST, OPTIONS"
    headers = {
        "Allow": methods,
        **({"Accept-Patch": FRAGMENT} if is_connection else {"Accept-Post": SDP}),
    }
    return web.Response(status=204, headers=headers)


def _created(request: web.Request, one: Standing, answer: str) -> web.Response:
    location = f"{base_url(request)}/{one.kind.value}/{one.room}/{one.name}"
    made = web.Response(
        status=201,
        body=answer.encode(),
        headers={
            "Content-Type": SDP,
            "Location": location,
            "ETag": f'"{one.tag}"',
            "Accept-Patch": FRAGMENT,
        },
    )
    for server in request.app[CONTEXT].ice.give(one.peer):
        for link in server.links():
            made.headers.add("Link", link)
    return made


def _token(request: web.Request) -> str:
    token = bearer(request)
    if not token:
        raise Unauthorized("This needs a token, as `Authorization: Bearer …`")
    return token


def _joining(request: web.Request, room: RoomId, token: str) -> Grant:
    grant = request.app[CONTEXT].access.joining(token)
    if grant.room != room:
        raise BadToken("This token is for another room")
    return grant


def _hearing(request: web.Request, room: RoomId, token: str) -> Grant:
    """Return what a listen or join token grants.

    Raises BadToken unless it is of the room, NotGranted if it does not let them listen.
    """
    access = request.app[CONTEXT].access
    try:
        return access.check_listening(room, token)
    except BadToken as refused:
        try:
            grant = _joining(request, room, token)
        except BadToken:
            raise refused from None
        require_right(grant.rights, Right.LISTEN)
        return grant


def _standing(request: web.Request) -> Standing:
    kind = Kind.WHIP if request.path.startswith("/whip/") else Kind.WHEP
    name = request.match_info["connection"]
    standings = request.app[CONTEXT].standings
    return standings.get(kind, path_room(request), name, _token(request))


def _tags(request: web.Request) -> frozenset[str]:
    """Return the opaque parts of If-Match, and "*"; weak ones match nothing (RFC 9110 §13.1.1)."""
    header = request.headers.get("If-Match")
    if header is None:
        raise PreconditionRequired("A PATCH names its ICE session in If-Match, or * for any")
    parts = header.split(",")
    if len(parts) > _MAX_TAGS or not all(_TAG.fullmatch(part) for part in parts):
        raise BadInput("If-Match is no list of entity tags")
    stripped = [part.strip() for part in parts]
    return frozenset(part.strip('"') for part in stripped if not part.startswith("W/"))


async def _read(request: web.Request, wanted: str) -> str:
    """Return the body. Raises UnsupportedMedia, NotAcceptable, BadInput, TooSlow."""
    if request.content_type != wanted:
        raise UnsupportedMedia(f"The body must be {wanted}")
    if not _accepts(request.headers.get("Accept", ""), wanted):
        raise NotAcceptable(f"The answer is {wanted}")
    try:
        return (await whole_body(request)).decode()
    except UnicodeDecodeError:
        raise BadInput("The body is no text") from None


def _accepts(header: str, offered: str) -> bool:
    """Whether an Accept header (RFC 9110 §12.5.1) takes a type; an empty one takes any."""
    if not header.strip():
        return True
    for part in header.split(","):
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        is_refused = any(re.fullmatch(r"q\s*=\s*0(?:\.0{0,3})?", one) for one in parameters)
        if media in {"*/*", "application/*", offered}:
            return not is_refused
    return False
