"""REST of API keys, and of the keys that sign."""

from aiohttp import web

from server.domain.api_key import ApiKey, Scope, missing
from server.domain.room import rfc3339
from server.edge.context import CONTEXT
from server.edge.models import CreateKeyRequest
from server.edge.reading import read_body
from server.edge.rights import require, scopes_shown
from server.errors import Forbidden


async def create_key(request: web.Request) -> web.Response:
    """`POST /api/keys`."""
    require(request, Scope.KEYS)
    body = await read_body(request, CreateKeyRequest)
    if above := missing(body.scopes, scopes_shown(request)):
        raise Forbidden(f"A key cannot give what it has not: {', '.join(above)}")
    keys = request.app[CONTEXT].keys
    key, text = await keys.create(body.name, body.scopes, body.expiresIn)
    return web.json_response({"success": True, "key": _shown(key) | {"secret": text}}, status=201)


async def list_keys(request: web.Request) -> web.Response:
    """`GET /api/keys`."""
    require(request, Scope.KEYS)
    keys = [_shown(key) for key in request.app[CONTEXT].keys.all()]
    return web.json_response({"success": True, "count": len(keys), "keys": keys})


async def delete_key(request: web.Request) -> web.Response:
    """`DELETE /api/keys/{keyId}`."""
    require(request, Scope.KEYS)
    await request.app[CONTEXT].keys.revoke(request.match_info["keyId"])
    return web.json_response({"success": True})


async def rotate_keys(request: web.Request) -> web.Response:
    """`POST /api/keys/rotate`: tokens are signed with new keys from now on."""
    require(request, Scope.KEYS)
    await request.app[CONTEXT].signer.rotate()
    return web.json_response({"success": True})


async def get_jwks(request: web.Request) -> web.Response:
    """`GET /.well-known/jwks.json`: the public keys of join and listen tokens."""
    headers = {"Cache-Control": "public, max-age=60"}
    return web.json_response(request.app[CONTEXT].signer.verifying.jwks(), headers=headers)


def _shown(key: ApiKey) -> dict[str, object]:
    return {
        "keyId": key.id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "createdAt": rfc3339(key.created_at),
        "expiresAt": None if key.expires_at is None else rfc3339(key.expires_at),
        "usedAt": None if key.used_at is None else rfc3339(key.used_at),
    }
