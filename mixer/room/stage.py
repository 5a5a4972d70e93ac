"""The stage of a room: who is awake, who of them is mixed, and who was heard a moment ago."""

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mixer.core.automix import Automix
from mixer.core.level import power
from mixer.core.loudest import Loudest
from mixer.core.strip import Voiced
from mixer.errors import NoCapacity
from mixer.room.player import Player, PlayerState
from mixer.room.playout import UNDECODED
from mixer.room.seat import Seat
from mixer.room.voice import Voice
from mixer.types import Int16Frame, PeerId, RoomId, RoomSpec

MAX_PLAYING = 16  # a jingle for each language of a large conference; more is a mistake
HOLD_TICKS = 50  # a voice stays for 1 s after its last sound: pauses in speech are shorter

_log = logging.getLogger(__name__)


class Playing(NamedTuple):
    """A player in a room."""

    name: str
    player: Player
    voice: Voice


class Stage:
    """Listens to everybody who is awake and to what is played, once a tick.

    `voices` are those heard in the last second: while one of them pauses, what people hear of it
    does not change hands.
    """

    def __init__(self, room: RoomId) -> None:
        self.voices: list[Voice] = []
        self.levels: Mapping[PeerId, int] = {}
        """In dBov, of the people heard in the last tick."""
        self.failures = 0
        """How often somebody could not be heard in a tick."""
        self.player_failures = 0
        self.packets: Mapping[Voice, bytes] = {}
        """Of those heard in the last tick as one packet has it, unchanged: that."""
        self.is_undecoded = False
        """Whether the last tick had a frame that was not."""
        self._room = room
        self._awake: dict[PeerId, Seat] = {}
        self._playing: list[Playing] = []
        self._loudest: Loudest[PeerId] | None = None
        self._loudest_wanted = 0
        self._loudest_limit = 0
        self._automix: Automix[Voice] | None = None
        self._failed: set[str] = set()

    def configure(self, spec: RoomSpec) -> None:
        """Choose and weigh voices as the spec says."""
        self._loudest_wanted = spec.loudest
        self._choose_loudest()
        if not spec.automix:
            self._automix = None
        elif self._automix is None:
            self._automix = Automix()

    def limit_loudest(self, count: int) -> None:
        """Mix no more people than that, even if the spec wants more; 0 lifts the limit."""
        self._loudest_limit = count
        self._choose_loudest()

    def _choose_loudest(self) -> None:
        wanted, limit = self._loudest_wanted, self._loudest_limit
        count = min(wanted, limit) if wanted and limit else wanted or limit
        if not count:
            self._loudest = None
        elif self._loudest is None:
            self._loudest = Loudest(count)
        else:
            self._loudest.count = count

    @property
    def is_empty(self) -> bool:
        """Whether nobody was heard lately, nor could be in the next tick."""
        return not (self._awake or self.voices or self._playing)

    # Who is there

    def wake(self, seat: Seat) -> None:
        """Listen to a person from the next tick on."""
        self._awake[seat.anchor.peer] = seat

    def remove(self, seat: Seat) -> None:
        """Forget a person."""
        peer = seat.anchor.peer
        self._awake.pop(peer, None)
        self._failed.discard(peer)
        self.levels = {other: level for other, level in self.levels.items() if other != peer}
        if seat.voice in self.voices:
            self.voices.remove(seat.voice)

    def play(self, playing: Playing) -> None:
        """Hear a player from the next tick on; an earlier one of that name fades out.

        Raises:
            NoCapacity: as many play already as a room can have.
        """
        if len(self._playing) >= MAX_PLAYING:
            raise NoCapacity(f"A room plays at most {MAX_PLAYING} things at a time.")
        self.stop(playing.name)
        self._playing.append(playing)

    def stop(self, name: str) -> None:
        """Have the player of that name fade out, if there is one."""
        for playing in self._playing:
            if playing.name == name:
                playing.player.stop()

    def set_volume(self, name: str, gain_db: float) -> None:
        """Set the gain of the player of that name, if there is one."""
        for playing in self._playing:
            if playing.name == name:
                playing.voice.set_gain(gain_db)

    def is_playing(self, name: str) -> bool:
        """Whether a player of that name is not over yet."""
        return any(playing.name == name for playing in self._playing)

    def set_channels(self, channels: int) -> None:
        """Play on with so many channels."""
        for playing in self._playing:
            playing.voice.set_channels(channels)

    # Once a tick

    @property
    def lone(self) -> Seat | None:
        """Who may be heard without being decoded: the only one, as they are."""
        if len(self._awake) != 1 or len(self.voices) != 1 or self._playing or self._automix:
            return None
        (seat,) = self._awake.values()
        is_plain = seat.voice.is_plain and seat.anchor.is_levelled
        return seat if is_plain and seat.voice is self.voices[0] else None

    def listen(
        self, tick: int, now: float, most_bytes: int = 0
    ) -> tuple[list[Voice], list[Voiced]]:
        """Return the voices heard in this tick and their frames, ready to be mixed.

        A frame that is UNDECODED stands for a packet of at most `most_bytes`.
        """
        chosen = None
        if self._loudest is not None:
            chosen = self._loudest.choose(
                {peer: seat.anchor.level_dbov for peer, seat in self._awake.items()}
            )
        voices: list[Voice] = []
        frames: list[Int16Frame] = []
        levels: dict[PeerId, int] = {}
        packets: dict[Voice, bytes] = {}
        for peer, seat in list(self._awake.items()):
            try:
                if chosen is None or peer in chosen:
                    frame = seat.anchor.hear(now, most_bytes)
                else:
                    frame = _leave_out(seat, tick, now)
            except Exception:  # noqa: BLE001 - a boundary: one person's packets are not the room's
                self._note_failure(peer)
                continue
            if frame is not None:
                voices.append(seat.voice)
                frames.append(frame)
                levels[peer] = seat.anchor.level_dbov
                if seat.anchor.packet is not None:
                    packets[seat.voice] = seat.anchor.packet
            elif seat.anchor.is_asleep:
                del self._awake[peer]
        self.levels = levels
        self.is_undecoded = any(frame is UNDECODED for frame in frames)
        shaped = self._shape(voices, frames, chosen)
        self.packets = {voice: one for voice, one in packets.items() if voice.strip.is_open}
        if self._playing:
            self._play_on(voices, shaped)
        return voices, shaped

    def hold(self, heard: Sequence[Voice], tick: int, *, is_silent: bool) -> bool:
        """Bring who is heard onto the stage and let go who rests; return whether it changed.

        When all is silent nobody hears the change, and all may go at once.
        """
        changed = False
        for voice in heard:
            if not voice.is_on_stage:
                self.voices.append(voice)
                voice.is_on_stage = changed = True
            voice.heard_at = tick
        longest = 1 if is_silent and not heard else HOLD_TICKS
        for voice in [one for one in self.voices if tick - one.heard_at >= longest]:
            self.voices.remove(voice)
            voice.is_on_stage = False
            changed = True
        return changed

    def _shape(
        self,
        voices: Sequence[Voice],
        frames: Sequence[Int16Frame],
        chosen: frozenset[PeerId] | None,
    ) -> list[Voiced]:
        if self._automix is None and chosen is None:
            return [voice.shape(frame) for voice, frame in zip(voices, frames, strict=True)]
        shares = dict.fromkeys(voices, 1.0)
        if self._automix is not None:
            powers = map(power, frames)
            shares = self._automix.share(dict(zip(voices, powers, strict=True)))
        return [
            voice.shape(frame, shares[voice] if chosen is None or voice.peer in chosen else 0.0)
            for voice, frame in zip(voices, frames, strict=True)
        ]

    def _play_on(self, voices: list[Voice], frames: list[Voiced]) -> None:
        for playing in list(self._playing):
            try:
                frame = playing.player.hear()
            except Exception:  # noqa: BLE001 - a boundary: a broken source is not the room's
                _log.exception("%s in room %s cannot be played", playing.name, self._room)
                self.player_failures += 1
                self._playing.remove(playing)
                continue
            if frame is not None:
                voices.append(playing.voice)
                frames.append(playing.voice.shape(frame))
            if playing.player.state is PlayerState.OVER:
                self._playing.remove(playing)

    def _note_failure(self, peer: PeerId) -> None:
        self.failures += 1
        if peer not in self._failed:
            self._failed.add(peer)
            _log.exception("%s in room %s cannot be heard", peer, self._room)


def _leave_out(seat: Seat, tick: int, now: float) -> Int16Frame | None:
    """Let somebody who is not among the loudest fade out, then pass over what they say."""
    anchor, strip = seat.anchor, seat.voice.strip
    if seat.voice.heard_at == tick - 1 and not strip.is_closed:
        return anchor.hear(now)
    strip.close()
    if anchor.is_levelled:
        anchor.skip(now)
    else:  # their level is known from what is decoded alone
        anchor.hear(now)
    return None
