"""Who listens to the broadcasts, and may do so no more: REST."""

from datetime import UTC, datetime

from aiohttp import web

from server.domain.api_key import Scope
from server.domain.room import InviteRole, rfc3339
from server.edge.context import CONTEXT
from server.edge.paging import page
from server.edge.queries import PageQuery, RevokeQuery
from server.edge.reading import path_room, path_user, read_fields
from server.edge.rest import links_of
from server.edge.rights import require
from server.services.listeners import Listener


async def list_listeners(request: web.Request) -> web.Response:
    """`GET /api/rooms/{id}/listeners`."""
    require(request, Scope.PEOPLE)
    context = request.app[CONTEXT]
    room, query = context.rooms.get(path_room(request)), read_fields(request.query, PageQuery)
    found, more = page(
        context.listening.listeners.all(room.id), lambda one: (one.since_s, str(one.user)), query
    )
    listeners = [_shape(one) for one in found]
    return web.json_response(
        {"success": True, "count": len(listeners), "listeners": listeners, **more}
    )


async def delete_listener(request: web.Request) -> web.Response:
    """`DELETE /api/rooms/{id}/listeners/{userId}`: also of somebody who does not listen now.

    The listen page, refused, comes again by its link at once and is somebody else then: `renew`
    makes that link worthless first.
    """
    require(request, Scope.PEOPLE)
    context, room, user = request.app[CONTEXT], path_room(request), path_user(request)
    told: dict[str, object] = {"success": True}
    if read_fields(request.query, RevokeQuery).renew == "true":
        require(request, Scope.ROOMS_WRITE)
        renewed = await context.rooms.renew_invite(room, InviteRole.LISTEN)
        told["links"] = links_of(request, renewed)
    await context.access.remove(room, user)
    return web.json_response(told)


def _shape(one: Listener) -> dict[str, object]:
    since = datetime.fromtimestamp(one.since_unix_s, UTC)
    return {"userId": one.user, "since": rfc3339(since), "keys": one.keys}
