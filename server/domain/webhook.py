"""A webhook as it is stored, what is sent to it, and how that is signed (Standard Webhooks)."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated, Final, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.errors import BadInput, BadRecord, FieldMistake

Stored = TypeVar("Stored", bound=BaseModel)

PREFIX: Final = "/webhooks/"
SECRET_BYTES: Final = 32
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what a secret begins with
OVERLAP_S: Final = 86_400  # an old secret signs beside the new one: a day to put the new one in
LONGEST_URL: Final = 2048
RECORD_VERSION: Final = 1


class Kind(StrEnum):
    """What a webhook can be told."""

    SERVER_STARTED = "server.started"
    ROOM_CREATED = "room.created"
    ROOM_CHANGED = "room.changed"
    ROOM_REMOVED = "room.removed"
    JOINED = "participant.joined"
    LEFT = "participant.left"
    MUTED = "participant.muted"
    UNMUTED = "participant.unmuted"
    PROMOTED = "participant.promoted"
    RECORDING_STARTED = "recording.started"
    RECORDING_PAUSED = "recording.paused"
    RECORDING_RESUMED = "recording.resumed"
    RECORDING_ENDED = "recording.ended"
    RECORDING_FAILED = "recording.failed"
    CAPTURE_STARTED = "capture.started"
    CAPTURE_ENDED = "capture.ended"
    ANNOUNCEMENT_STARTED = "announcement.started"
    ANNOUNCEMENT_ENDED = "announcement.ended"
    BROADCAST_STARTED = "broadcast.started"
    BROADCAST_ENDED = "broadcast.ended"
    PING = "ping"


@dataclass(frozen=True, slots=True)
class Secret:
    """What a webhook's calls are signed with, until Unix second `until` (None: for good)."""

    text: str
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where to tell what; no `kinds` is all of them."""

    id: str
    url: str
    secrets: tuple[Secret, ...]
    created_at: float
    kinds: frozenset[Kind] = frozenset()

    def wants(self, kind: Kind) -> bool:
        """Whether it is to be told of that."""
        return not self.kinds or kind in self.kinds

    def rotated(self, text: str, now: float) -> Self:
        """Return it with a new secret; the one before signs for another OVERLAP_S."""
        before = replace(self.secrets[0], until=now + OVERLAP_S)
        return replace(self, secrets=(Secret(text), before))

    def signatures(self, message_id: str, timestamp: int, body: bytes) -> str:
        """Return the `webhook-signature` header: one for each secret that is good now."""
        return " ".join(
            signature(one.text, message_id, timestamp, body)
            for one in self.secrets
            if one.until is None or one.until > timestamp
        )


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be told to one webhook; `number` orders those of a server, `created_at` is Unix.

    Messages of one `room` are told in order, each after the one before was taken. `trace` has the
    headers of the trace in which it happened.
    """

    number: int
    id: str
    room: str
    kind: Kind
    created_at: float
    body: bytes
    trace: Mapping[str, str] = field(default_factory=dict)


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return `v1,` and the HMAC-SHA256 of id, time and body, in base64 (Standard Webhooks)."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def secret_text(raw: bytes) -> str:
    """Return a secret as it is shown and stored."""
    return SECRET_PREFIX + base64.b64encode(raw).decode()


def check_url(url: str) -> None:
    """Raise BadInput unless a call can be sent there: http or https, a host, and no password."""
    try:
        parts = urlsplit(url)
        fits = (
            parts.scheme in {"http", "https"}
            and bool(parts.hostname)
            and parts.port != 0
            and not (parts.username or parts.password or parts.fragment)
            and len(url) <= LONGEST_URL
            and url.isascii()
            and url.isprintable()
            and " " not in url
        )
    except ValueError:
        fits = False
    if not fits:
        sentence = "A webhook needs an address such as https://example.org/roomtone"
        raise BadInput(sentence, (FieldMistake("Url", sentence),))


class _StoredSecret(BaseModel):
    model_config = ConfigDict(strict=True)

    text: Annotated[str, Field(min_length=1)]
    until: float | None = None


class _StoredWebhook(BaseModel):
    """`/webhooks/<id>/hook`."""

    model_config = ConfigDict(strict=True)

    url: str
    secrets: Annotated[list[_StoredSecret], Field(min_length=1)]
    createdAt: float  # noqa: N815 - the stored name
    events: list[Annotated[Kind, Field(strict=False)]] = []
    version: int = RECORD_VERSION


class _StoredMessage(BaseModel):
    """`/webhooks/<id>/waiting/<number>`."""

    model_config = ConfigDict(strict=True)

    id: str
    room: str
    kind: Annotated[Kind, Field(strict=False)]
    createdAt: float  # noqa: N815
    body: str
    trace: dict[Literal["traceparent", "tracestate"], str] = {}


def hook_key(hook: str) -> str:
    """Return where a webhook is stored."""
    return f"{PREFIX}{hook}/hook"


def message_key(hook: str, number: int) -> str:
    """Return where a message is stored: in the order of their numbers."""
    return f"{PREFIX}{hook}/waiting/{number:016d}"


def encode_webhook(hook: Webhook) -> bytes:
    """Return the JSON that is stored."""
    secrets = [_StoredSecret(text=one.text, until=one.until) for one in hook.secrets]
    stored = _StoredWebhook(
        url=hook.url, secrets=secrets, createdAt=hook.created_at, events=sorted(hook.kinds)
    )
    return stored.model_dump_json().encode()


def decode_webhook(hook: str, key: str, value: bytes) -> Webhook:
    """Read what `encode_webhook` wrote at `key`. Raises BadRecord."""
    stored = _read(_StoredWebhook, key, value)
    if stored.version > RECORD_VERSION:
        raise BadRecord(key, f"it is of version {stored.version}, this server knows 1")
    secrets = tuple(Secret(one.text, one.until) for one in stored.secrets)
    return Webhook(hook, stored.url, secrets, stored.createdAt, frozenset(stored.events))


def encode_message(message: Message) -> bytes:
    """Return the JSON that is stored."""
    return (
        _StoredMessage(
            id=message.id,
            room=message.room,
            kind=message.kind,
            createdAt=message.created_at,
            body=message.body.decode(),
            trace=dict(message.trace),  # type: ignore[arg-type]  # it has no others
        )
        .model_dump_json()
        .encode()
    )


def decode_message(key: str, value: bytes) -> Message:
    """Read what `encode_message` wrote at `key`. Raises BadRecord."""
    number = key.rpartition("/")[2]
    if not (number.isascii() and number.isdigit()):
        raise BadRecord(key, "it has no number")
    stored = _read(_StoredMessage, key, value)
    return Message(
        number=int(number),
        id=stored.id,
        room=stored.room,
        kind=stored.kind,
        created_at=stored.createdAt,
        body=stored.body.encode(),
        trace={str(name): value for name, value in stored.trace.items()},
    )


def _read(model: type[Stored], key: str, value: bytes) -> Stored:
    try:
        return model.model_validate_json(value)
    except ValidationError as error:
        raise BadRecord(key, f"{error.error_count()} wrong fields") from None
