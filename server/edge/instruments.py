"""What the control process measures of itself for Prometheus, with labels nobody can make up."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from mixer.errors import MixerError
from server.edge.errors import INTERNAL, refusal
from server.errors import ServerError

# From what needs no thought to what somebody has given up on.
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Instruments:
    """Counters and histograms of one server."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "roomtone_http_requests",
            "HTTP requests answered",
            ["method", "route", "status"],
            registry=registry,
        )
        self._request_s = Histogram(
            "roomtone_http_request_seconds",
            "What answering a request took; of sockets, how long they were open",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self._joins = Counter(
            "roomtone_joins",
            "Calls of join by what came of them: joined, resumed, waiting, listening, or the code"
            " of the refusal",
            ["outcome"],
            registry=registry,
        )
        self._offers = Counter(
            "roomtone_offers",
            "Offers by what came of them: answered, or the code of the refusal",
            ["outcome"],
            registry=registry,
        )
        self._offer_s = Histogram(
            "roomtone_offer_seconds",
            "From an offer to its answer",
            buckets=SECONDS,
            registry=registry,
        )

        self._hooks = Counter(
            "roomtone_webhooks",
            "Messages of webhooks that were delivered or given up (dead), and calls that failed",
            ["outcome"],
            registry=registry,
        )
        for outcome in ("delivered", "failed", "dead"):
            self._hooks.labels(outcome)

    def webhook(self, outcome: str) -> None:
        """Count what came of a message, or a call of it."""
        self._hooks.labels(outcome).inc()

    def answered(self, method: str, route: str, status: int, took_s: float) -> None:
        """Count an HTTP answer; `route` is one of the table's, or `unknown`."""
        self.counter(method, route, status)(took_s)

    def counter(self, method: str, route: str, status: int) -> Callable[[float], None]:
        """Return what counts an answer of that kind and how long it took: for who has many."""
        method = method if method in _METHODS else "other"
        requests = self._requests.labels(method, route, str(status))
        request_s = self._request_s.labels(route)

        def count(took_s: float) -> None:
            requests.inc()
            request_s.observe(took_s)

        return count

    def joined(self, outcome: str) -> None:
        """Count somebody who came in."""
        self._joins.labels(outcome).inc()

    @contextmanager
    def join(self) -> Iterator[None]:
        """Count what is refused inside."""
        try:
            yield
        except (ServerError, MixerError) as error:
            self._joins.labels(_code(error)).inc()
            raise

    @contextmanager
    def offer(self) -> Iterator[None]:
        """Count and measure the offer that is answered inside."""
        began = time.perf_counter()
        try:
            yield
        except (ServerError, MixerError) as error:
            self._offers.labels(_code(error)).inc()
            raise
        self._offers.labels("answered").inc()
        self._offer_s.observe(time.perf_counter() - began)


def _code(error: Exception) -> str:
    """Return the code a caller is told: there are as many as the table has."""
    known = refusal(error)
    return INTERNAL if known is None else known.code
