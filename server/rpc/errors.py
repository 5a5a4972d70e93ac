"""Errors of JSON-RPC."""

from collections.abc import Mapping

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603

Id = str | int


class RpcError(Exception):
    """An error as JSON-RPC carries it: an integer code, a sentence, and data about it."""

    def __init__(self, code: int, message: str, data: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class ParseError(RpcError):
    """The text is not JSON, or more of it than is allowed."""

    def __init__(self, message: str) -> None:
        super().__init__(PARSE_ERROR, message, why("parse_error"))
        self.id: Id | None = None


class InvalidRequest(RpcError):  # noqa: N818 - the specification's name
    """The JSON is no JSON-RPC message; `id` is the message's where it could be read."""

    def __init__(self, message: str, message_id: Id | None = None) -> None:
        super().__init__(INVALID_REQUEST, message, why("invalid_request"))
        self.id = message_id


class TransportClosed(Exception):  # noqa: N818 - what happened, to the caller and to the wire
    """The connection is closed: nothing can be sent, nothing more will come."""


def why(
    code: str, *, retryable: bool = False, retry_after_ms: int | None = None
) -> dict[str, object]:
    """Return the `data` of an error: a stable code and whether trying again may help."""
    return {"code": code, "retryable": retryable, "retryAfterMs": retry_after_ms}
