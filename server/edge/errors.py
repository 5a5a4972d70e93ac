"""The one table of what an error is on the wire: HTTP status, JSON-RPC code, whether to retry."""

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from mixer.errors import ClientMistake, MixerError, NoCapacity, PeerGone
from server.errors import BadInput, Delayed, FieldMistake, ServerError
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
    "bad_secret": Row(401),
    "unauthorized": Row(401),
    "forbidden": Row(403),
    "not_granted": Row(403),
    "wrong_pin": Row(403),
    "bad_invite": Row(403),
    "room_locked": Row(403),
    "not_found": Row(404),
    "room_not_found": Row(404),
    "key_not_yet": Row(404, retry_after_ms=2000),  # the error itself knows better
    "method_not_allowed": Row(405),
    "not_acceptable": Row(406),
    "room_exists": Row(409),
    "room_permanent": Row(409),
    "room_full": Row(409),
    "not_enabled": Row(409),
    "already_recorded": Row(409),
    "already_recording": Row(409),
    "recording_over": Row(409),
    "recording_busy": Row(409),
    "too_many": Row(409),
    "already_joined": Row(409),
    "not_joined": Row(409),
    "chat_off": Row(403),
    "chat_too_fast": Row(429, retry_after_ms=1000),
    "waiting": Row(409, retry_after_ms=2000),
    "in_progress": Row(409, retry_after_ms=500),
    "precondition_failed": Row(412),
    "too_large": Row(413),
    "unsupported_media": Row(415),
    "range_not_there": Row(416),
    "no_audio": Row(422),
    "bad_fingerprint": Row(422),
    "precondition_required": Row(428),
    "too_slow": Row(408, retry_after_ms=1000),
    "wrong_host": Row(421),  # 421: this connection is not for that name (RFC 9110 §15.5.20)
    "key_reused": Row(422),
    "too_many_requests": Row(429, retry_after_ms=1000),  # the error itself knows better
    "pin_locked": Row(429, retry_after_ms=10_000),
    "draining": Row(503, retry_after_ms=5000),
    "not_ready": Row(503, retry_after_ms=500),
    "radio_full": Row(503, retry_after_ms=30_000),  # the error itself knows better
    "no_capacity": Row(503, retry_after_ms=5000),  # an overload is over in some seconds, or is not
    "media_unavailable": Row(503, INTERNAL_ERROR, retry_after_ms=500),
    "signing_unavailable": Row(503, INTERNAL_ERROR, retry_after_ms=2000),
    "store_unavailable": Row(503, INTERNAL_ERROR, retry_after_ms=1000),
    "disk_full": Row(507, INTERNAL_ERROR),  # 507: Insufficient Storage (RFC 4918 §11.5)
    INTERNAL: Row(500, INTERNAL_ERROR, retry_after_ms=1000),
}

_HTTP_CODES: Final = {400: "bad_params", 404: "not_found", 405: "method_not_allowed"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as the caller may see it."""

    code: str
    sentence: str
    fields: tuple[FieldMistake, ...] | None = None
    delay_ms: int | None = None
    error_id: str | None = None

    @property
    def retry_after_ms(self) -> int | None:
        """When trying again may help; None: never."""
        return self.row.retry_after_ms if self.delay_ms is None else self.delay_ms

    @property
    def row(self) -> Row:
        """Its row in the table."""
        return TABLE[self.code]


def refusal(error: Exception) -> Refusal | None:
    """Return what the caller may know of `error`; None if it is our fault."""
    match error:
        case BadInput():
            return Refusal(error.code, str(error), error.fields)
        case Delayed():
            return Refusal(error.code, str(error), delay_ms=error.retry_after_ms)
        case ServerError() if error.code in TABLE and error.code != INTERNAL:
            return Refusal(error.code, str(error))
        case MixerError():
            return _of_mixer(error)
        case _:
            return None


def _of_mixer(error: MixerError) -> Refusal | None:
    match error:
        case NoCapacity():
            sentence = "The server cannot carry one more person now: try again in a moment"
            return Refusal("no_capacity", sentence)
        case PeerGone():
            return Refusal("media_unavailable", "The media connection is gone: offer again")
        case ClientMistake():
            return Refusal(error.code if error.code in TABLE else "bad_sdp", str(error))
        case _:
            return None


TOO_LARGE: Final = Refusal("too_large", "The body is larger than 32 KiB")


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
            retryable=refused.retry_after_ms is not None,
            retry_after_ms=refused.retry_after_ms,
        ),
    )


def response(refused: Refusal, more: Mapping[str, object] | None = None) -> web.Response:
    """Return the HTTP answer of the contract's shape, and `more`."""
    retry_after_ms = refused.retry_after_ms
    body: dict[str, object] = {
        "success": False,
        "error": refused.sentence,
        "code": refused.code,
        "retryable": retry_after_ms is not None,
        "retryAfterMs": retry_after_ms,
    }
    if refused.error_id is not None:
        body["id"] = refused.error_id
    body |= more or {}
    if refused.code == BadInput.code:
        body["details"] = (
            None
            if refused.fields is None
            else [{"field": one.field, "message": one.message} for one in refused.fields]
        )
    answer = web.json_response(body, status=refused.row.status)
    if retry_after_ms is not None:
        answer.headers["Retry-After"] = str(math.ceil(retry_after_ms / 1000))
    return answer


def unreadable() -> web.Response:
    """Return the answer to what is no HTTP that can be read."""
    answer = response(Refusal(BadInput.code, "This is no HTTP request: nothing of it was read"))
    answer.headers["X-Content-Type-Options"] = "nosniff"  # no handler will add it
    return answer


def problem(request: web.Request, refused: Refusal) -> web.Response:
    """Return the HTTP answer as problem details (RFC 9457), with what the contract's shape has."""
    log.info("refused", method=request.method, path=request.path, code=refused.code)
    status = refused.row.status
    answer = response(
        refused,
        {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
        | {"detail": refused.sentence},
    )
    answer.content_type = "application/problem+json"
    if status == HTTPStatus.UNAUTHORIZED:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error in the contract's shape, and log it once, without the query string."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        refused = _of_http(error)
        answer = response(refused)
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
    except (ServerError, MixerError) as error:
        known = refusal(error)
        if known is None:
            return _internal(request, error)
        refused, answer = known, response(known)
    except (web.RequestPayloadError, HttpProcessingError):
        refused = Refusal(BadInput.code, "The body cannot be read: send the request again")
        answer = response(refused)
        answer.force_close()
    except ConnectionError as error:
        if request.transport is not None:
            return _internal(request, error)
        refused = Refusal(BadInput.code, "The caller left before the answer")  # nobody reads it
        answer = response(refused)
    except Exception as error:  # noqa: BLE001 - the border: nothing of it may reach the caller
        return _internal(request, error)
    log.info(
        "refused",
        method=request.method,
        path=request.path,
        address=request.remote,
        code=refused.code,
    )
    return answer


def _of_http(error: web.HTTPException) -> Refusal:
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return TOO_LARGE
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
    sentence = f"Something went wrong here; the log has it as {error_id}"
    return response(Refusal(INTERNAL, sentence, error_id=error_id))
