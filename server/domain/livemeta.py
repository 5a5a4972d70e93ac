"""Where a room is in its life, as it is stored beside the room."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.domain.room import RoomState
from server.errors import BadRecord

StoredState = Literal[RoomState.ON_AIR, RoomState.REMOVING]  # the others have no record


@dataclass(frozen=True, slots=True)
class LiveMeta:
    """On air since `since` on the mixer `mixer`, or being removed since then."""

    state: StoredState
    since: datetime
    mixer: str = "local"


class _Stored(BaseModel):
    """`/rooms/<id>/livemeta`, with the reference's fields."""

    model_config = ConfigDict(strict=True)

    status: Literal["onair", "removing"]
    mixerId: str  # noqa: N815 - the stored name
    janusId: str = ""  # noqa: N815
    createdAt: Annotated[datetime, Field(strict=False)]  # noqa: N815
    nonce: str = ""


def encode_livemeta(live: LiveMeta) -> bytes:
    """Return the JSON that is stored."""
    status: Literal["onair", "removing"] = "onair" if live.state is RoomState.ON_AIR else "removing"
    stored = _Stored(status=status, mixerId=live.mixer, createdAt=live.since)
    return stored.model_dump_json().encode()


def decode_livemeta(key: str, value: bytes) -> LiveMeta:
    """Read what `encode_livemeta` wrote at `key`. Raises BadRecord."""
    try:
        stored = _Stored.model_validate_json(value)
    except ValidationError as error:
        raise BadRecord(key, f"{error.error_count()} wrong fields") from None
    if stored.createdAt.tzinfo is None:
        raise BadRecord(key, "createdAt has no time zone")
    state: StoredState = RoomState.ON_AIR if stored.status == "onair" else RoomState.REMOVING
    return LiveMeta(state, stored.createdAt, stored.mixerId)
