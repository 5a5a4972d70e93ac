"""REST of announcements: sounds that are played into a room, for the admin."""

from collections.abc import AsyncIterator
from typing import IO

from aiohttp import BodyPartReader, web

from server.domain.announcement import Announcement
from server.domain.api_key import Scope
from server.edge.context import CONTEXT
from server.edge.models import (
    AnnouncementRequest,
    FolderRequest,
    GainRequest,
    PlayedQuery,
    path_room,
    read_body,
    read_fields,
)
from server.edge.pace import at_once, in_time
from server.edge.paging import page
from server.edge.rights import require
from server.errors import BadInput
from server.services.announcer import Wanted
from server.services.sounds import Sounds

MAX_PARTS = 16  # of a form: five mean something


async def create(request: web.Request) -> web.Response:
    """`POST /api/rooms/{id}/announcements`: a form with the file, the file alone, or its name."""
    require(request, Scope.ANNOUNCEMENTS)
    context = request.app[CONTEXT]
    room = context.rooms.get(path_room(request)).id
    context.announcer.check_space(room)  # before anything is received
    if request.content_type == "application/json":
        asked = await read_body(request, FolderRequest)
        sound = await context.sounds.open(asked.file)
        wanted = _wanted(asked, asked.file)
    else:
        context.sounds.check_size(request.content_length)
        wanted, sound = await _receive(request, context.sounds)
    begun = await context.announcer.play(room, wanted, sound)
    return web.json_response({"success": True, "announcement": _shape(begun)}, status=201)


async def list_all(request: web.Request) -> web.Response:
    """`GET /api/rooms/{id}/announcements`."""
    require(request, Scope.ANNOUNCEMENTS)
    context = request.app[CONTEXT]
    room = context.rooms.get(path_room(request)).id
    query = read_fields(request.query, PlayedQuery)
    wanted = [one for one in context.announcer.list(room) if query.state in {None, one.state}]
    found, more = page(wanted, lambda one: (one.id,), query)
    shapes = [_shape(one) for one in found]
    return web.json_response({"success": True, "announcements": shapes, **more})


async def change(request: web.Request) -> web.Response:
    """`PATCH /api/rooms/{id}/announcements/{announcementId}`."""
    require(request, Scope.ANNOUNCEMENTS)
    context = request.app[CONTEXT]
    room = context.rooms.get(path_room(request)).id
    asked = await read_body(request, GainRequest)
    name = request.match_info["announcementId"]
    changed = await context.announcer.set_gain(room, name, asked.gainDb)
    return web.json_response({"success": True, "announcement": _shape(changed)})


async def delete(request: web.Request) -> web.Response:
    """`DELETE /api/rooms/{id}/announcements/{announcementId}`."""
    require(request, Scope.ANNOUNCEMENTS)
    context = request.app[CONTEXT]
    room = context.rooms.get(path_room(request)).id
    await context.announcer.stop(room, request.match_info["announcementId"])
    return web.json_response({"success": True})


async def _receive(request: web.Request, sounds: Sounds) -> tuple[Wanted, IO[bytes]]:
    """Read a form or a bare file. Raises BadInput, TooLarge, StoreLost."""
    if request.content_type != "multipart/form-data":
        asked = read_fields(request.query, AnnouncementRequest)  # before the file
        return _wanted(asked, ""), await sounds.receive(in_time(request.content.iter_any()))
    fields, file_name, sound = dict(request.query), "", None
    try:
        async for part in _parts(request):
            if part.filename is not None and sound is None:
                file_name, sound = part.filename, await sounds.receive(in_time(_pieces(part)))
            elif part.filename is None and part.name:
                fields[part.name] = await at_once(part.text())
        wanted = _wanted(read_fields(fields, AnnouncementRequest), file_name)
    except BaseException:
        if sound is not None:
            sound.close()
        raise
    if sound is None:
        raise BadInput("There is no sound file in the request")
    return wanted, sound


async def _parts(request: web.Request) -> AsyncIterator[BodyPartReader]:
    try:
        form = await request.multipart()
        for _ in range(MAX_PARTS):
            part = await at_once(form.next())
            if part is None:
                return
            if not isinstance(part, BodyPartReader):
                raise BadInput("The form has a form within")
            yield part
    except (ValueError, AssertionError):  # how aiohttp says that the form is none
        raise BadInput("The form cannot be read") from None
    raise BadInput(f"The form has more than {MAX_PARTS} parts")


async def _pieces(part: BodyPartReader) -> AsyncIterator[bytes]:
    while piece := await part.read_chunk():
        yield piece


def _wanted(asked: AnnouncementRequest, file_name: str) -> Wanted:
    printable = "".join(letter for letter in file_name if letter.isprintable())
    return Wanted(asked.name or printable[:80], asked.to, asked.gainDb, is_looped=asked.loop)


def _shape(one: Announcement) -> dict[str, object]:
    return {
        "announcementId": one.id,
        "name": one.name,
        "to": one.to,
        "gainDb": one.gain_db,
        "loop": one.is_looped,
        "state": one.state.value,
        "position": round(one.position_s, 2),
        "length": None if one.length_s is None else round(one.length_s, 2),
        "reason": one.reason,
    }
