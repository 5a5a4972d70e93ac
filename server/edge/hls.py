"""The broadcast over HTTP: playlists, segments and parts."""

import re
from functools import lru_cache
from typing import Final

from aiohttp import web

from hls.types import PlaylistKind
from mixer.types import RoomId
from server.domain.byte_range import read_range
from server.domain.media import Media
from server.domain.playlist_text import PlaylistText
from server.domain.reload import TARGET_S, PlaylistAsk, read_directives
from server.domain.room import RoomState
from server.edge.connections import ends_with_caller
from server.edge.context import CONTEXT, Context
from server.edge.errors import refusal, response
from server.edge.hls_instruments import media_kind
from server.edge.reading import path_room
from server.edge.rights import listen_token
from server.edge.stream_keys import ending_of, pass_shown
from server.errors import NotFound, NotReady, RangeNotThere
from server.services.endings import Ending
from server.services.listening import Pass

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
_RENDITION: Final = re.compile(r"[a-z0-9-]{1,32}", re.ASCII)
KINDS: Final = {
    "stream.m3u8": PlaylistKind.LOW_LATENCY,
    "classic.m3u8": PlaylistKind.CLASSIC,
    "master.m3u8": PlaylistKind.MULTIVARIANT,
    "classic-master.m3u8": PlaylistKind.CLASSIC_MULTIVARIANT,
}
_MPEGURL: Final = "application/vnd.apple.mpegurl"
_TYPES: Final = {
    "m4s": "video/mp4",
    "mp4": "video/mp4",
    "ts": "video/mp2t",
    "aac": "audio/aac",
    "vtt": "text/vtt",
}
# RFC 8216bis B.1: what was waited for is that one answer for good; what was not is old at once.
_BLOCKED_S: Final = round(6 * TARGET_S)
_PLAIN_S: Final = round(TARGET_S / 2)
# A year, the longest there is: a name is one stream's for good, an init segment's its content's.
_MEDIA: Final = "public, max-age=31536000, immutable"
_NO_MEDIA: Final = "There is no such segment, or not any more"


async def get_playlist(request: web.Request) -> web.Response:
    """`GET /hls/{room}[/{rendition}]/stream.m3u8`, `classic.m3u8`, and the multivariant ones."""
    context = request.app[CONTEXT]
    room, ask = path_room(request), _ask(request)
    # A bad one is refused before it waits.
    listener = pass_shown(request, room)
    ending = ending_of(context, room)
    text = await _running(request, room, ask) if ending is None else _ended(ending, ask)
    if _is_counted(context, room):
        playlist = (ask.rendition, ask.kind)
        context.audience.asked(room, playlist, _who(request, room))
    accepted = request.headers.get("Accept-Encoding", "")
    answer = text_answer(text, ask, listener, is_packed=takes_gzip(accepted))
    return _sent(context, room, ask.kind.value, answer)


async def get_media(request: web.Request) -> web.Response:
    """`GET /hls/{room}[/{rendition}]/{name}`: an init segment, a segment or a part."""
    context = request.app[CONTEXT]
    room, rendition, name = path_room(request), _rendition(request), request.match_info["name"]
    if not _NAME.fullmatch(name):
        raise NotFound(_NO_MEDIA)
    media = None
    if ending_of(context, room) is None:
        with ends_with_caller(request):
            media = await context.broadcast.fetch(room, rendition, name)
    if media is None and (ending := ending_of(context, room)) is not None:
        media = ending.fetch(rendition, name)
    if media is None:
        raise NotFound(_NO_MEDIA)
    return _sent(context, room, media_kind(name), _media_answer(request, media, name))


def _ask(request: web.Request) -> PlaylistAsk:
    kind = KINDS[request.path.rpartition("/")[2]]
    msn, part, skip = read_directives(tuple(request.query.items()))
    return PlaylistAsk(_rendition(request), kind, msn, part, skip)


def _rendition(request: web.Request) -> str:
    rendition = request.match_info.get("rendition", "")
    if rendition and not _RENDITION.fullmatch(rendition):
        raise NotFound("This broadcast has no such rendition")
    return rendition


def _ended(ending: Ending, ask: PlaylistAsk) -> PlaylistText:
    text = ending.text(ask)
    if text is None:
        raise NotFound("This broadcast had no such playlist")
    return text


async def _running(request: web.Request, room: RoomId, ask: PlaylistAsk) -> PlaylistText:
    context = request.app[CONTEXT]
    _check_broadcast(context, room)
    with ends_with_caller(request):
        text = await context.broadcast.playlist(room, ask)
    if text is not None:
        return text
    ending = ending_of(context, room)  # it may have come while we waited
    if ending is not None:
        return _ended(ending, ask)
    _check_broadcast(context, room)
    raise NotReady("The broadcast is starting")


def _check_broadcast(context: Context, room: RoomId) -> None:
    if not context.rooms.get(room).broadcast:
        raise NotReady("This room is not being broadcast now")


def text_answer(
    text: PlaylistText, ask: PlaylistAsk, listener: Pass | None, *, is_packed: bool
) -> web.Response:
    """Return a playlist as it is sent: with a listener's tokens in it, or else perhaps packed."""
    if listener is not None:
        answer = web.Response(body=listener.into(text), content_type=_MPEGURL, charset="utf-8")
    else:
        headers = {"Vary": "Accept-Encoding"} | ({"Content-Encoding": "gzip"} if is_packed else {})
        body = text.zipped if is_packed else text.plain
        answer = web.Response(body=body, content_type=_MPEGURL, charset="utf-8", headers=headers)
    scope = "public" if listener is None else "private"  # its addresses hold tokens
    answer.headers["Cache-Control"] = f"{scope}, max-age={max_age_s(ask)}"
    return answer


def max_age_s(ask: PlaylistAsk) -> int:
    """Return how long a playlist may be kept."""
    return _BLOCKED_S if ask.waits else _PLAIN_S


@lru_cache(256)  # browsers send few
def takes_gzip(accepted: str) -> bool:
    """Whether gzip is among what is taken, and not with a weight of nothing (RFC 9110 §12.5.3)."""
    for one in accepted.lower().split(","):
        name, _, weight = one.partition(";")
        if name.strip() == "gzip":
            return not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight)
    return False


def _media_answer(request: web.Request, media: Media, name: str) -> web.Response:
    headers = _media_headers(media)
    known = {one.value for one in request.if_none_match or ()}
    if media.tag in known or "*" in known:
        return web.Response(status=304, headers=headers)
    wanted = None
    if request.headers.get("If-Range", headers["ETag"]) == headers["ETag"]:
        try:
            wanted = read_range(request.headers.get("Range", ""), len(media.data))
        except RangeNotThere as error:
            return _beyond(error)
    if wanted is None:
        return whole_answer(media, name)
    headers["Content-Range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{len(media.data)}"
    body = media.data[wanted.start : wanted.stop]
    return web.Response(status=206, body=body, content_type=media_type(name), headers=headers)


def whole_answer(media: Media, name: str) -> web.Response:
    """Return a piece of media as it is sent to who asks for no range of it."""
    return web.Response(
        body=media.data, content_type=media_type(name), headers=_media_headers(media)
    )


def _media_headers(media: Media) -> dict[str, str]:
    return {"Cache-Control": _MEDIA, "ETag": f'"{media.tag}"', "Accept-Ranges": "bytes"}


def media_type(name: str) -> str:
    """Return the content type of what has this name."""
    return _TYPES.get(name.rpartition(".")[2], "application/octet-stream")


def _beyond(error: RangeNotThere) -> web.Response:
    refused = refusal(error)
    assert refused is not None, "it is in the table"
    answer = response(refused)
    answer.headers["Content-Range"] = f"bytes */{error.size}"
    return answer


def _who(request: web.Request, room: RoomId) -> int:
    """Tell listeners apart without keeping what they are."""
    shown, agent = listen_token(request, room), request.headers.get("User-Agent", "")
    return who(shown, request.remote or "", agent)


def who(token: str, address: str, agent: str) -> int:
    """Return what is kept of who listens."""
    return hash(token or (address, agent))


def _sent(context: Context, room: RoomId, kind: str, answer: web.Response) -> web.Response:
    if _is_counted(context, room):
        context.audience.sent(room, kind, answer.content_length or 0)
    return answer


def _is_counted(context: Context, room: RoomId) -> bool:
    """Whether there is an audience: of a broadcast that is over it was forgotten, for good."""
    return context.rooms.state(room) is RoomState.ON_AIR and context.rooms.get(room).broadcast
