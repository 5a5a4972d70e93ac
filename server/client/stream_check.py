"""A live HLS stream, followed as players do and held against the draft of its standard."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urljoin

from hls.core.conformance import multivariant
from hls.core.conformance.finding import Finding
from hls.core.conformance.history import History
from hls.core.conformance.listing import Listing, read
from server.client.errors import ClientError, Exit

STANDARD: Final = "draft-pantos-hls-rfc8216bis"
MAX_PLAYLISTS: Final = 16  # of one stream; more are not followed
MAX_TOLD: Final = 200  # findings of one playlist that are kept
LOST_S: Final = 10.0  # a server may be away so long: players wait as long as their buffer
RETRY_S: Final = 0.2
LEAST_POLL_S: Final = 0.2
_UNSURE_S: Final = 2.0  # between two polls where a playlist does not say what its target is

Ask = Callable[[str], Awaitable[tuple[int, bytes]]]


@dataclass(frozen=True, slots=True)
class Told:
    """A finding, in the text that came as the `number`th (from 1)."""

    number: int
    finding: Finding

    def __str__(self) -> str:
        return f"text {self.number}, {self.finding}"


@dataclass
class Followed:
    """One playlist address and what was found there."""

    url: str
    texts: int = 0
    deltas: int = 0
    blocked: int = 0
    segments: int = 0
    refused: int = 0
    told: list[Told] = field(default_factory=list)
    is_over: bool = False

    def add(self, findings: list[Finding]) -> None:
        """Keep findings about the newest text."""
        self.told += [Told(self.texts, one) for one in findings[: MAX_TOLD - len(self.told)]]


class Checker:
    """Follows every playlist of a stream for some time. `ask` fetches an address."""

    def __init__(self, ask: Ask, seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds

    def stop(self) -> None:
        """End with what comes next."""
        self._seconds = 0.0

    async def check(self, url: str) -> list[Followed]:
        """Return what was found, the multivariant playlist first if there is one.

        Raises ClientError if there is no playlist, or none any more for a while.
        """
        status, body = await self._ask(url)
        text = body.decode(errors="replace")
        if status != 200:
            raise _refused(url, status)
        if not text.startswith("#EXTM3U"):
            raise ClientError(f"{_bare(url)} is no playlist", Exit.MISTAKE)
        listing = read(text)
        if listing.first("EXT-X-STREAM-INF") is None:
            return [await self._follow(url)]
        master = Followed(url, texts=1)
        master.add(multivariant.check(text))
        addresses = _renditions(listing, url)
        return [master, *await asyncio.gather(*(self._follow(one) for one in addresses))]

    async def _follow(self, url: str) -> Followed:
        found, history = Followed(url), History()
        loop = asyncio.get_running_loop()
        began = well_at = loop.time()
        query, wanted = "", (0, 0)
        seen: set[int] = set()
        while loop.time() - began < self._seconds and not found.is_over:
            status, body = await self._ask(_with(url, query))
            if status != 200:
                found.refused += 1
                if loop.time() - well_at > LOST_S or not found.texts:
                    raise _refused(url, status)
                await asyncio.sleep(RETRY_S)
                continue
            well_at = loop.time()
            text = body.decode(errors="replace")
            listing = read(text)
            found.texts += 1
            found.deltas += listing.first("EXT-X-SKIP") is not None
            found.add(history.follow(text))
            if query and history.end <= wanted:
                found.add([_not_waited(wanted)])
            seen.update(fact.msn for fact in history.segments)
            found.segments = len(seen)
            found.is_over = listing.first("EXT-X-ENDLIST") is not None
            wanted = history.end
            query = _next_query(listing, wanted, is_whole=found.texts % 2 == 0)
            found.blocked += bool(query)
            if not query:
                await asyncio.sleep(_poll_s(listing))
        return found


def _next_query(listing: Listing, end: tuple[int, int], *, is_whole: bool) -> str:
    """Return how to ask for the next part or segment; "" where the server does not block."""
    control = listing.first("EXT-X-SERVER-CONTROL")
    if control is None or control.attributes.get("CAN-BLOCK-RELOAD") != "YES":
        return ""
    msn, part = end
    query = f"_HLS_msn={msn}"
    if listing.part_target_s is not None:
        query += f"&_HLS_part={part}"
    if control.number("CAN-SKIP-UNTIL") is not None and not is_whole:
        query += "&_HLS_skip=YES"
    return query


def _poll_s(listing: Listing) -> float:
    """Return how long a player waits: half a target duration (§6.3.4)."""
    return max(LEAST_POLL_S, min(listing.target_s, 60.0) / 2) if listing.target_s else _UNSURE_S


def _not_waited(wanted: tuple[int, int]) -> Finding:
    what = f"segment {wanted[0]} or its part {wanted[1]}"
    return Finding("blocking-reload", "6.2.5.2", 0, f"{what} was asked for and is not there")


def _renditions(listing: Listing, url: str) -> list[str]:
    """Return the addresses of the media playlists, each once."""
    found = [tag.text("URI") for tag in listing.all("EXT-X-MEDIA")]
    found += [line.strip() for line in listing.lines if line.strip() and not line.startswith("#")]
    return list(dict.fromkeys(urljoin(url, one) for one in found if one))[:MAX_PLAYLISTS]


def _with(url: str, query: str) -> str:
    if not query:
        return url
    return f"{url}{'&' if '?' in url else '?'}{query}"


def _bare(url: str) -> str:
    return url.partition("?")[0]  # the rest may be a token


def _refused(url: str, status: int) -> ClientError:
    exits = {404: Exit.NOT_FOUND, 401: Exit.NOT_ALLOWED, 403: Exit.NOT_ALLOWED, 503: Exit.NOT_NOW}
    return ClientError(
        f"{_bare(url)} was answered with {status}, not with a playlist",
        exits.get(status, Exit.FAILED),
    )
