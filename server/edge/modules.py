"""REST of the marks of modules, as in the system we replace."""

from aiohttp import web

from server.domain.api_key import Scope
from server.edge.context import CONTEXT
from server.edge.models import MarkRequest
from server.edge.queries import ModulePath
from server.edge.reading import read_body, read_fields
from server.edge.rights import require


async def put_mark(request: web.Request) -> web.Response:
    """`PUT /api/modules/{moduleType}/{moduleId}/mark`."""
    require(request, Scope.ROOMS_WRITE)
    where = read_fields(request.match_info, ModulePath)
    body = await read_body(request, MarkRequest)
    ttl_s = body.ttl or 0
    marks = request.app[CONTEXT].marks
    await marks.put(where.moduleType, where.moduleId, body.label, ttl_s)
    module = {"type": where.moduleType, "id": where.moduleId, "label": body.label, "ttl": ttl_s}
    return web.json_response(
        {"success": True, "message": "Module mark set successfully", "module": module}
    )


async def delete_mark(request: web.Request) -> web.Response:
    """`DELETE /api/modules/{moduleType}/{moduleId}/mark`."""
    require(request, Scope.ROOMS_WRITE)
    where = read_fields(request.match_info, ModulePath)
    await request.app[CONTEXT].marks.remove(where.moduleType, where.moduleId)
    module = {"type": where.moduleType, "id": where.moduleId}
    return web.json_response(
        {"success": True, "message": "Module mark deleted successfully", "module": module}
    )
