"""How a room's broadcast is, for those who run it: REST."""

from collections.abc import Mapping

from aiohttp import web

from hls.core.playlist import HOLD_BACK_S, PART_HOLD_BACK_PARTS
from hls.types import BroadcastSpec, PlaylistKind, Reading, RenditionSpec
from mixer.types import RoomId
from server.domain.api_key import Scope
from server.domain.reload import Parts
from server.edge.context import CONTEXT, Context
from server.edge.reading import path_room
from server.edge.rights import base_url, require

_KINDS = {"lowLatency": PlaylistKind.LOW_LATENCY, "classic": PlaylistKind.CLASSIC}


async def get_broadcast(request: web.Request) -> web.Response:
    """`GET /api/rooms/{id}/broadcast`."""
    require(request, Scope.ROOMS_READ)
    context = request.app[CONTEXT]
    room = context.rooms.get(path_room(request))
    spec = context.broadcast.spec(room.id) if room.broadcast else None
    url = f"{base_url(request)}/hls/{room.id}"
    shape: dict[str, object] = {
        "onAir": spec is not None,
        "urls": {
            "master": f"{url}/master.m3u8",
            "lowLatency": f"{url}/stream.m3u8",
            "classic": f"{url}/classic.m3u8",
            "classicMaster": f"{url}/classic-master.m3u8",
        },
        "loudness": {
            bus: _reading(one) for bus, one in (await context.broadcast.loudness(room.id)).items()
        },
        "blocked": context.broadcast.blocked(room.id),
        "bytesSent": sum(context.audience.bytes_sent(room.id).values()),
        **_numbers(context, room.id, spec, url),
    }
    return web.json_response({"success": True, "broadcast": shape})


def _numbers(
    context: Context, room: RoomId, spec: BroadcastSpec | None, url: str
) -> Mapping[str, object]:
    """Return what is so of a broadcast that is on air."""
    if spec is None:
        return {
            "listeners": 0,
            "partMs": None,
            "holdBackMs": None,
            "renditions": [],
            "captions": [],
        }
    heard = context.audience.listeners(room)
    parts = Parts(spec)
    default = spec.renditions[0].name
    return {
        "listeners": sum(heard.values()),
        "partMs": round(1000 * parts.seconds),
        "holdBackMs": {
            "lowLatency": round(1000 * PART_HOLD_BACK_PARTS * parts.seconds),
            "classic": round(1000 * HOLD_BACK_S),
        },
        "renditions": [
            _rendition(one, url if one.name == default else f"{url}/{one.name}")
            | {
                "listeners": {
                    name: heard.get((one.name, kind), 0)
                    + (heard.get(("", kind), 0) if one.name == default else 0)
                    for name, kind in _KINDS.items()
                }
            }
            for one in spec.renditions
        ],
        "captions": [
            {"language": one.language, "url": f"{url}/{one.name}/stream.m3u8"}
            for one in spec.captions
        ],
    }


def _reading(one: Reading) -> dict[str, float]:
    return {
        "momentaryLufs": round(one.momentary_lufs, 1),
        "shortTermLufs": round(one.short_term_lufs, 1),
        "integratedLufs": round(one.integrated_lufs, 1),
        "truePeakDbtp": round(one.true_peak_dbtp, 1),
        "gainDb": round(one.gain_db, 1),
    }


def _rendition(one: RenditionSpec, url: str) -> dict[str, object]:
    return {
        "name": one.name,
        "bitRate": one.bit_rate,
        "bus": one.bus,
        "language": one.language,
        "label": one.label,
        "url": f"{url}/stream.m3u8",
    }
