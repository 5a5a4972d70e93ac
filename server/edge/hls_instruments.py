"""What is measured of the broadcasts' delivery, with labels nobody can make up."""

from collections.abc import Callable
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter

PREFIX: Final = "/hls/"
_PLAYLISTS: Final = {
    "stream.m3u8": "low_latency",
    "classic.m3u8": "classic",
    "master.m3u8": "multivariant",
    "classic-master.m3u8": "multivariant",
    "enc.key": "key",
}


def media_kind(name: str) -> str:
    """Return what a name is that of: `init`, `segment` or `part`."""
    if name.startswith("init-"):
        return "init"
    return "segment" if name.count(".") == 1 else "part"


def kind(path: str) -> str:
    """Return what is asked for below /hls/."""
    name = path.rpartition("/")[2]
    return _PLAYLISTS.get(name) or media_kind(name)


class HlsInstruments:
    """Counters of what players ask for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "roomtone_hls_requests",
            "Requests for playlists (low_latency, classic, multivariant), media (init, segment,"
            " part) and keys",
            ["kind", "status"],
            registry=registry,
        )
        self._bytes = Counter(
            "roomtone_hls_bytes",
            "Bytes of the bodies of their answers",
            ["kind"],
            registry=registry,
        )

    def answered(self, path: str, answer: web.StreamResponse) -> None:
        """Count an answer to what was asked for below /hls/."""
        self.counter(kind(path), answer.status)(answer.content_length or 0)

    def counter(self, asked: str, status: int) -> Callable[[int], None]:
        """Return what counts an answer of that kind and its bytes: for who has many."""
        requests, sent = self._requests.labels(asked, str(status)), self._bytes.labels(asked)

        def count(size: int) -> None:
            requests.inc()
            sent.inc(size)

        return count


HLS_INSTRUMENTS = web.AppKey("hls_instruments", HlsInstruments)
