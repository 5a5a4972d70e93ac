"""The keys of the broadcasts over HTTP, and the tokens that playlists carry for them."""

from contextlib import suppress
from typing import Final

from aiohttp import web

from mixer.types import RoomId
from server.domain.stream import Stream
from server.edge.context import CONTEXT, Context
from server.edge.reading import path_room
from server.edge.rights import bearer, listen_cookie, listen_token
from server.errors import BadToken, RoomNotFound, Unauthorized
from server.services.endings import Ending
from server.services.listening import Pass

_NEVER_STORED: Final = {"Cache-Control": "no-store"}


async def get_key(request: web.Request) -> web.Response:
    """`GET /hls/rooms/{room}/enc.key` or `/hls/rooms/{room}/{epoch}/enc.key`."""
    context = request.app[CONTEXT]
    room = path_room(request)
    token = listen_token(request, room)
    if not token:
        raise Unauthorized("This needs a listen token")
    stream = stream_of(context, room)
    return key_answer(
        context.listening.key(room, stream, token, request.match_info.get("epoch")).key
    )


def key_answer(key: bytes) -> web.Response:
    """Return a key as it is sent."""
    return web.Response(body=key, content_type="application/octet-stream", headers=_NEVER_STORED)


def pass_shown(request: web.Request, room: RoomId) -> Pass | None:
    """Return what the addresses in a playlist carry; None if its own carried no token.

    Notes who listens, also by a header or a cookie, and that somebody does. Raises BadToken (a bad
    one would only show later, as a player that cannot get its key), RoomNotFound.
    """
    known = bearer(request) or request.cookies.get(listen_cookie(room), "")
    return pass_for(request.app[CONTEXT], room, request.query.get("token", ""), known)


def pass_for(context: Context, room: RoomId, shown: str, known: str) -> Pass | None:
    """Do so for who shows a token in the address, or is `known` by one elsewhere."""
    stream = stream_of(context, room)
    listening = context.listening
    if listening.keys.is_on_air(room):
        listening.keys.heard(room)
    if shown:
        return listening.pass_of(room, stream, shown)
    if known:
        with suppress(BadToken):  # the playlist is open; it is the key that asks for a right
            _ = listening.seen(room, known)
    return None


def ending_of(context: Context, room: RoomId) -> Ending | None:
    """Return what is left of a broadcast that is over, None if it is not. Raises RoomNotFound."""
    try:
        found = context.rooms.get(room)
    except RoomNotFound:
        ending = context.endings.get(room)
        if ending is None:
            raise
        return ending
    if found.broadcast:
        return None
    ending = context.endings.get(room)  # of this room, and of none that had its id before
    is_its = ending is not None and ending.stream.secret == context.rooms.stream(room).secret
    return ending if is_its else None


def stream_of(context: Context, room: RoomId) -> Stream:
    """Return clock and keys of a broadcast, also of one that is just over. Raises RoomNotFound."""
    ending = ending_of(context, room)
    return context.rooms.stream(room) if ending is None else ending.stream
