"""A room's broadcast as it is stored: where its clock begins, and its keys."""

import base64
import hashlib
import hmac
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hls.core.timeline import SEGMENT_TICKS, Timeline
from hls.types import BroadcastSpec, KeySpec
from mixer.types import TICK_S, RoomId
from server.errors import BadRecord

KEY_BYTES: Final = 16  # AES-128
SECRET_BYTES: Final = 32
CLOCK: Final = "stream"  # the record of the clock, below `/rooms/<id>/`
KEYS: Final = "keys/"  # what the names of key records begin with, below `/rooms/<id>/`
# A room that is made anew each hour has the same id twice within a year once in 28,000 years.
_ID_BYTES: Final = 5
_KEY_PATH: Final = re.compile(r"/hls/rooms/[^/]+/([0-9]{1,16})/enc\.key", re.ASCII)
_MOST: Final = 2**53  # what JSON numbers hold exactly everywhere


@dataclass(frozen=True, slots=True)
class StreamKey:
    """The key of one epoch; it is in force from segment `first_msn` until the next key's."""

    epoch: int
    key: bytes = field(repr=False)
    iv: bytes = field(repr=False)
    first_msn: int = 0


@dataclass(frozen=True, slots=True)
class Stream:
    """Clock and keys of one room's broadcast; they outlive every process.

    Media time zero is the tick `base_tick` of the machine's boot `boot`, at `base_unix_s` on the
    wall clock. `keys` (at least one) ascend by epoch and by `first_msn`; the first covers
    everything before it too, the last may be for times to come. `secret`, random, is what key
    tokens of this room and its stream's `id` are made with.
    """

    boot: str
    base_tick: int
    base_unix_s: float
    keys: tuple[StreamKey, ...]
    secret: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """What tells this stream from every other, also of the same room: eight of a-z and 2-7.

        It is in the names of its media. As long as media time goes on it is the same in every
        process; it says nothing of the secret it is made of.
        """
        name = self.mac(b"roomtone stream")[:_ID_BYTES]
        return base64.b32encode(name).decode().lower()

    def mac(self, text: bytes) -> bytes:
        """Return what shows that `text` was said of this stream by who knows its secret: 32 bytes.

        Media time that starts anew counts from zero again: the base tells it apart.
        """
        base = struct.pack(">d", self.base_unix_s)
        return hmac.digest(self.secret, text + base, hashlib.sha256)

    def continued(self, boot: str, now_tick: int, now_unix_s: float) -> Self:
        """Return the stream with its clock in ticks of this boot.

        In the same boot nothing changes, whatever was done to the wall clock since. After another
        boot ticks count from elsewhere and only the wall clock knows; if it runs behind its own
        past, media time starts anew, for sequence numbers must not be negative, and the newest key
        is in force from its beginning.
        """
        if boot == self.boot:
            return self
        elapsed_s = now_unix_s - self.base_unix_s
        if elapsed_s < 0:
            return replace(
                self,
                boot=boot,
                base_tick=now_tick,
                base_unix_s=now_unix_s,
                keys=(replace(self.keys[-1], first_msn=0),),
            )
        return replace(self, boot=boot, base_tick=now_tick - round(elapsed_s / TICK_S))

    def msn(self, tick: int) -> int:
        """Return the number of the segment that is made at `tick`."""
        origin_tick = Timeline(self.base_tick, self.base_unix_s).origin_tick
        return max(0, tick - origin_tick) // SEGMENT_TICKS

    def key_at(self, msn: int) -> StreamKey:
        """Return the key that is in force in a segment."""
        return next((key for key in reversed(self.keys) if key.first_msn <= msn), self.keys[0])

    def key_of(self, epoch: int) -> StreamKey | None:
        """Return the key of an epoch, None if it is not known (any more)."""
        return next((key for key in self.keys if key.epoch == epoch), None)

    def end_of(self, epoch: int) -> int | None:
        """Return the first segment after an epoch, None if it is not known that it ends."""
        return next((key.first_msn for key in self.keys if key.epoch > epoch), None)

    def spec(self, room: RoomId, version: int, *, on_air: bool = True) -> BroadcastSpec:
        """Return the broadcast as the plane shall have it."""
        keys = tuple(
            KeySpec(key.epoch, key.key, key.iv, key_path(room, key.epoch), key.first_msn)
            for key in self.keys
        )
        return BroadcastSpec(
            room, version, keys, self.base_tick, self.base_unix_s, on_air, stream=self.id
        )

    def clock_record(self) -> bytes:
        """Return what is stored of its clock and secret: of every stream something else."""
        stored = _Stored(
            boot=self.boot,
            baseTick=self.base_tick,
            baseUnix=self.base_unix_s,
            secret=self.secret.hex(),
        )
        return stored.model_dump_json(exclude_none=True).encode()

    def goes_on_as(self, other: "Stream") -> bool:
        """Whether the other is this stream, perhaps with other keys."""
        return self.clock_record() == other.clock_record()

    def records(self) -> dict[str, bytes]:
        """Return all that is stored of it, by the names below `/rooms/<id>/`."""
        return {CLOCK: self.clock_record()} | {
            key_name(key.epoch): encode_key(key) for key in self.keys
        }


class _Stored(BaseModel):
    """`/rooms/<id>/stream`; before keys were rotated it held the only one."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, hide_input_in_errors=True)

    boot: str
    baseTick: int  # noqa: N815 - the stored name
    baseUnix: float  # noqa: N815
    secret: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    epoch: Annotated[int, Field(ge=0, le=_MOST)] | None = None
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None
    iv: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None


class _StoredKey(BaseModel):
    """`/rooms/<id>/keys/<epoch>`."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    key: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    iv: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    firstMsn: Annotated[int, Field(ge=0, le=_MOST)]  # noqa: N815 - the stored name


def key_path(room: RoomId, epoch: int) -> str:
    """Return the address where a key is given out."""
    return f"/hls/rooms/{room}/{epoch}/enc.key"


def epoch_of(path: str) -> int | None:
    """Return the epoch that an address of key_path is that of, None for any other address."""
    found = _KEY_PATH.fullmatch(path)
    return int(found[1]) if found else None


def key_name(epoch: int) -> str:
    """Return the name of a key's record below `/rooms/<id>/`."""
    return f"{KEYS}{epoch}"


def encode_key(key: StreamKey) -> bytes:
    """Return the JSON that is stored of a key."""
    stored = _StoredKey(key=key.key.hex(), iv=key.iv.hex(), firstMsn=key.first_msn)
    return stored.model_dump_json().encode()


def decode_stream(room: RoomId, records: Mapping[str, bytes], fresh: bytes) -> Stream:
    """Read a broadcast from what is stored below `/rooms/<id>/`, among other things.

    `fresh` is the secret of a record that has none yet. Raises BadRecord.
    """
    where = f"/rooms/{room}/stream"
    try:
        stored = _Stored.model_validate_json(records.get("stream", b""))
    except ValidationError as error:
        raise BadRecord(where, f"{error.error_count()} wrong fields") from None
    keys = tuple(sorted(_keys(room, records), key=lambda key: key.epoch))
    keys = keys or _only_key(stored)
    if not keys:
        raise BadRecord(where, "there is no key")
    if not all(one.first_msn < two.first_msn for one, two in pairwise(keys)):
        raise BadRecord(where, "its keys do not follow each other")
    return Stream(
        boot=stored.boot,
        base_tick=stored.baseTick,
        base_unix_s=stored.baseUnix,
        keys=keys,
        secret=fresh if stored.secret is None else bytes.fromhex(stored.secret),
    )


def _only_key(stored: _Stored) -> tuple[StreamKey, ...]:
    """Return the key of a record from before keys were rotated."""
    if stored.epoch is None or stored.key is None or stored.iv is None:
        return ()
    return (StreamKey(stored.epoch, bytes.fromhex(stored.key), bytes.fromhex(stored.iv)),)


def _keys(room: RoomId, records: Mapping[str, bytes]) -> Iterable[StreamKey]:
    for name, value in records.items():
        if not name.startswith(KEYS):
            continue
        epoch = name.removeprefix(KEYS)
        where = f"/rooms/{room}/{name}"
        if not (epoch.isascii() and epoch.isdigit() and len(epoch) <= 16):
            raise BadRecord(where, "its name is no number")
        try:
            stored = _StoredKey.model_validate_json(value)
        except ValidationError as error:
            raise BadRecord(where, f"{error.error_count()} wrong fields") from None
        key, iv = bytes.fromhex(stored.key), bytes.fromhex(stored.iv)
        yield StreamKey(int(epoch), key, iv, stored.firstMsn)
