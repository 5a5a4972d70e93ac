"""Recordings of rooms: REST for the admin, JSON-RPC for those who may record."""

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from aiohttp import web

from mixer.types import RoomId
from server.domain.api_key import Scope
from server.domain.grants import Right
from server.domain.recording import BY_API, Recording
from server.domain.room import rfc3339
from server.edge.context import CONTEXT, Context
from server.edge.models import RecordingPatch, RecordingRequest
from server.edge.paging import page
from server.edge.params import NoParams
from server.edge.queries import PageQuery, RemovalQuery
from server.edge.reading import path_room, read_body, read_fields
from server.edge.rights import require
from server.edge.zip_stream import zipped
from server.errors import NotFound
from server.ports import RecordingArchive
from server.rpc.dispatch import Dispatcher
from server.services.signalling import Session

_TYPES: Final = {
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".mka": "audio/x-matroska",
    ".flac": "audio/flac",
    ".wav": "audio/wav",
    ".m4a": "audio/mp4",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".vtt": "text/vtt; charset=utf-8",
}
_OTHER: Final = "application/octet-stream"
_SHOWN: Final = frozenset({"audio/ogg", "audio/flac", "audio/wav", "audio/mp4"})


async def create(request: web.Request) -> web.Response:
    """`POST /api/rooms/{id}/recordings`."""
    require(request, Scope.RECORDINGS)
    context, room = request.app[CONTEXT], path_room(request)
    context.drain.check()
    body = await read_body(request, RecordingRequest)
    one = await context.recorder.start(room, body.what, BY_API)
    return web.json_response({"success": True, "recording": _shape(context, one)}, status=201)


async def list_all(request: web.Request) -> web.Response:
    """`GET /api/recordings`: of all rooms, those that are gone too."""
    require(request, Scope.RECORDINGS)
    return await _list(request, None)


async def list_of_room(request: web.Request) -> web.Response:
    """`GET /api/rooms/{id}/recordings`: of a room that is gone, too."""
    require(request, Scope.RECORDINGS)
    return await _list(request, path_room(request))


async def get(request: web.Request) -> web.Response:
    """`GET /api/rooms/{id}/recordings/{name}`."""
    require(request, Scope.RECORDINGS)
    context, one = request.app[CONTEXT], _one(request)
    storage = context.recorder.storage
    files = await storage.ask(partial(storage.archive.files, one.room, one.name))
    shape = _shape(context, one) | {
        "bytes": sum(file.size for file in files),
        "files": [
            {"name": file.name, "bytes": file.size, "type": _type(file.name)} for file in files
        ],
        "manifest": await storage.ask(partial(storage.archive.manifest, one.room, one.name)),
    }
    return web.json_response({"success": True, "recording": shape})


async def change(request: web.Request) -> web.Response:
    """`PATCH /api/rooms/{id}/recordings/{name}`."""
    require(request, Scope.RECORDINGS)
    context, one = request.app[CONTEXT], _one(request)
    recorder = context.recorder
    action = (await read_body(request, RecordingPatch)).action
    if action == "pause":
        changed = await recorder.pause(one.room, one.name)
    elif action == "resume":
        changed = await recorder.resume(one.room, one.name)
    else:
        changed = await recorder.stop(one.room, one.name, BY_API)
    return web.json_response({"success": True, "recording": _shape(context, changed)})


async def delete(request: web.Request) -> web.Response:
    """`DELETE /api/rooms/{id}/recordings/{name}?force=`."""
    require(request, Scope.RECORDINGS)
    one, query = _one(request), read_fields(request.query, RemovalQuery)
    recorder = request.app[CONTEXT].recorder
    await recorder.remove(one.room, one.name, is_forced=query.force == "true")
    return web.json_response({"success": True})


async def get_file(request: web.Request) -> web.StreamResponse:
    """`GET /api/rooms/{id}/recordings/{name}/files/{file}`: as far as it is written."""
    require(request, Scope.RECORDINGS)
    one, file = _one(request), request.match_info["file"]
    storage = request.app[CONTEXT].recorder.storage
    path = await storage.ask(partial(storage.archive.find, one.room, one.name, file))
    if path is None:
        raise NotFound("There is no such file in this recording")
    kind = _type(file)
    how = "inline" if kind in _SHOWN else "attachment"
    headers = {
        "Content-Type": kind,
        "Content-Disposition": f'{how}; filename="{_ascii(f"{one.name}-{path.name}")}"',
        "Cache-Control": "no-store",
    }
    return web.FileResponse(path, headers=headers)  # ranges, HEAD, and sendfile: nothing waits


async def get_zip(request: web.Request) -> web.StreamResponse:
    """`GET /api/rooms/{id}/recordings/{name}/files.zip`: all files, as they are read."""
    require(request, Scope.RECORDINGS)
    one = _one(request)
    storage = request.app[CONTEXT].recorder.storage
    listed = await storage.ask(partial(_listed, storage.archive, one))
    if not listed:
        raise NotFound("There is nothing in this recording yet")
    answer = web.StreamResponse(
        headers={
            "Content-Type": "application/zip",
            "Content-Disposition": f'attachment; filename="{one.room}-{one.name}.zip"',
            "Cache-Control": "no-store",
        }
    )
    await answer.prepare(request)
    if request.method != "HEAD":
        pieces = zipped(listed)
        # A piece at a time, and the next when this one is on its way: a slow caller waits alone.
        while (piece := await storage.ask(partial(next, pieces, None))) is not None:
            await answer.write(piece)
    await answer.write_eof()
    return answer


def add_recording_methods(dispatcher: Dispatcher, session: Session) -> None:
    """Add what those may do over their own socket who have the grant `record`."""

    def told(room: RoomId) -> object:
        return session.services.recorder.notice(room)

    async def start(params: RecordingRequest) -> object:
        room, user = session.act({Right.RECORD}), session.connected()[1]
        await session.services.recorder.start(room, params.what, user)
        return told(room)

    async def pause(_params: NoParams) -> object:
        room = session.act({Right.RECORD})
        await session.services.recorder.pause(room)
        return told(room)

    async def resume(_params: NoParams) -> object:
        room = session.act({Right.RECORD})
        await session.services.recorder.resume(room)
        return told(room)

    async def stop(_params: NoParams) -> object:
        room, user = session.act({Right.RECORD}), session.connected()[1]
        await session.services.recorder.stop(room, None, user)
        return told(room)

    dispatcher.add("startRecording", RecordingRequest, start)
    dispatcher.add("pauseRecording", NoParams, pause)
    dispatcher.add("resumeRecording", NoParams, resume)
    dispatcher.add("stopRecording", NoParams, stop)


async def _list(request: web.Request, room: RoomId | None) -> web.Response:
    context = request.app[CONTEXT]
    recorder = context.recorder
    found, more = page(
        recorder.all(room),
        lambda one: (one.began_at.timestamp(), one.room, one.name),
        read_fields(request.query, PageQuery),
    )
    sizes = await recorder.storage.sizes(found)
    return web.json_response(
        {
            "success": True,
            "recordings": [
                _shape(context, one) | {"bytes": size}
                for one, size in zip(found, sizes, strict=True)
            ],
            "freeBytes": await recorder.storage.free_bytes(),
            **more,
        }
    )


def _one(request: web.Request) -> Recording:
    return request.app[CONTEXT].recorder.get(path_room(request), request.match_info["name"])


def _listed(archive: RecordingArchive, one: Recording) -> list[tuple[str, Path]]:
    place = archive.place(one.room, one.name)
    files = archive.files(one.room, one.name)
    return [(f"{one.name}/{file.name}", place / file.name) for file in files]


def _type(file: str) -> str:
    return _TYPES.get(Path(file).suffix.lower(), _OTHER)


def _ascii(text: str) -> str:
    """Return a name as a header can hold it."""
    return "".join(
        one if one.isascii() and one.isprintable() and one not in '"\\' else "_" for one in text
    )


def _shape(context: Context, one: Recording) -> dict[str, object]:
    return {
        "roomId": one.room,
        "name": one.name,
        "state": one.state.value,
        "mix": one.what.mix.value,
        "tracks": one.what.tracks,
        "exact": one.what.exact,
        "by": one.by,
        "beganAt": rfc3339(one.began_at),
        "endedAt": _time(one.ended_at),
        "endedBy": one.ended_by,
        "seconds": round(one.recorded_s(context.clock.now()), 1),
        "reason": one.reason,
        "upload": context.uploads.progress(one),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
