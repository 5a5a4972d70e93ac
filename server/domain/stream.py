"""A room's broadcast as it is stored: its key and where its clock begins."""

from dataclasses import dataclass, replace
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hls.types import BroadcastSpec, KeySpec
from mixer.types import TICK_S, RoomId
from server.errors import BadRecord

KEY_BYTES = 16  # AES-128


@dataclass(frozen=True, slots=True)
class Stream:
    """Key and clock of one room's broadcast; both outlive every process.

    Media time zero is the tick `base_tick` of the machine's boot `boot`, at `base_unix_s` on the
    wall clock.
    """

    epoch: int
    key: bytes
    iv: bytes
    boot: str
    base_tick: int
    base_unix_s: float

    def continued(self, boot: str, now_tick: int, now_unix_s: float) -> Self:
        """Return the stream with its clock in ticks of this boot.

        In the same boot nothing changes, whatever was done to the wall clock since. After another
        boot ticks count from elsewhere and only the wall clock knows; if it runs behind its own
        past, media time starts anew, for sequence numbers must not be negative.
        """
        if boot == self.boot:
            return self
        elapsed_s = now_unix_s - self.base_unix_s
        if elapsed_s < 0:
            return replace(self, boot=boot, base_tick=now_tick, base_unix_s=now_unix_s)
        return replace(self, boot=boot, base_tick=now_tick - round(elapsed_s / TICK_S))

    def spec(self, room: RoomId, version: int, *, on_air: bool = True) -> BroadcastSpec:
        """Return the broadcast as the plane shall have it."""
        uri = f"/hls/rooms/{room}/{self.epoch}/enc.key"
        key = KeySpec(self.epoch, self.key, self.iv, uri)
        return BroadcastSpec(room, version, (key,), self.base_tick, self.base_unix_s, on_air)


class _Stored(BaseModel):
    """`/rooms/<id>/stream`."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    epoch: Annotated[int, Field(ge=0)]
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    iv: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    boot: str
    baseTick: int  # noqa: N815 - the stored name
    baseUnix: float  # noqa: N815


def encode_stream(stream: Stream) -> bytes:
    """Return the JSON that is stored."""
    return (
        _Stored(
            epoch=stream.epoch,
            key=stream.key.hex(),
            iv=stream.iv.hex(),
            boot=stream.boot,
            baseTick=stream.base_tick,
            baseUnix=stream.base_unix_s,
        )
        .model_dump_json()
        .encode()
    )


def decode_stream(key: str, value: bytes) -> Stream:
    """Read what `encode_stream` wrote at `key`. Raises BadRecord."""
    try:
        stored = _Stored.model_validate_json(value)
    except ValidationError as error:
        raise BadRecord(key, f"{error.error_count()} wrong fields") from None
    return Stream(
        epoch=stored.epoch,
        key=bytes.fromhex(stored.key),
        iv=bytes.fromhex(stored.iv),
        boot=stored.boot,
        base_tick=stored.baseTick,
        base_unix_s=stored.baseUnix,
    )
