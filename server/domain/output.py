"""An RTMP output as it is stored: where a room's sound is sent besides, and under what key."""

from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.errors import BadInput, BadRecord, FieldMistake

RECORD_VERSION: Final = 1
LONGEST_URL: Final = 2048
MAX_OUTPUTS: Final = 8  # of one room; each is a process
HIDDEN: Final = "…"
_PORTS: Final = {"rtmp": 1935, "rtmps": 443}


@dataclass(frozen=True, slots=True)
class Output:
    """`url` ends in a stream key, so it is a secret: it is shown by `shown_url` only."""

    id: str
    url: str
    name: str = ""
    enabled: bool = True

    @property
    def target(self) -> "Target":
        """What the address names."""
        return read_url(self.url)


@dataclass(frozen=True, slots=True)
class Target:
    """An RTMP address in its parts; `key` is the stream key, with whatever query it has."""

    scheme: str
    host: str
    port: int
    app: str
    key: str

    @property
    def base(self) -> str:
        """The address without the key, as RTMP's `tcUrl` has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}/{self.app}"

    @property
    def shown(self) -> str:
        """The address as anybody may see it."""
        return f"{self.base}/{HIDDEN}"


def read_url(url: str) -> Target:
    """Take an address apart: the last part of its path, with the query, is the key.

    Raises BadInput, which does not hold the address.
    """
    try:
        target = _split(url)
    except ValueError:
        target = None
    if target is None:
        sentence = "An output needs an address such as rtmp://live.example.org/app/key"
        raise BadInput(sentence, (FieldMistake("Url", sentence),))
    return target


def _split(url: str) -> Target | None:
    """Return the parts, None if one is missing or too much. Raises ValueError for no address."""
    if len(url) > LONGEST_URL or not (url.isascii() and url.isprintable()) or " " in url:
        return None
    parts = urlsplit(url)
    port = _PORTS.get(parts.scheme, 0) if parts.port is None else parts.port
    app, _, key = parts.path.lstrip("/").rpartition("/")
    if parts.username or parts.password or parts.fragment:
        return None
    if parts.scheme not in _PORTS or not (parts.hostname and port and app and key):
        return None
    query = f"?{parts.query}" if parts.query else ""
    return Target(parts.scheme, parts.hostname, port, app, key + query)


class _StoredOutput(BaseModel):
    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    url: Annotated[str, Field(max_length=LONGEST_URL)]
    name: Annotated[str, Field(max_length=80)] = ""
    enabled: bool = True


class _Stored(BaseModel):
    """`/rooms/<id>/outputs`."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    outputs: Annotated[list[_StoredOutput], Field(max_length=MAX_OUTPUTS)]
    version: int = RECORD_VERSION


def encode_outputs(outputs: tuple[Output, ...]) -> bytes:
    """Return the JSON that is stored."""
    stored = [
        _StoredOutput(id=one.id, url=one.url, name=one.name, enabled=one.enabled) for one in outputs
    ]
    return _Stored(outputs=stored).model_dump_json().encode()


def decode_outputs(key: str, value: bytes) -> tuple[Output, ...]:
    """Read what `encode_outputs` wrote at `key`. Raises BadRecord."""
    try:
        stored = _Stored.model_validate_json(value)
    except ValidationError as error:
        raise BadRecord(key, f"{error.error_count()} wrong fields") from None
    if stored.version > RECORD_VERSION:
        raise BadRecord(key, f"it is of version {stored.version}, this server knows 1")
    found = tuple(Output(one.id, one.url, one.name, one.enabled) for one in stored.outputs)
    for one in found:
        try:
            _ = one.target
        except BadInput:
            raise BadRecord(key, "an address is none") from None
    return found
