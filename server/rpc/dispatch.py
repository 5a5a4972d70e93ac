"""A table of JSON-RPC methods; knows nothing of transports."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar, overload

import structlog
from pydantic import BaseModel, ValidationError

from server.rpc.codec import Failure, Notification, Params, Request, Response, failure
from server.rpc.errors import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND, RpcError, why

log = structlog.get_logger(__name__)

Model = TypeVar("Model", bound=BaseModel)
_BOUND: Final = ("room", "peer")
Handler = Callable[[Any], Awaitable[object]]
ErrorMapper = Callable[[Exception], RpcError | None]


@dataclass(frozen=True, slots=True)
class _Method:
    params_model: type[BaseModel] | None
    handler: Handler


def no_mapping(_error: Exception) -> RpcError | None:
    """Translate nothing: whatever is not an RpcError is our fault."""
    return None


def _anybody() -> None:
    """Admit every call."""


class Dispatcher:
    """Answers calls by name.

    `map_error` translates what a handler raises; None means that it is our fault: the caller is
    told an id and nothing else, the log has the rest under the same id. `admit` is asked before
    each call, and raises what the call is refused with.
    """

    def __init__(self, map_error: ErrorMapper = no_mapping) -> None:
        self._methods: dict[str, _Method] = {}
        self._map_error = map_error
        self.admit: Callable[[], None] = _anybody

    @overload
    def add(
        self, name: str, params_model: type[Model], handler: Callable[[Model], Awaitable[object]]
    ) -> None: ...
    @overload
    def add(
        self, name: str, params_model: None, handler: Callable[[Params], Awaitable[object]]
    ) -> None: ...
    def add(self, name: str, params_model: type[BaseModel] | None, handler: Handler) -> None:
        """Register a method. Without a model its handler gets the parameters as they came."""
        if name in self._methods:
            raise ValueError(f"method {name} is there already")
        self._methods[name] = _Method(params_model, handler)

    @property
    def methods(self) -> frozenset[str]:
        """The names of all methods."""
        return frozenset(self._methods)

    async def dispatch(self, call: Request | Notification) -> Response | Failure | None:
        """Run the handler and return the answer, None for a notification. Never raises."""
        try:
            result = await self._run(call)
        except RpcError as error:
            return failure(call.id, error) if isinstance(call, Request) else None
        return Response(call.id, result) if isinstance(call, Request) else None

    async def _run(self, call: Request | Notification) -> object:
        try:
            self.admit()
        except Exception as error:
            raise self._map_error(error) or internal_error(call.method, error) from error
        method = self._methods.get(call.method)
        if method is None:
            raise RpcError(
                METHOD_NOT_FOUND,
                f"method not found: {call.method[:64]}",
                why("method_not_found"),
            )
        try:
            with structlog.contextvars.bound_contextvars(**_about(call.params)):
                return await method.handler(_read_params(method, call.params))
        except RpcError:
            raise
        except Exception as error:
            raise self._map_error(error) or internal_error(call.method, error) from error


def internal_error(method: str, error: Exception) -> RpcError:
    """Log `error` under a new id and return what the caller may know of it."""
    error_id = secrets.token_hex(6)
    log.error("rpc_failed", method=method, error_id=error_id, exc_info=error)
    return RpcError(
        INTERNAL_ERROR, "internal error", why("internal", retryable=True) | {"id": error_id}
    )


def _about(params: Params) -> dict[str, str]:
    """Return whom a call is about, for every line that is logged on its account."""
    if not isinstance(params, dict):
        return {}
    return {key: params[key][:64] for key in _BOUND if isinstance(params.get(key), str)}


def _read_params(method: _Method, params: Params) -> object:
    if method.params_model is None:
        return params
    try:
        return method.params_model.model_validate({} if params is None else params)
    except ValidationError as error:
        raise RpcError(INVALID_PARAMS, _sentence(error), why("bad_params")) from None


def _sentence(error: ValidationError) -> str:
    """Name the first wrong field; never its value, which may be a secret."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "params"
    return f"invalid parameters: {field[:64]}: {first['msg'][:128]}"
