"""Spans around what seldom happens and may take long: nothing unless a sink is set.

Never around a packet or a tick: a span costs more than either. What the log has bound (room and
peer) belongs to each span as well; the sink sees to that. Traces come in and go on as the headers
of W3C Trace Context.
"""

import functools
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, ParamSpec, Protocol, TypeVar

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
MAX_HEADER_CHARS: Final = 512  # what everybody has to carry on (W3C Trace Context §3.3.1.5)

Value = str | int | float | bool
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Sink(Protocol):
    """Where spans go."""

    def span(self, name: str, attributes: Mapping[str, Value]) -> AbstractContextManager[object]:
        """Return a context that is a span; an exception that leaves it makes it a failed one."""

    def note(self, attributes: Mapping[str, Value]) -> None:
        """Add to the span that is going on."""

    def continued(self, headers: Mapping[str, str]) -> AbstractContextManager[object]:
        """Return a context whose spans belong to the trace that the headers name, if they do."""

    def headers(self) -> Mapping[str, str]:
        """Return what tells another program of the trace that is going on; empty if none is."""


_sinks: Final[list[Sink]] = []


def set_sink(sink: Sink | None) -> None:
    """Send spans there from now on, or nowhere. It is the whole process's, as the log is."""
    _sinks[:] = [] if sink is None else [sink]


@contextmanager
def span(name: str, **attributes: Value) -> Iterator[None]:
    """Measure what happens inside."""
    if not _sinks:
        yield
        return
    with _sinks[0].span(name, attributes):
        yield


def note(**attributes: Value) -> None:
    """Say more of the span that is going on, if one is."""
    for sink in _sinks:
        sink.note(attributes)


@contextmanager
def continuing(headers: Mapping[str, str]) -> Iterator[None]:
    """Go on inside with the trace of whoever sent these headers."""
    if not _sinks or TRACEPARENT not in headers:
        yield
        return
    with _sinks[0].continued(headers):
        yield


def trace_headers() -> Mapping[str, str]:
    """Return the headers by which another program goes on with this trace; few characters."""
    made = _sinks[0].headers() if _sinks else {}
    return {
        name: made[name]
        for name in (TRACEPARENT, TRACESTATE)
        if 0 < len(made.get(name, "")) <= MAX_HEADER_CHARS
    }


def traced(
    name: str,
) -> Callable[
    [Callable[Parameters, Coroutine[Any, Any, Result]]],
    Callable[Parameters, Coroutine[Any, Any, Result]],
]:
    """Make every call of a coroutine function a span."""

    def wrap(
        function: Callable[Parameters, Coroutine[Any, Any, Result]],
    ) -> Callable[Parameters, Coroutine[Any, Any, Result]]:
        @functools.wraps(function)
        async def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            with span(name):
                return await function(*args, **kwargs)

        return call

    return wrap
