"""Captions: REST for a service that sends them, JSON-RPC for those who read them in the room."""

from datetime import UTC, datetime

from aiohttp import web

from hls.types import Caption
from server.domain.api_key import Scope
from server.domain.room import rfc3339
from server.edge.context import CONTEXT
from server.edge.models import CaptionRequest
from server.edge.params import ReadParams
from server.edge.reading import path_room, read_body
from server.edge.rights import require
from server.rpc.dispatch import Dispatcher
from server.services.signalling import Session


async def say(request: web.Request) -> web.Response:
    """`POST /api/rooms/{id}/captions`."""
    require(request, Scope.CAPTIONS)
    room = path_room(request)
    body = await read_body(request, CaptionRequest)
    captions = request.app[CONTEXT].captions
    if not body.isFinal:  # what is on air cannot be taken back
        captions.check(room, body.language)
        return web.json_response({"success": True, "caption": None})
    shown = await captions.say(room, body.said)
    shape = _shape(shown.caption) | {"late": shown.is_late}
    return web.json_response({"success": True, "caption": shape})


def add_caption_methods(dispatcher: Dispatcher, session: Session) -> None:
    """Add reading along."""

    async def read(params: ReadParams) -> object:
        room, (_, user) = session.act(()), session.connected()
        captions = session.services.captions
        language = captions.check(room, params.language) if params.language else ""
        captions.readers.choose(room, user, language)
        return {"language": language or None}

    dispatcher.add("readCaptions", ReadParams, read)


def _shape(caption: Caption) -> dict[str, object]:
    return {
        "language": caption.language,
        "text": caption.text,
        "startsAt": _time(caption.start_unix_s),
        "endsAt": _time(caption.end_unix_s),
    }


def _time(unix_s: float) -> str:
    return rfc3339(datetime.fromtimestamp(round(unix_s, 3), UTC))
