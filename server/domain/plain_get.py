"""Requests of HTTP/1.1 so plain that there is one way to read them; pure.

It takes less than RFC 9112 allows, and nothing that the server's own parser reads otherwise: what
it does not take is None, and left to that one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mixer.types import RoomId

MOST_BYTES: Final = 8190  # of a head: then no line of it is longer than the server takes
MOST_FIELDS: Final = 64
MOST_KNOWN: Final = 4096
LONGEST_KNOWN: Final = 1024  # bytes; with the above 8 MB at most, names and values counted twice

_LINE: Final = re.compile(
    rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[!-\"$-~]*) HTTP/1\.1", re.ASCII
)
_FIELD: Final = re.compile(rb"([A-Za-z0-9-]+): ?((?:[!-~](?:[ -~]*[!-~])?)?)", re.ASCII)
_LENGTH: Final = re.compile(r"0|[1-9]\d{0,6}", re.ASCII)
_QUERY: Final = r"(?:\?([A-Za-z0-9._~&=-]+))?"
_TARGET: Final = re.compile(
    r"/hls/([A-Za-z0-9_-]{3,32})(?:/([a-z0-9-]{1,32}))?/([A-Za-z0-9_-][A-Za-z0-9._-]{0,127})"
    + _QUERY,
    re.ASCII,
)
_KEY: Final = re.compile(
    r"/hls/rooms/([A-Za-z0-9_-]{3,32})(?:/([0-9]{1,16}))?/enc\.key" + _QUERY, re.ASCII
)
_PAIR: Final = re.compile(r"([A-Za-z0-9_]+)=([A-Za-z0-9._~-]*)", re.ASCII)
_COOKIE: Final = re.compile(r"([A-Za-z0-9_.-]+)=([A-Za-z0-9_.~%+/=:|!*-]*)", re.ASCII)

# How long a body is, and what the connection speaks afterwards, must be beyond doubt.
_UNSURE: Final = frozenset({"transfer-encoding", "upgrade", "expect", "proxy-connection"})
# What asks for more than the thing itself, or says who called.
_ODD: Final = frozenset(
    {"content-length", "range", "if-range", "if-match", "if-none-match", "if-modified-since"}
    | {"if-unmodified-since", "traceparent", "tracestate", "forwarded", "x-forwarded-for"}
    | {"x-forwarded-proto", "x-forwarded-host"}
)
_KEYS: Final = "/hls/rooms/"


@dataclass(frozen=True, slots=True)
class Fields:
    """Header fields by their names in lower case, each there once."""

    values: Mapping[str, str]
    length: int  # of the body
    is_plain: bool  # they ask for the whole thing, and the connection stays

    def get(self, name: str) -> str:
        """Return a field's value, "" if it is not there."""
        return self.values.get(name, "")


@dataclass(frozen=True, slots=True)
class Request:
    """One whole request; `line` and `block` are its head, each with its line ends."""

    method: str
    target: str
    fields: Fields
    line: bytes
    block: bytes

    @property
    def is_plain_get(self) -> bool:
        """Whether it is no more than a wish for what is at the address."""
        return self.method == "GET" and self.fields.is_plain


@dataclass(frozen=True, slots=True)
class Target:
    """What of a stream is asked for; `rendition` is "" for the default one's.

    Of a key there is the `epoch`, None for the one that is in force now.
    """

    room: RoomId
    rendition: str
    name: str
    query: Mapping[str, str]
    is_key: bool = False
    epoch: str | None = None


class Requests:
    """Reads requests; it knows fields it has seen, for a player sends the same ones each time."""

    def __init__(self) -> None:
        self._known: dict[bytes, Fields] = {}

    def __len__(self) -> int:
        return len(self._known)

    def read(self, data: bytes) -> Request | None:
        """Return the one request that is all of `data`; None if it is anything else."""
        line_end = data.find(b"\r\n")
        end = data.find(b"\r\n\r\n", line_end) + 4
        if line_end < 0 or not 4 <= end <= MOST_BYTES:
            return None
        line = _LINE.fullmatch(data, 0, line_end)
        if line is None:
            return None
        block = data[line_end + 2 : end]
        fields = self._known.get(block) or self._learn(block)
        if fields is None or len(data) != end + fields.length:
            return None
        method, target = line[1].decode(), line[2].decode()
        return Request(method, target, fields, data[: line_end + 2], block)

    def _learn(self, block: bytes) -> Fields | None:
        fields = _read_fields(block)
        if fields is not None and len(block) <= LONGEST_KNOWN:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()  # who thrashes it makes us read, no more
            self._known[block] = fields
        return fields


def read_target(target: str) -> Target | None:
    """Return what of a stream a request's target names, None if it is no plain address of one."""
    is_key = target.startswith(_KEYS)
    found = (_KEY if is_key else _TARGET).fullmatch(target)
    if found is None:
        return None
    text = found[found.re.groups]
    query = _pairs(_PAIR, text.split("&")) if text else {}
    if query is None:
        return None
    if is_key:
        return Target(RoomId(found[1]), "", "enc.key", query, is_key=True, epoch=found[2])
    return Target(RoomId(found[1]), found[2] or "", found[3], query)


def read_cookies(text: str) -> Mapping[str, str] | None:
    """Return cookies by name, None if one is there twice, or written in any but the plain way."""
    return _pairs(_COOKIE, text.split("; ")) if text else {}


def _pairs(pattern: re.Pattern[str], texts: list[str]) -> dict[str, str] | None:
    pairs: dict[str, str] = {}
    for text in texts:
        found = pattern.fullmatch(text)
        if found is None or found[1] in pairs:
            return None
        pairs[found[1]] = found[2]
    return pairs


def _read_fields(block: bytes) -> Fields | None:
    lines = block[:-4].split(b"\r\n") if len(block) > 4 else []
    values: dict[str, str] = {}
    for line in lines:
        found = _FIELD.fullmatch(line)
        name = found[1].decode().lower() if found else ""
        if found is None or name in values:
            return None
        values[name] = found[2].decode()
    connection = values.get("connection", "keep-alive").lower()
    length = values.get("content-length", "0")
    if len(values) > MOST_FIELDS or not _UNSURE.isdisjoint(values):
        return None
    if connection not in {"keep-alive", "close"} or _LENGTH.fullmatch(length) is None:
        return None
    is_plain = connection == "keep-alive" and _ODD.isdisjoint(values) and bool(values.get("host"))
    return Fields(values, int(length), is_plain)
