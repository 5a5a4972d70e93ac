"""REST of webhooks, for the admin; and what happened is stored before its cause is answered."""

from datetime import UTC, datetime
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from server.domain.api_key import Scope
from server.domain.room import rfc3339
from server.domain.webhook import Webhook
from server.edge.context import CONTEXT
from server.edge.models import WebhookRequest
from server.edge.reading import read_body
from server.edge.rights import require
from server.services.webhooks import Failure, Report

_HARMLESS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@web.middleware
async def tell_first(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Store what a call made happen before it is answered: then no crash can hide it."""
    answer = await handler(request)
    if request.method not in _HARMLESS:
        await request.app[CONTEXT].webhooks.written()
    return answer


async def create(request: web.Request) -> web.Response:
    """`POST /api/webhooks`."""
    require(request, Scope.WEBHOOKS)
    body = await read_body(request, WebhookRequest)
    hook = await request.app[CONTEXT].webhooks.add(body.url, frozenset(body.events))
    return _with_secret(request, hook, 201)


async def list_all(request: web.Request) -> web.Response:
    """`GET /api/webhooks`."""
    require(request, Scope.WEBHOOKS)
    found = [_shape(one) for one in request.app[CONTEXT].webhooks.all()]
    return web.json_response({"success": True, "webhooks": found})


async def get(request: web.Request) -> web.Response:
    """`GET /api/webhooks/{webhookId}`."""
    require(request, Scope.WEBHOOKS)
    one = request.app[CONTEXT].webhooks.get(_name(request))
    failures = [_failure(failure) for failure in one.failures]
    return web.json_response({"success": True, "webhook": _shape(one) | {"failures": failures}})


async def delete(request: web.Request) -> web.Response:
    """`DELETE /api/webhooks/{webhookId}`."""
    require(request, Scope.WEBHOOKS)
    await request.app[CONTEXT].webhooks.remove(_name(request))
    return web.json_response({"success": True})


async def ping(request: web.Request) -> web.Response:
    """`POST /api/webhooks/{webhookId}/ping`."""
    require(request, Scope.WEBHOOKS)
    reply = await request.app[CONTEXT].webhooks.ping(_name(request))
    told = {"delivered": reply.is_taken, "status": reply.status, "reason": reply.reason}
    return web.json_response({"success": True, "ping": told})


async def rotate(request: web.Request) -> web.Response:
    """`POST /api/webhooks/{webhookId}/secret`."""
    require(request, Scope.WEBHOOKS)
    hook = await request.app[CONTEXT].webhooks.rotate(_name(request))
    return _with_secret(request, hook, 200)


def _name(request: web.Request) -> str:
    return request.match_info["webhookId"]


def _with_secret(request: web.Request, hook: Webhook, status: int) -> web.Response:
    standing = request.app[CONTEXT].webhooks.get(hook.id)
    shape = _shape(standing) | {"secret": hook.secrets[0].text}
    return web.json_response({"success": True, "webhook": shape}, status=status)


def _shape(one: Report) -> dict[str, object]:
    return {
        "webhookId": one.hook.id,
        "url": one.hook.url,
        "events": sorted(one.hook.kinds),
        "createdAt": _time(one.hook.created_at),
        "waiting": one.waiting,
        "delivered": one.delivered,
        "failed": one.failed,
        "dead": one.dead,
    }


def _failure(failure: Failure) -> dict[str, object]:
    return {
        "at": _time(failure.at),
        "messageId": failure.message,
        "event": failure.kind.value,
        "reason": failure.reason,
    }


def _time(unix_s: float) -> str:
    return rfc3339(datetime.fromtimestamp(unix_s, UTC))
