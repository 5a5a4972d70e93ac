"""A room full of people, each with a voice and ears, on a clock that moves a tick at a time."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from mixer.core.jitter import Arrival
from mixer.opus import Application, Decoder, Encoder
from mixer.room.anchor import Anchor
from mixer.room.mix import COMFORT_PAYLOAD, COMFORT_STEREO
from mixer.room.room import Room
from mixer.types import (
    FLOOR,
    FRAME_SAMPLES,
    TICK_S,
    AnchorSpec,
    Int16Frame,
    Outgoing,
    PeerId,
    RoomId,
    RoomSpec,
    Tapped,
)
from tests.support.webrtc_client import level_db, tone

LOUD = -20
NOISE = -65


class TapRecorder:
    """A tap that keeps everything: the `frames` of the floor, and those `of` every other bus."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, Int16Frame]] = []
        self.tapped: list[tuple[int, Tapped]] = []
        self.of: dict[str, list[tuple[int, Int16Frame]]] = {}

    def write(self, room: RoomId, bus: str, tick: int, pcm: Int16Frame) -> None:
        kept = self.frames if bus == FLOOR else self.of.setdefault(bus, [])
        kept.append((tick, pcm))

    def record(self, room: RoomId, tick: int, tapped: Tapped) -> None:
        self.tapped.append((tick, tapped))


class Person:
    """Somebody with a voice (a tone), and ears for one channel or two."""

    def __init__(self, room: Room, name: str, row: int, hertz: float, amplitude: float) -> None:
        self.anchor = Anchor(PeerId(name), row)
        self.heard: list[Int16Frame] = []
        self.payloads: list[bytes] = []
        self._room = room
        self.source = tone(hertz, amplitude)
        self._encoder = Encoder(application=Application.AUDIO, bitrate_bps=128_000, complexity=5)
        self.decoder = Decoder()
        self._number = 0
        room.add(self.anchor)
        room.connect(self.anchor.peer)

    def say(self, now: float, level: int | None = LOUD) -> None:
        """Send the next 20 ms."""
        pcm = self.source(self._number)
        packet = Arrival(
            self._number & 0xFFFF,
            self._number * FRAME_SAMPLES & 0xFFFFFFFF,
            self._encoder.encode(pcm),
            now,
            silent=level is not None and level <= -50,
        )
        self._number += 1
        if self.anchor.arrived(packet, level, now):
            self._room.wake(self.anchor)

    def hear(self, payload: bytes) -> None:
        self.payloads.append(payload)
        is_comfort = payload in {COMFORT_PAYLOAD, COMFORT_STEREO}
        self.heard.append(self.decoder.conceal() if is_comfort else self.decoder.decode(payload))

    def pcm(self, last: int) -> Int16Frame:
        """Return the last frames heard, joined."""
        return np.concatenate(self.heard[-last:])

    def level(self, hertz: float, last: int = 25) -> float:
        """Return how loud a tone is in the last frames heard, in dB of full scale."""
        return level_db(self.pcm(last), hertz)


class Hall:
    """A room full of people, on a clock that moves a tick at a time."""

    def __init__(self, tap: TapRecorder | None = None) -> None:
        self.room = Room(RoomId("hall"), tap)
        self.people: dict[str, Person] = {}
        self.tick = 1000

    def seat(self, name: str, hertz: float = 440.0, amplitude: float = 0.3) -> Person:
        made = Person(self.room, name, len(self.people), hertz, amplitude)
        self.people[name] = made
        return made

    def configure(self, *anchors: AnchorSpec, **settings: Any) -> None:
        """Give the room another spec."""
        self.room.configure(RoomSpec(self.room.id, 1, anchors, **settings))

    @property
    def now(self) -> float:
        return self.tick * TICK_S + 0.004

    def run(self, ticks: int, *speakers: str, level: int | None = LOUD) -> list[list[Outgoing]]:
        """Pass some ticks in which some people speak; everybody hears what they are sent."""
        sent = []
        for _ in range(ticks):
            for name in speakers:
                self.people[name].say(self.now - 0.005, level)
            sent.append(self.room.tick(self.tick, self.now))
            by_row = {person.anchor.row: person for person in self.people.values()}
            for outgoing in sent[-1]:
                for row in outgoing.rows.tolist():
                    by_row[row].hear(outgoing.payload)
            self.tick += 1
        return sent


def encodes(hall: Hall, ticks: int, *speakers: str, level: int | None = LOUD) -> int:
    before = hall.room.encodes
    hall.run(ticks, *speakers, level=level)
    return hall.room.encodes - before


def rows(sent: Iterable[Outgoing]) -> list[int]:
    return sorted(row for outgoing in sent for row in outgoing.rows.tolist())


def jumps(pcm: Int16Frame, hertz: float, amplitude: float = 0.3) -> float:
    """Return the largest step between samples, in multiples of the tone's own largest."""
    own = 2 * np.pi * hertz / 48_000 * amplitude * 32767
    return float(np.abs(np.diff(pcm.astype(np.int32))).max() / own)
