"""ETags: what has not changed is not sent again, and nobody overwrites what they have not seen."""

import hashlib
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from server.domain.room import Room, encode_room
from server.errors import NotFound, PreconditionFailed

_READING: Final = frozenset({"GET", "HEAD"})
_TAG_CHARACTERS: Final = 22  # 88 bits


@web.middleware
async def conditional(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give every JSON answer below /api/ an ETag, and answer If-None-Match and OPTIONS."""
    try:
        answer = await handler(request)
    except web.HTTPMethodNotAllowed as error:
        if error.allowed_methods == {"OPTIONS"}:  # which is answered for all of /hls/
            raise NotFound("There is nothing here") from None
        if request.method != "OPTIONS":
            raise
        return web.Response(status=204, headers={"Allow": error.headers["Allow"]})
    if request.method not in _READING or not request.path.startswith("/api/"):
        return answer
    if not isinstance(answer, web.Response) or answer.status != 200:
        return answer
    if answer.content_type != "application/json" or not isinstance(answer.body, bytes):
        return answer
    tag = _hash(answer.body)
    if answer.etag is not None:  # of what is stored, before what changes by itself
        tag = f"{answer.etag.value}.{tag}"
    answer.etag = tag
    known = {one.value for one in request.if_none_match or ()}
    if tag in known or "*" in known:
        unchanged = web.Response(status=304)
        unchanged.etag = tag
        return unchanged
    return answer


def mark_room(answer: web.Response, room: Room) -> web.Response:
    """Give an answer the ETag of what was decided about a room."""
    answer.etag = _hash(encode_room(room))
    return answer


def check_unchanged(request: web.Request, room: Room) -> None:
    """Raise PreconditionFailed unless If-Match, where it is, names what was decided of the room.

    Who is in the room may have changed since; that is no reason to refuse.
    """
    if request.if_match is None:
        return
    mark = _hash(encode_room(room))
    if not any(one.value.partition(".")[0] in {mark, "*"} for one in request.if_match):
        raise PreconditionFailed("The room was changed meanwhile: read it again")


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:_TAG_CHARACTERS]
