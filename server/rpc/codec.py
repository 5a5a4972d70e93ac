"""JSON-RPC 2.0 messages as text (https://www.jsonrpc.org/specification)."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeGuard, assert_never

from server.rpc.errors import Id, InvalidRequest, ParseError, RpcError

MAX_BYTES = 32 * 1024  # the contract's limit for a WebSocket frame
MAX_BATCH = 32  # a frame holds more keepalives than anybody has to say at once
MAX_DEPTH = 32  # our deepest message has six levels; CPython's parser survives far more than 32

Params = Mapping[str, object] | Sequence[object] | None


@dataclass(frozen=True, slots=True)
class Request:
    """A call that wants an answer with the same `id`."""

    id: Id
    method: str
    params: Params = None


@dataclass(frozen=True, slots=True)
class Notification:
    """A call that is never answered."""

    method: str
    params: Params = None


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to the request `id`; `result` may well be None."""

    id: Id
    result: object = None


@dataclass(frozen=True, slots=True)
class Failure:
    """The refusal of the request `id`; None if the request's id could not be read."""

    id: Id | None
    code: int
    message: str
    data: Mapping[str, object] | None = None


Message = Request | Notification | Response | Failure


@dataclass(frozen=True, slots=True)
class Batch:
    """Several messages at once (§6), in order; what is no message stands there as its refusal."""

    messages: tuple[Message | InvalidRequest, ...]


def failure(message_id: Id | None, error: RpcError) -> Failure:
    """Return the refusal that carries `error`."""
    return Failure(message_id, error.code, error.message, error.data)


def parse(text: str | bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Message:
    """Read one message.

    An `id` of null counts as absent, and the version member is not checked: clients of the system
    we replace rely on both. Numbers that JSON cannot hold (NaN, 1e999) and text that Unicode
    cannot (lone surrogates) are refused, so that whatever is accepted can be stored and sent on.

    Raises:
        ParseError: not JSON, too long or too deep.
        InvalidRequest: JSON, but no message.
    """
    value = _load(text, max_bytes)
    _check(value, max_depth)
    return _read(value)


def parse_any(text: str | bytes, *, max_bytes: int = MAX_BYTES) -> Message | Batch:
    """Read one message or a batch of at most MAX_BATCH. Raises what `parse` raises."""
    value = _load(text, max_bytes)
    _check(value, MAX_DEPTH)
    if not isinstance(value, list):
        return _read(value)
    if not 0 < len(value) <= MAX_BATCH:
        raise InvalidRequest(f"a batch has 1 to {MAX_BATCH} messages")
    return Batch(tuple(map(_read_one, value)))


def encode(message: Message) -> str:
    """Write one message as ASCII. Raises TypeError or ValueError if JSON cannot hold it."""
    body: dict[str, object] = {"jsonrpc": "2.0"}
    match message:
        case Request(message_id, method, params):
            body |= {"id": message_id, "method": method}
        case Notification(method, params):
            body["method"] = method
        case Response(message_id, result):
            params = None
            body |= {"id": message_id, "result": result}
        case Failure(message_id, code, sentence, data):
            params = None
            error: dict[str, object] = {"code": code, "message": sentence}
            if data is not None:
                error["data"] = dict(data)
            body |= {"id": message_id, "error": error}
        case _:
            assert_never(message)
    if params is not None:
        body["params"] = params
    return json.dumps(body, separators=(",", ":"), allow_nan=False)


def encode_batch(texts: Sequence[str]) -> str:
    """Write encoded messages as one batch."""
    return f"[{','.join(texts)}]"


def _read_one(value: object) -> Message | InvalidRequest:
    try:
        return _read(value)
    except InvalidRequest as error:
        return error


def _read(value: object) -> Message:
    if not isinstance(value, dict):
        raise InvalidRequest("a message is a JSON object")
    message_id = _read_id(value)
    if "method" in value:
        return _read_call(value, message_id)
    return _read_answer(value, message_id)


def _load(text: str | bytes, max_bytes: int) -> object:
    if len(text) > max_bytes:  # before anything copies it
        raise ParseError(f"the message is longer than {max_bytes} bytes")
    try:
        raw = text.encode() if isinstance(text, str) else text
        if len(raw) > max_bytes:
            raise ParseError(f"the message is longer than {max_bytes} bytes")
        value: object = json.loads(raw.decode(), parse_constant=_refuse_constant)
    except RecursionError:
        raise ParseError("the message is nested too deep") from None
    except ValueError:  # not UTF-8, not JSON, or an integer of thousands of digits
        raise ParseError("the message is not valid JSON") from None
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ParseError(f"{name} is no JSON number")


def _check(value: object, max_depth: int) -> None:
    """Refuse what parses but cannot be stored or sent on."""
    todo = [(value, max_depth)]
    while todo:
        node, room = todo.pop()
        if isinstance(node, str):
            _check_text(node)
        elif isinstance(node, float):
            if not math.isfinite(node):
                raise ParseError("a number is too large")
        elif isinstance(node, dict | list):
            if room == 0:
                raise ParseError("the message is nested too deep")
            if isinstance(node, dict):
                todo.extend((key, room) for key in node)
                todo.extend((item, room - 1) for item in node.values())
            else:
                todo.extend((item, room - 1) for item in node)


def _check_text(text: str) -> None:
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ParseError("the message contains half a character") from None


def _read_id(value: dict[str, Any]) -> Id | None:
    message_id = value.get("id")
    if message_id is None or _is_id(message_id):
        return message_id
    raise InvalidRequest("an id is a string or an integer")


def _is_id(value: object) -> TypeGuard[Id]:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _read_call(value: dict[str, Any], message_id: Id | None) -> Request | Notification:
    method, params = value["method"], value.get("params")
    if "result" in value or "error" in value:
        raise InvalidRequest("a message is either a call or an answer", message_id)
    if not isinstance(method, str):
        raise InvalidRequest("a method is a string", message_id)
    if params is not None and not isinstance(params, dict | list):
        raise InvalidRequest("params are an object or an array", message_id)
    if message_id is None:
        return Notification(method, params)
    return Request(message_id, method, params)


def _read_answer(value: dict[str, Any], message_id: Id | None) -> Response | Failure:
    if ("result" in value) == ("error" in value):
        raise InvalidRequest("a message has one of method, result and error", message_id)
    if "error" in value:
        return _read_failure(value["error"], message_id)
    if message_id is None:
        raise InvalidRequest("a result needs the id of its request")
    return Response(message_id, value["result"])


def _read_failure(error: object, message_id: Id | None) -> Failure:
    if not isinstance(error, dict):
        raise InvalidRequest("an error is an object", message_id)
    code, sentence, data = error.get("code"), error.get("message"), error.get("data")
    if isinstance(code, bool) or not isinstance(code, int) or not isinstance(sentence, str):
        raise InvalidRequest("an error has an integer code and a message", message_id)
    return Failure(message_id, code, sentence, data if isinstance(data, dict) else None)
