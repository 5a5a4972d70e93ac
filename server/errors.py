"""Errors of the control plane, named after who must react; each writes its own sentence."""

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar


class ServerError(Exception):
    """Root of everything the control plane raises on purpose.

    `code` is stable and part of the wire contract; the sentence is for people. HTTP statuses and
    JSON-RPC codes are attached in `server.edge.errors` and nowhere else.
    """

    code: ClassVar[str] = "internal"


@dataclass(frozen=True, slots=True)
class FieldMistake:
    """One field of a request that does not hold what it must."""

    field: str
    message: str


class BadInput(ServerError):  # noqa: N818 - named after who must react
    """What the caller sent does not have the right form; `fields` is None if it is not JSON."""

    code = "bad_params"

    def __init__(
        self, sentence: str = "Validation failed", fields: tuple[FieldMistake, ...] | None = None
    ) -> None:
        super().__init__(sentence)
        self.fields = fields


class RoomNotFound(ServerError):  # noqa: N818
    """There is no such room (any more)."""

    code = "room_not_found"

    def __init__(self, room: str) -> None:
        super().__init__(f"Room {room} not found")
        self.room = room


class RoomExists(ServerError):  # noqa: N818
    """A room of that id is there already."""

    code = "room_exists"

    def __init__(self, room: str) -> None:
        super().__init__(f"Room {room} already exists")
        self.room = room


class RoomPermanent(ServerError):  # noqa: N818
    """The room is in the configuration, so the API cannot end it."""

    code = "room_permanent"

    def __init__(self, room: str) -> None:
        super().__init__(f"Room {room} is in the server's configuration: take it out there first")
        self.room = room


class RoomFull(ServerError):  # noqa: N818
    """The room has as many anchors as it may have."""

    code = "room_full"

    def __init__(self, room: str, limit: int) -> None:
        super().__init__(f"Room {room} is full: it holds {limit} anchors")
        self.room = room
        self.limit = limit


class RoomLocked(ServerError):  # noqa: N818
    """The room lets nobody new in."""

    code = "room_locked"

    def __init__(self, room: str) -> None:
        super().__init__(f"Room {room} is locked: nobody new is let in")
        self.room = room


class WrongPin(ServerError):  # noqa: N818
    """The room has a PIN and it was not the one shown."""

    code = "wrong_pin"

    def __init__(self) -> None:
        super().__init__("This room asks for a PIN, and that is not it")


class Delayed(ServerError):  # noqa: N818
    """Not now: the same will be looked at in `retry_after_ms` milliseconds."""

    def __init__(self, sentence: str, retry_after_ms: int) -> None:
        super().__init__(sentence)
        self.retry_after_ms = retry_after_ms


class TooFast(Delayed):
    """The caller does that more often than the operator lets them."""

    code = "too_many_requests"

    def __init__(self, retry_after_ms: int) -> None:
        super().__init__(f"Too often: try again in {_seconds(retry_after_ms)} s", retry_after_ms)


class PinLocked(Delayed):
    """That address tried too many wrong PINs of the room."""

    code = "pin_locked"

    def __init__(self, retry_after_ms: int) -> None:
        sentence = f"Too many wrong PINs: try again in {_seconds(retry_after_ms)} s"
        super().__init__(sentence, retry_after_ms)


class RadioFull(Delayed):
    """As many listen to the radio as may: in that room, from that address, or at all."""

    code = "radio_full"

    def __init__(self, most: int, whose: str, retry_after_ms: int) -> None:
        wait_s = _seconds(retry_after_ms)
        sentence = f"At most {most} listen to the radio {whose}: try again in {wait_s} s"
        super().__init__(sentence, retry_after_ms)


class BadInvite(ServerError):  # noqa: N818
    """The invite was never given out for this, or was revoked."""

    code = "bad_invite"

    def __init__(self) -> None:
        super().__init__("This link is not (or no longer) valid: ask for a new one")


class BadSecret(ServerError):  # noqa: N818
    """Neither the first-run secret nor the admin key."""

    code = "bad_secret"

    def __init__(self) -> None:
        super().__init__("That is neither the first-run secret nor the admin key")


class Unauthorized(ServerError):  # noqa: N818
    """Nothing was shown that gives a right."""

    code = "unauthorized"


class Forbidden(ServerError):  # noqa: N818
    """What was shown does not give this right."""

    code = "forbidden"


class NotGranted(ServerError):  # noqa: N818
    """The person is known, but was not granted that; `grant` names it."""

    code = "not_granted"

    def __init__(self, grant: str) -> None:
        super().__init__(f"This needs the grant {grant}, which you do not have in this room")
        self.grant = grant


class BadToken(Forbidden):
    """The token is expired, malformed, or meant for something else; the sentence says which."""


class TokenExpired(BadToken):
    """The token's time is over."""

    def __init__(self) -> None:
        super().__init__("This token has expired: ask for a new one")


class AlreadyJoined(ServerError):  # noqa: N818
    """A second `join` on one socket."""

    code = "already_joined"

    def __init__(self) -> None:
        super().__init__("already joined")


class NotJoined(ServerError):  # noqa: N818
    """The method needs a `join` first."""

    code = "not_joined"

    def __init__(self) -> None:
        super().__init__("not joined yet")


class ChatOff(ServerError):  # noqa: N818
    """Those who run the room do not want people to write in it."""

    code = "chat_off"

    def __init__(self) -> None:
        super().__init__("The chat of this room is switched off")


class ChatTooFast(Delayed):
    """Somebody writes faster than anybody reads."""

    code = "chat_too_fast"

    def __init__(self, retry_after_ms: int) -> None:
        super().__init__("That was too fast: wait a moment, then send it again", retry_after_ms)


class Waiting(ServerError):  # noqa: N818
    """They are connected, but not on the stage: waiting to be let in, or listening."""

    code = "waiting"

    def __init__(self) -> None:
        super().__init__("You are not on the stage: wait until somebody lets you in")


class NotFound(ServerError):  # noqa: N818
    """There is nothing at that address."""

    code = "not_found"


class NotAcceptable(ServerError):  # noqa: N818
    """The caller takes no answer of the form there is."""

    code = "not_acceptable"


class PreconditionFailed(ServerError):  # noqa: N818
    """The caller speaks of an earlier state of the thing."""

    code = "precondition_failed"


class PreconditionRequired(ServerError):  # noqa: N818
    """The caller must say which state of the thing they speak of."""

    code = "precondition_required"


class UnsupportedMedia(ServerError):  # noqa: N818
    """The body has another form than it must."""

    code = "unsupported_media"


class AlreadyRecorded(ServerError):  # noqa: N818
    """The operator records every room anyway."""

    code = "already_recorded"

    def __init__(self) -> None:
        super().__init__("Every room is recorded already: the setting record_arrivals says so")


class AlreadyRecording(ServerError):  # noqa: N818
    """The room has a recording that is not over."""

    code = "already_recording"

    def __init__(self) -> None:
        super().__init__("The room is being recorded already: stop that recording first")


class RecordingOver(ServerError):  # noqa: N818
    """The recording has ended, so nothing can be done about how it goes."""

    code = "recording_over"

    def __init__(self) -> None:
        super().__init__("This recording is over: start another one")


class RecordingBusy(ServerError):  # noqa: N818
    """The recording cannot be removed now; the sentence says why."""

    code = "recording_busy"


class DiskFull(ServerError):  # noqa: N818
    """There is not enough space left to record."""

    code = "disk_full"

    def __init__(self, free_bytes: int, needed_bytes: int) -> None:
        super().__init__(
            f"There are {free_bytes // 1_000_000} MB left on the disk, and a recording needs"
            f" {needed_bytes // 1_000_000} MB: make space, or ask for less"
            " (recordings_min_free_mb)"
        )


class NotEnabled(ServerError):  # noqa: N818
    """The operator has not turned that on; the sentence names the setting."""

    code = "not_enabled"


class TooMany(ServerError):  # noqa: N818
    """There are as many of that as there may be."""

    code = "too_many"


class TooLarge(ServerError):  # noqa: N818
    """What was sent is larger than the operator lets it be."""

    code = "too_large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"A sound file has at most {limit_bytes // 1_000_000} MB here")


class TooSlow(ServerError):  # noqa: N818
    """What was announced did not come, or came a few bytes at a time."""

    code = "too_slow"

    def __init__(self) -> None:
        super().__init__("The request did not arrive in time: send it again on a better connection")


class WrongHost(ServerError):  # noqa: N818
    """The request names a host that this server is not."""

    code = "wrong_host"

    def __init__(self) -> None:
        super().__init__("This server has another name: open the address its operator gave you")


class SoundRefused(ServerError):  # noqa: N818
    """What was sent cannot be played (any further); the sentence says why."""

    code = "bad_sound"


class KeyReused(ServerError):  # noqa: N818
    """An Idempotency-Key that stood with another request before."""

    code = "key_reused"

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was used for something else: make a new one")


class InProgress(ServerError):  # noqa: N818
    """The same request is being answered just now."""

    code = "in_progress"

    def __init__(self) -> None:
        super().__init__("The same request is being answered: ask again in a moment")


class HookFailed(ServerError):  # noqa: N818
    """A webhook could not be called; the sentence says why."""

    code = "hook_failed"


class OutputFailed(ServerError):  # noqa: N818
    """A process that sends a room's sound on is of no use any more; the sentence says why."""

    code = "output_failed"


class KeyNotYet(Delayed):
    """The key is for segments that are yet to come."""

    code = "key_not_yet"

    def __init__(self, retry_after_ms: int) -> None:
        super().__init__("This key is for later: ask again when it is needed", retry_after_ms)


class NotReady(ServerError):  # noqa: N818
    """It will be there in a moment."""

    code = "not_ready"


class RangeNotThere(ServerError):  # noqa: N818
    """A range of bytes beyond the end."""

    code = "range_not_there"

    def __init__(self, size: int) -> None:
        super().__init__(f"There are {size} bytes: ask for a range within them")
        self.size = size


class BlockedTooFar(BadInput):
    """A player asks for a part that it cannot know of."""

    def __init__(self) -> None:
        mistake = FieldMistake("_HLS_msn", "more than two segments, or 3 s of parts, from now")
        super().__init__(fields=(mistake,))


class BlockedTooLong(NotReady):
    """What a player waited for did not come within three target durations."""

    def __init__(self) -> None:
        super().__init__("The broadcast did not go on in time: ask again")


class TooManyBlocked(ServerError):  # noqa: N818
    """As many players wait for the next part as may."""

    code = "no_capacity"

    def __init__(self) -> None:
        super().__init__("Too many players wait for the broadcast: ask without _HLS_msn, or later")


class Draining(ServerError):  # noqa: N818
    """The server takes nobody new, because it is about to stop; another start will."""

    code = "draining"

    def __init__(self) -> None:
        super().__init__("The server is about to restart: try again in a moment")


class SigningUnavailable(ServerError):  # noqa: N818
    """The signing server does not answer; who is inside goes on, nobody new comes in."""

    code = "signing_unavailable"

    def __init__(self) -> None:
        super().__init__(
            "Nobody new can be let in now, for the signing server does not answer:"
            " try again in a moment"
        )


class PlaneUnavailable(ServerError):  # noqa: N818
    """The media plane is being started again; the same request will work in a moment."""

    code = "media_unavailable"

    def __init__(
        self, sentence: str = "The media server is restarting: try again in a moment"
    ) -> None:
        super().__init__(sentence)


class StoreLost(ServerError):  # noqa: N818
    """The state store did not do what was asked; nothing was written."""

    code = "store_unavailable"


class LeaseLost(ServerError):  # noqa: N818
    """The lease ran out (or was revoked); its keys are gone."""

    code = "lease_lost"

    def __init__(self, lease: int) -> None:
        super().__init__(f"Lease {lease} is over")
        self.lease = lease


class Compacted(ServerError):  # noqa: N818
    """Changes after that revision are no longer all known: scan, then watch from the snapshot."""

    code = "compacted"

    def __init__(self, after: int, horizon: int) -> None:
        super().__init__(f"Changes are kept after revision {horizon}, not from {after}")
        self.after = after
        self.horizon = horizon


class SetupMistake(ServerError):  # noqa: N818
    """The server cannot start like this; the sentence says what to change."""

    code = "setup"


class BadRecord(ServerError):  # noqa: N818
    """A stored value is not what was written there: damaged, or from a newer version."""

    code = "bad_record"

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"The stored value at {key} cannot be read: {reason}")
        self.key = key


class IllegalTransition(ServerError):  # noqa: N818
    """That cannot happen to a thing in this state."""

    code = "illegal_transition"

    def __init__(self, state: Enum, event: Enum) -> None:
        super().__init__(f"{event.name} is not possible in {state.name}")
        self.state = state
        self.event = event


def _seconds(milliseconds: int) -> int:
    return -(-milliseconds // 1000)
