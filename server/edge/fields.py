"""The fields of what callers send: their types, with what each lets through."""

import ipaddress
from datetime import datetime
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema

from mixer.core.speccheck import AGC_DBOV, GAIN_DB, MAX_BUS_CHARACTERS, MAX_BUSES, MAX_LOUDEST, PAN
from mixer.types import FLOOR, Profile, RtcpMode, RtpCodec
from server.domain.air import MAX_WINDOW_S, MIN_WINDOW_S
from server.domain.captions import (
    CAPTION_LANGUAGE,
    DURATION_MS,
    MAX_LANGUAGES,
    MOST_EARLY_S,
    MOST_LATE_S,
    languages_mistake,
)
from server.domain.captions import MAX_CHARACTERS as MAX_CAPTION
from server.domain.chat import MAX_CHARACTERS
from server.domain.grants import Role
from server.domain.identity import (
    NEW_PIN_PATTERN,
    ROOM_ID_PATTERN,
    USER_ID_PATTERN,
    is_pin,
    room_id,
    user_id,
)
from server.domain.room import MAX_CHAT_HISTORY
from server.services.sounds import MAX_NAME_CHARACTERS

MAX_RECIPIENT: Final = 36  # a user id; the name of a bus has 32 characters


def _as_room_id(text: str) -> str:
    if room_id(text) is None:
        raise ValueError("3 to 32 letters, digits, - and _")
    return text


def _as_user_id(text: str) -> str:
    if user_id(text) is None:
        raise ValueError("a lower-case UUID version 4")
    return text


def _as_new_pin(text: str) -> str:
    if text and not is_pin(text):
        raise ValueError("six ASCII letters or digits, or nothing")
    return text


def _as_host(text: str) -> str:
    return str(ipaddress.ip_address(text))  # raises ValueError


def _as_network(text: str) -> str:
    return str(ipaddress.ip_network(text))


def _as_payload_type(number: int) -> int:
    if 64 <= number < 96:
        raise ValueError("RTCP looks like that (RFC 5761 §4)")
    return number


def _as_whole(value: object) -> object:
    """To JSON, 1.0 is an integer as well."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _as_buses(names: list[str]) -> list[str]:
    if FLOOR in names or len(set(names)) < len(names):
        raise ValueError("names of their own, and the floor is there anyway")
    return names


def _as_languages(languages: list[str]) -> list[str]:
    if mistake := languages_mistake(languages):
        raise ValueError(mistake)
    return languages


def _as_moment(text: str) -> str:
    moment = datetime.fromisoformat(text)  # raises ValueError
    if moment.tzinfo is None:
        raise ValueError("it has no time zone")
    return text


def _none_is_empty(value: object) -> object:
    return "" if value is None else value


PRINTABLE: Final = r"^[^\x00-\x1f\x7f]*$"
WHOLE: Final = BeforeValidator(_as_whole)
# What validates in code says in words of JSON Schema what it lets through.
RoomIdText = Annotated[
    str, AfterValidator(_as_room_id), WithJsonSchema({"type": "string", "pattern": ROOM_ID_PATTERN})
]
UserIdText = Annotated[
    str, AfterValidator(_as_user_id), WithJsonSchema({"type": "string", "pattern": USER_ID_PATTERN})
]
NewPin = Annotated[
    str, AfterValidator(_as_new_pin), WithJsonSchema({"type": "string", "pattern": NEW_PIN_PATTERN})
]
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=80, pattern=PRINTABLE),
    BeforeValidator(_none_is_empty),
    WithJsonSchema({"type": ["string", "null"], "maxLength": 80, "pattern": PRINTABLE}),
]
Shown = Annotated[
    str,
    StringConstraints(max_length=2048),
    BeforeValidator(_none_is_empty),
    WithJsonSchema({"type": ["string", "null"], "maxLength": 2048}),
]
HostText = Annotated[
    str,
    AfterValidator(_as_host),
    WithJsonSchema(
        {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}], "maxLength": 45}
    ),
]
NetworkText = Annotated[
    str,
    AfterValidator(_as_network),
    WithJsonSchema({"type": "string", "description": "CIDR", "examples": ["192.0.2.0/24"]}),
]
Message = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        min_length=1,
        max_length=MAX_CHARACTERS,
        pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$",  # tabs and new lines are text
    ),
]
CodecText = Annotated[RtpCodec, Field(strict=False)]
RtcpText = Annotated[RtcpMode, Field(strict=False)]
PayloadType = Annotated[
    int,
    Field(ge=0, le=127),
    AfterValidator(_as_payload_type),
    WHOLE,
    WithJsonSchema(
        {
            "type": "integer",
            "anyOf": [{"minimum": 0, "maximum": 63}, {"minimum": 96, "maximum": 127}],
        }
    ),
]
Recipient = Annotated[str, StringConstraints(min_length=1, max_length=MAX_RECIPIENT)]
GainDb = Annotated[float, Field(ge=GAIN_DB[0], le=GAIN_DB[1], allow_inf_nan=False)]
RoleText = Annotated[Role, Field(strict=False)]
ProfileText = Annotated[Profile, Field(strict=False)]
MaxAnchors = Annotated[int, Field(ge=0, le=10_000), WHOLE]
Loudest = Annotated[int, Field(ge=0, le=MAX_LOUDEST), WHOLE]
BusName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_BUS_CHARACTERS, pattern=PRINTABLE),
]
Buses = Annotated[
    list[BusName],
    Field(
        max_length=MAX_BUSES,
        json_schema_extra={"uniqueItems": True, "not": {"contains": {"const": FLOOR}}},
    ),
    AfterValidator(_as_buses),
]
Hears = Annotated[
    dict[BusName, GainDb],
    Field(max_length=MAX_BUSES + 1, json_schema_extra={"additionalProperties": False}),
]
Pan = Annotated[float, Field(ge=PAN[0], le=PAN[1], allow_inf_nan=False)]
AgcDbov = Annotated[float, Field(ge=AGC_DBOV[0], le=AGC_DBOV[1], allow_inf_nan=False)]
ChatHistory = Annotated[int, Field(ge=0, le=MAX_CHAT_HISTORY), WHOLE]
Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=200, pattern=PRINTABLE),
    BeforeValidator(_none_is_empty),
    WithJsonSchema({"type": ["string", "null"], "maxLength": 200, "pattern": PRINTABLE}),
]
DvrSeconds = Annotated[int, Field(ge=MIN_WINDOW_S, le=MAX_WINDOW_S), WHOLE]
CaptionLanguage = Annotated[str, StringConstraints(pattern=CAPTION_LANGUAGE)]
CaptionLanguages = Annotated[
    list[CaptionLanguage],
    Field(max_length=MAX_LANGUAGES, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_as_languages),
]
CaptionText = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        min_length=1,
        max_length=MAX_CAPTION,
        pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$",  # tabs and new lines are text
    ),
]
CaptionMs = Annotated[int, Field(ge=DURATION_MS[0], le=DURATION_MS[1]), WHOLE]
OffsetMs = Annotated[int, Field(ge=-1000 * int(MOST_LATE_S), le=1000 * int(MOST_EARLY_S)), WHOLE]
MomentText = Annotated[
    str,
    AfterValidator(_as_moment),
    WithJsonSchema({"type": "string", "format": "date-time", "maxLength": 40}),
]
HoldMusicFile = Annotated[str, StringConstraints(max_length=MAX_NAME_CHARACTERS)]
LiveListeners = Annotated[int, Field(ge=0, le=100_000), WHOLE]
Seconds = Annotated[int, Field(ge=1, le=10**9), WHOLE]
