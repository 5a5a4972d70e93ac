"""Spans around what seldom happens and may take long: nothing unless a sink is set.

Never around a packet or a tick: a span costs more than either. What the log has bound (room and
peer) belongs to each span as well; the sink sees to that.
"""

import functools
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, ParamSpec, Protocol, TypeVar

Value = str | int | float | bool
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Sink(Protocol):
    """Where spans go."""

    def span(self, name: str, attributes: Mapping[str, Value]) -> AbstractContextManager[object]:
        """Return a context that is a span; an exception that leaves it makes it a failed one."""

    def note(self, attributes: Mapping[str, Value]) -> None:
        """Add to the span that is going on."""


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
