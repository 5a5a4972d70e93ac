"""REST of captions: what a caption service sends."""

from datetime import UTC, datetime

from aiohttp import web

from hls.types import Caption
from server.domain.api_key import Scope
from server.domain.room import rfc3339
from server.edge.context import CONTEXT
from server.edge.models import CaptionRequest
from server.edge.reading import path_room, read_body
from server.edge.rights import require


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


def _shape(caption: Caption) -> dict[str, object]:
    return {
        "language": caption.language,
        "text": caption.text,
        "startsAt": _time(caption.start_unix_s),
        "endsAt": _time(caption.end_unix_s),
    }


def _time(unix_s: float) -> str:
    return rfc3339(datetime.fromtimestamp(round(unix_s, 3), UTC))
