from collections.abc import Iterable
from dataclasses import asdict

import numpy as np
import pytest

from mixer.core.jitter import Arrival
from mixer.core.limiter import LOOKAHEAD_SAMPLES
from mixer.core.specjson import read_spec, write_spec
from mixer.opus import Decoder
from mixer.room.player import Target
from mixer.room.tape import MAX_PACKETS, Tape
from mixer.types import (
    FRAME_SAMPLES,
    AnchorSpec,
    Int16Frame,
    PeerId,
    RecordTaps,
    RoomId,
    RoomSpec,
    RtpCodec,
    Tapped,
    TappedPacket,
)
from tests.support.hall import Hall, TapRecorder
from tests.support.webrtc_client import level_db, tone

ANN, BOB, CYD = (AnchorSpec(PeerId(name)) for name in ("ann", "bob", "cyd"))
ALL = RecordTaps(mix_packets=True, mix_pcm=True, packets=True, exact=True)


def a_hall(
    *specs: AnchorSpec, taps: RecordTaps | None = ALL, on_air: bool = False
) -> tuple[Hall, TapRecorder]:
    tap = TapRecorder()
    hall = Hall(tap)
    for number, name in enumerate(("ann", "bob", "cyd")):
        hall.seat(name, 400.0 + 300 * number)
    hall.configure(*(specs or (ANN, BOB, CYD)), record=taps, on_air=on_air)
    return hall, tap


def packets(tapped: Iterable[tuple[int, Tapped]], peer: str) -> list[TappedPacket]:
    return [one for _, tick in tapped for one in tick.packets if one.peer == peer]


def test_the_mix_is_encoded_though_nobody_hears_it() -> None:
    """A recording has the floor's packets with nobody connected."""
    hall, tap = a_hall()
    for person in hall.people.values():
        hall.room.disconnect(person.anchor.peer)
    sent = hall.run(50, "ann")
    decoder = Decoder()
    heard = [decoder.decode(tick.mix_packet) for _, tick in tap.tapped if tick.mix_packet]
    assert not any(sent)
    assert level_db(np.concatenate(heard[-25:]), 400.0) == pytest.approx(-11, abs=2)


def test_the_recorded_packets_are_those_that_listeners_get() -> None:
    """Who only listens hears the mix that is recorded, packet by packet."""
    hall, tap = a_hall()
    hall.run(50, "ann", "bob")
    recorded = [tick.mix_packet for _, tick in tap.tapped if tick.mix_packet]
    assert recorded
    assert recorded == hall.people["cyd"].payloads[-len(recorded) :]


def test_nobody_hears_that_it_is_recorded() -> None:
    """What people are sent is bit for bit what they would be sent without a recording."""
    script: list[tuple[str, ...]] = [(), ("ann",), ("ann", "bob"), ("cyd",), ()]
    payloads = []
    for taps in (ALL, None):
        hall, _ = a_hall(taps=taps)
        for speakers in script:
            hall.run(30, *speakers)
        payloads.append({name: person.payloads for name, person in hall.people.items()})
    assert payloads[0] == payloads[1]


def test_silence_costs_nothing() -> None:
    """While nobody speaks nothing is handed on."""
    hall, tap = a_hall()
    hall.run(60, "ann")
    hall.run(100)
    before = len(tap.tapped)
    hall.run(500)
    assert len(tap.tapped) == before


def test_only_what_goes_on_air_is_written_to_it() -> None:
    """A recorded room that is not on air writes no PCM to the broadcast, one on air as before."""
    hall, tap = a_hall()
    hall.run(20, "ann")
    assert not tap.frames
    hall, tap = a_hall(on_air=True)
    hall.run(20, "ann")
    assert tap.frames


def test_every_packet_is_handed_on_once_with_its_time() -> None:
    """A person's packets come as they were sent, each with timestamp and arrival."""
    hall, tap = a_hall()
    begin = hall.now
    hall.run(40, "ann")
    found = packets(tap.tapped, "ann")
    assert [one.sequence for one in found] == list(range(40))
    assert [one.timestamp for one in found] == [number * FRAME_SAMPLES for number in range(40)]
    assert found[0].arrival_s == pytest.approx(begin - 0.005)
    assert not packets(tap.tapped, "bob")


def test_a_muted_person_leaves_no_packets() -> None:
    """What somebody says while muted is in no file."""
    hall, tap = a_hall()
    hall.people["ann"].anchor.mute(True)
    hall.run(20, "ann")
    assert not tap.tapped


def test_streams_are_told_apart() -> None:
    """A new SSRC, and a new connection, is another stream."""
    hall, tap = a_hall()
    hall.run(5, "ann")
    hall.people["ann"].anchor.restart()
    hall.run(5, "ann")
    hall.seat("ann")
    hall.run(5, "ann")
    assert len({one.stream for one in packets(tap.tapped, "ann")}) == 3


@pytest.mark.parametrize("on_air", [False, True])
def test_the_sum_of_the_samples_is_the_mix(*, on_air: bool) -> None:
    """What went in of each, behind faders and pans, sums up to the mix before the limiter."""
    specs = (
        AnchorSpec(PeerId("ann"), gain_db=-6.0),
        AnchorSpec(PeerId("bob"), gain_db=-9.0, agc_target_dbov=-26.0),
        AnchorSpec(PeerId("cyd"), gain_db=-20.0),
    )
    hall, tap = a_hall(*specs, on_air=on_air)
    hall.run(30, "ann")
    hall.run(60, "ann", "bob")
    hall.configure(specs[0], specs[1], AnchorSpec(PeerId("cyd"), gain_db=-12.0), record=ALL)
    hall.run(60, "ann", "bob", "cyd")
    hall.run(30, "cyd")
    hall.run(60)
    ticks = dict(tap.tapped)
    first, last = min(ticks), max(ticks)
    total = np.zeros((last - first + 2, FRAME_SAMPLES), np.int64)
    mixed = np.zeros_like(total)
    for tick, tapped in ticks.items():
        for frame in tapped.frames:
            total[tick - first] += frame.pcm
        if tapped.mix_pcm is not None:
            mixed[tick - first] = tapped.mix_pcm
    mix, parts = mixed.reshape(-1)[LOOKAHEAD_SAMPLES:], total.reshape(-1)[:-LOOKAHEAD_SAMPLES]
    assert np.abs(parts).max() > 5000
    assert np.array_equal(mix, parts)


def test_what_is_played_to_all_is_a_voice_of_nobody() -> None:
    """An announcement is recorded, one for a single person is not."""

    class Jingle:
        is_over = False

        def __init__(self) -> None:
            self._source, self._number = tone(1000.0, 0.2), 0

        def take_nowait(self) -> Int16Frame | None:
            self._number += 1
            return self._source(self._number)

    hall, tap = a_hall()
    hall.room.play("secret", Jingle(), to=Target(peer=PeerId("ann")))
    hall.run(20)
    assert not [frame for _, tick in tap.tapped for frame in tick.frames]
    hall.room.play("jingle", Jingle())
    hall.run(20)
    assert {frame.peer for _, tick in tap.tapped for frame in tick.frames} == {None}


def test_what_nobody_asked_for_is_not_gathered() -> None:
    """Each tap is its own wish, and can change while the recording runs."""
    hall, tap = a_hall(taps=RecordTaps(mix_packets=False, packets=False))
    hall.run(20, "ann")
    assert not tap.tapped
    hall.configure(ANN, BOB, CYD, record=RecordTaps(mix_packets=False, packets=True))
    hall.run(20, "ann")
    assert all(not (tick.mix_packet or tick.frames) for _, tick in tap.tapped)
    hall.configure(ANN, BOB, CYD)
    before = len(tap.tapped)
    hall.run(20, "ann")
    assert len(tap.tapped) == before > 0


def test_redundancy_is_handed_on_behind_a_gap() -> None:
    """A packet's copies of earlier ones come only where those are missing."""
    tape = Tape(RecordTaps())
    copies = ((960, b"one before"), (1920, b""))

    def arrive(sequence: int) -> None:
        packet = Arrival(sequence, sequence * 960, b"own", 1.0, silent=False, redundancy=copies)
        tape.arrived(PeerId("ann"), packet, RtpCodec.OPUS)

    for sequence in (1, 2, 4):
        arrive(sequence)
    taken = tape.take()
    assert taken is not None
    assert [(one.timestamp, one.is_copy) for one in taken.packets] == [
        (960, False),
        (0, True),
        (1920, False),
        (3840, False),
        (2880, True),
    ]


def test_a_flood_is_bounded() -> None:
    """Of one tick no more packets are kept than a large room can send."""
    tape = Tape(RecordTaps())
    for number in range(MAX_PACKETS + 7):
        packet = Arrival(number & 0xFFFF, 0, b"x", 1.0, silent=False)
        tape.arrived(PeerId("ann"), packet, RtpCodec.OPUS)
    tape.arrived(PeerId("ann"), Arrival(0, 0, b"", 1.0, silent=True), RtpCodec.OPUS)
    taken = tape.take()
    assert taken is not None
    assert (len(taken.packets), tape.refused) == (MAX_PACKETS, 7)
    assert tape.take() is None


def test_an_arrivals_recording_knows_that_the_mix_was_recorded() -> None:
    """A replay encodes what was encoded: the taps are in the written spec."""
    spec = RoomSpec(RoomId("hall"), 1, (ANN,), record=ALL)
    written = write_spec(spec)
    assert written["record"] == asdict(ALL)
    assert read_spec(RoomId("hall"), written) == spec
