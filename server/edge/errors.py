"""The one table of what an error is on the wire: HTTP status, JSON-RPC code, whether to retry."""

import math
import secrets
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from mixer.errors import ClientMistake, MixerError, NoCapacity, PeerGone
from server.errors import BadInput, FieldMistake, ServerError
from server.rpc.errors import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, RpcError, why

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Row:
    """`retry_after_ms` is None where trying again cannot help."""

    status: int
    rpc: int = INVALID_REQUEST
    retry_after_ms: int | None = None


INTERNAL: Final = "internal"
TABLE: Final = {
    "bad_params": Row(400, INVALID_PARAMS),
    "bad_sdp": Row(400),
    "bad_sound": Row(400),
    "bad_bus": Row(400),
    "no_audio": Row(400),
    "bad_fingerprint": Row(400),
    "bad_secret": Row(401),
    "unauthorized": Row(401),
    "forbidden": Row(403),
    "not_granted": Row(403),
    "wrong_pin": Row(403),
    "bad_invite": Row(403),
    "room_locked": Row(403),
    "not_found": Row(404),
    "room_not_found": Row(404),
    "method_not_allowed": Row(405),
    "room_exists": Row(409),
    "room_permanent": Row(409),
    "room_full": Row(409),
    "not_enabled": Row(409),
    "already_recorded": Row(409),
    "too_many": Row(409),
    "already_joined": Row(409),
    "not_joined": Row(409),
    "in_progress": Row(409, retry_after_ms=500),
    "outdated": Row(412),
    "too_large": Row(413),
    "key_reused": Row(422),
    "not_ready": Row(503, retry_after_ms=500),
    "no_capacity": Row(503, retry_after_ms=5000),  # an overload is over in some seconds, or is not
    "media_unavailable": Row(503, INTERNAL_ERROR, retry_after_ms=500),
    "signing_unavailable": Row(503, INTERNAL_ERROR, retry_after_ms=2000),
    "store_unavailable": Row(503, INTERNAL_ERROR, retry_after_ms=1000),
    INTERNAL: Row(500, INTERNAL_ERROR, retry_after_ms=1000),
}

_HTTP_CODES: Final = {400: "bad_params", 404: "not_found", 405: "method_not_allowed"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as the caller may see it."""

    code: str
    sentence: str
    fields: tuple[FieldMistake, ...] | None = None

    @property
    def row(self) -> Row:
        """Its row in the table."""
        return TABLE[self.code]


def refusal(error: Exception) -> Refusal | None:
    """Return what the caller may know of `error`; None if it is our fault."""
    if isinstance(error, BadInput):
        return Refusal(error.code, str(error), error.fields)
    if isinstance(error, NoCapacity):
        return Refusal(
            "no_capacity", "The server cannot carry one more person now: try again in a moment"
        )
    if isinstance(error, PeerGone):
        return Refusal("media_unavailable", "The media connection is gone: offer again")
    if isinstance(error, ClientMistake):
        code = error.code if error.code in TABLE else "bad_sdp"
        return Refusal(code, str(error))
    if isinstance(error, ServerError) and error.code in TABLE and error.code != INTERNAL:
        return Refusal(error.code, str(error))
    return None


def rpc_error(error: Exception) -> RpcError | None:
    """Return `error` as JSON-RPC carries it; None if it is our fault."""
    refused = refusal(error)
    if refused is None:
        return None
    row = refused.row
    log.info("rpc_refused", code=refused.code)
    return RpcError(
        row.rpc,
        refused.sentence,
        why(
            refused.code,
            retryable=row.retry_after_ms is not None,
            retry_after_ms=row.retry_after_ms,
        ),
    )


def response(refused: Refusal) -> web.Response:
    """Return the HTTP answer of the contract's shape."""
    row = refused.row
    body: dict[str, object] = {
        "success": False,
        "error": refused.sentence,
        "code": refused.code,
        "retryable": row.retry_after_ms is not None,
    }
    if refused.code == BadInput.code:
        body["details"] = (
            None
            if refused.fields is None
            else [{"field": one.field, "message": one.message} for one in refused.fields]
        )
    answer = web.json_response(body, status=row.status)
    if row.retry_after_ms is not None:
        answer.headers["Retry-After"] = str(math.ceil(row.retry_after_ms / 1000))
    return answer


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error in the contract's shape, and log it once, without the query string."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        if request.method == "OPTIONS" and isinstance(error, web.HTTPMethodNotAllowed):
            return web.Response(status=204, headers={"Allow": error.headers["Allow"]})
        refused = _of_http(error)
        answer = response(refused)
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
    except (ServerError, MixerError) as error:
        known = refusal(error)
        if known is None:
            return _internal(request, error)
        refused, answer = known, response(known)
    except Exception as error:  # noqa: BLE001 - the border: nothing of it may reach the caller
        return _internal(request, error)
    log.info("refused", method=request.method, path=request.path, code=refused.code)
    return answer


def _of_http(error: web.HTTPException) -> Refusal:
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return Refusal("too_large", "The body is larger than 32 KiB")
    code = _HTTP_CODES.get(error.status, "bad_params")
    sentences = {
        "not_found": "There is nothing at this address",
        "method_not_allowed": "This address does not answer that method",
    }
    return Refusal(code, sentences.get(code, error.reason))


def _internal(request: web.Request, error: Exception) -> web.Response:
    error_id = secrets.token_hex(6)
    log.error(
        "request_failed",
        method=request.method,
        path=request.path,
        error_id=error_id,
        exc_info=error,
    )
    return response(Refusal(INTERNAL, f"Something went wrong here; the log has it as {error_id}"))
