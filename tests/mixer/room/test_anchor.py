"""A person in a room, as heard."""

import numpy as np
import pytest

from mixer.core.gate import HOLD_S
from mixer.core.jitter import Arrival
from mixer.opus import Application, Encoder
from mixer.room.anchor import Anchor
from mixer.types import FRAME_SAMPLES, TICK_S, Int16Frame, PeerId
from tests.support.webrtc_client import tone

LOUD = -20
NOISE = -65
ENCODER = Encoder(application=Application.AUDIO, complexity=5)
STEREO = Encoder(channels=2, bitrate_bps=128_000)
STEREO_PACKETS = [
    STEREO.encode(np.stack((tone(440)(number), tone(660)(number)), axis=1)) for number in range(80)
]
PACKETS = [ENCODER.encode(tone(440)(number)) for number in range(400)]


class Talk:
    """An anchor fed and heard tick by tick; each packet comes just before its tick."""

    def __init__(self, start: int = 0, *, channels: int = 1, gated: bool = True) -> None:
        self.anchor = Anchor(PeerId("ann"), 3)
        self.anchor.adapt(channels, is_gated=gated)
        self.packets = PACKETS
        self.start = self.number = start
        self.tick = 5000

    @property
    def now(self) -> float:
        return self.tick * TICK_S

    def packet(self, payload: bytes | None = None, *, is_silent: bool = False) -> Arrival:
        """Return the next packet."""
        taken = self.number - self.start
        self.number += 1
        return Arrival(
            (self.number - 1) & 0xFFFF,
            (self.number - 1) * FRAME_SAMPLES & 0xFFFFFFFF,
            self.packets[taken % len(self.packets)] if payload is None else payload,
            self.now - 0.005,
            is_silent,
        )

    def send(self, level: int | None = LOUD, payload: bytes | None = None) -> bool:
        is_silent = level is not None and level <= -50
        return self.anchor.arrived(self.packet(payload, is_silent=is_silent), level, self.now)

    def hear(self, ticks: int = 1) -> list[Int16Frame | None]:
        frames = []
        for _ in range(ticks):
            frames.append(self.anchor.hear(self.now))
            self.tick += 1
        return frames

    def talk(self, ticks: int, level: int | None = LOUD) -> list[Int16Frame | None]:
        frames = []
        for _ in range(ticks):
            self.send(level)
            frames += self.hear()
        return frames


def sounding(frames: list[Int16Frame | None]) -> list[bool]:
    return [frame is not None for frame in frames]


def test_a_voice_is_heard_after_the_jitter_buffers_delay() -> None:
    """Then one frame a tick without a gap."""
    heard = sounding(Talk().talk(50))
    assert heard.index(True) <= 2
    assert all(heard[heard.index(True) :])


@pytest.mark.parametrize("start", [0, 65_533, 0xFFFF_FFFF // FRAME_SAMPLES - 20])
def test_numbers_wrap_unheard(start: int) -> None:
    """Sequence numbers and timestamps go round."""
    assert all(sounding(Talk(start).talk(60))[3:])


def test_room_noise_is_not_heard() -> None:
    """Nothing is decoded for it."""
    talk = Talk()
    assert not any(sounding(talk.talk(50, NOISE)))
    assert talk.anchor._playout._decoder is None


def test_a_voice_brings_the_packets_before_it() -> None:
    """The first syllable begins in what was still silence: two packets more are played."""
    talk = Talk()
    talk.talk(10, NOISE)
    talk.talk(30)
    assert talk.anchor.jitter.statistics().received == 32


def test_packets_from_long_before_are_no_pre_roll() -> None:
    """A gap between the kept packets and the voice: they are forgotten."""
    talk = Talk()
    talk.talk(5, NOISE)
    talk.number += 50
    talk.talk(20)
    assert talk.anchor.jitter.statistics().received == 20


def test_a_voice_that_stops_is_held_then_faded() -> None:
    """Pauses between words are heard; when the gate closes the last frame fades out."""
    talk = Talk()
    talk.talk(30)
    tail = talk.talk(40, NOISE)
    heard = sounding(tail)
    last = len(heard) - 1 - heard[::-1].index(True)
    assert last == pytest.approx(HOLD_S / TICK_S, abs=1)
    final = tail[last]
    assert final is not None
    assert not final[480:].any()
    assert talk.anchor.is_asleep
    assert talk.anchor.level_dbov == -127


def test_the_first_frame_fades_in() -> None:
    """From nothing, within 10 ms, though the decoder still rings from what was said before."""
    talk = Talk()
    talk.talk(30)
    talk.talk(40, NOISE)
    frame = next(frame for frame in talk.talk(10) if frame is not None)
    assert np.abs(frame[:48]).max() < 0.15 * np.abs(frame[480:]).max()


def test_a_gap_is_bridged_and_then_faded() -> None:
    """Five frames are made up at most, the last one ends in silence."""
    talk = Talk()
    talk.talk(30)
    frames = talk.hear(12)
    heard = sounding(frames)
    assert heard[:5] == [True] * 5
    assert not any(heard[8:])


def test_after_a_gap_the_voice_goes_on() -> None:
    """As if nothing had been, with no delay left over."""
    talk = Talk()
    talk.talk(30)
    talk.number += 10
    talk.hear(10)
    assert all(sounding(talk.talk(20))[3:])


def test_mute_silences_in_one_tick() -> None:
    """The next frame fades out, then there is none, whatever arrives."""
    talk = Talk()
    talk.talk(30)
    talk.anchor.mute(True)
    frames = talk.talk(10)
    assert sounding(frames) == [True] + [False] * 9
    assert frames[0] is not None
    assert not frames[0][480:].any()


def test_unmuting_brings_nothing_from_before() -> None:
    """What was said while muted is not heard later."""
    talk = Talk()
    talk.anchor.mute(True)
    talk.talk(10)
    talk.anchor.mute(False)
    before = talk.anchor.jitter.statistics().received
    assert talk.send()
    assert talk.anchor.jitter.statistics().received == before + 1
    assert any(sounding(talk.talk(5)))


def test_a_corrupt_packet_is_concealed_and_counted() -> None:
    """The voice goes on behind it."""
    talk = Talk()
    talk.talk(30)
    talk.send(payload=b"\xff\xff\xff\xff")
    assert sounding(talk.hear()) == [True]
    talk.send(payload=b"")
    assert sounding(talk.hear()) == [True]
    assert all(sounding(talk.talk(10)))
    assert talk.anchor.counters()["opus_corrupt"] == 2


@pytest.mark.parametrize("packets", [2, 3, 6])
def test_packets_of_many_frames_fill_as_many_ticks(packets: int) -> None:
    """A packet of 40 ms or more (RFC 6716 §3.2.5: code 3) comes out one frame a tick."""
    talk = Talk()
    frames: list[Int16Frame | None] = []
    bodies = [body[1:] for body in PACKETS[:60]]
    for at in range(0, 60 - packets, packets):
        lengths = b"".join(_length(body) for body in bodies[at : at + packets - 1])
        payload = bytes([PACKETS[0][0] | 3, 0x80 | packets]) + lengths
        payload += b"".join(bodies[at : at + packets])
        talk.send(payload=payload)
        talk.number += packets - 1
        frames = talk.hear(packets)
        assert all(frame is None or len(frame) == FRAME_SAMPLES for frame in frames)
    assert talk.anchor.counters()["opus_corrupt"] == 0
    assert all(sounding(frames))


def _length(body: bytes) -> bytes:
    """RFC 6716 §3.2.1."""
    if len(body) < 252:
        return bytes([len(body)])
    return bytes([252 + (len(body) & 3), (len(body) - 252 - (len(body) & 3)) // 4])


def test_half_a_tick_is_filled_up() -> None:
    """Packets of 10 ms, one of each pair lost, still make whole frames."""
    encoder = Encoder(application=Application.AUDIO)
    short = encoder.encode(np.zeros(FRAME_SAMPLES, np.int16))
    talk = Talk()
    for _ in range(20):
        talk.send(payload=bytes([short[0] & 0x07 | (30 << 3)]) + b"\0" * 20)
        frames = talk.hear()
        assert all(frame is None or len(frame) == FRAME_SAMPLES for frame in frames)


def test_an_unlevelled_voice_is_always_heard() -> None:
    """What cannot be known to be silent is decoded, and its level measured."""
    talk = Talk()
    assert all(sounding(talk.talk(50, None))[3:])
    assert talk.anchor.level_dbov == pytest.approx(-13, abs=2)


def test_a_restart_forgets_what_has_arrived() -> None:
    """Another stream begins at any number, at once."""
    talk = Talk()
    talk.talk(30)
    talk.anchor.restart()
    talk.number += 30_000
    assert any(sounding(talk.talk(6)))


def test_what_is_skipped_is_not_decoded_but_passed() -> None:
    """Time goes on: after it the voice is where it would be, faded in, and not delayed."""
    talk, other = Talk(), Talk()
    heard = []
    for tick in range(60):
        talk.send()
        other.send()
        if 20 <= tick < 40:
            talk.anchor.skip(talk.now)
            talk.tick += 1
            other.hear()
        else:
            heard.append((talk.hear()[0], other.hear()[0]))
    assert talk.anchor.counters() == other.anchor.counters()
    first, expected = heard[20]
    assert first is not None
    assert expected is not None
    assert np.abs(first[:48]).max() < 0.15 * np.abs(expected).max()
    # 10 ms of fade; what is heard after it the decoder knew already.
    error = first[480:].astype(float) - expected[480:]
    assert np.abs(error).max() < 0.1 * np.abs(expected).max()


def test_who_is_skipped_falls_asleep_like_anybody() -> None:
    """When the gate has closed, or with a mute; nothing from before is warmed up later."""
    talk = Talk()
    talk.talk(20)
    for _ in range(60):
        talk.anchor.skip(talk.now)
        talk.tick += 1
    assert talk.anchor.is_asleep
    assert not talk.anchor._playout._skipped
    talk.send()
    talk.anchor.mute(True)
    talk.anchor.skip(talk.now)
    assert talk.anchor.is_asleep


def test_a_level_is_told_or_not() -> None:
    """By the last packet."""
    talk = Talk()
    talk.send(None)
    assert not talk.anchor.is_levelled
    talk.send(LOUD)
    assert talk.anchor.is_levelled


def test_music_is_heard_however_soft() -> None:
    """Who is not gated needs no level to be heard, and fades out when the packets end."""
    talk = Talk(gated=False)
    frames = talk.talk(50, NOISE)
    assert all(sounding(frames)[3:])
    assert talk.send(NOISE)
    heard = sounding(talk.hear(120))
    assert not any(heard[60:])
    assert talk.anchor.is_asleep


@pytest.mark.parametrize("level", [LOUD, None])
def test_a_stereo_anchor_is_heard_in_stereo(level: int | None) -> None:
    """From the fade in to the fade out, level and all."""
    talk = Talk(channels=2)
    talk.packets = STEREO_PACKETS
    frames = [*talk.talk(50, level), *talk.hear(30)]
    heard = [frame for frame in frames if frame is not None]
    assert len(heard) > 50
    assert {frame.shape for frame in heard} == {(FRAME_SAMPLES, 2)}
    assert not heard[-1][480:].any()
    assert talk.anchor.is_asleep


def test_a_mono_voice_has_one_channel_in_a_stereo_room() -> None:
    """It is to be placed there as a whole; the packets tell what they are."""
    talk = Talk(channels=2)
    assert {frame.shape for frame in talk.talk(20)[5:] if frame is not None} == {(FRAME_SAMPLES,)}
    talk.packets = STEREO_PACKETS
    later = talk.talk(20)[5:]
    assert {frame.shape for frame in later if frame is not None} == {(FRAME_SAMPLES, 2)}


def test_losses_are_told_by_how_they_were_mended() -> None:
    """Redundancy, in-band FEC or neither: the same numbers in counters and statistics."""
    talk = Talk()
    for number in range(200):
        packet = talk.packet()
        if number % 20 == 19:
            continue
        if number % 40 == 20:
            packet = packet._replace(redundancy=((FRAME_SAMPLES, PACKETS[number - 1]),))
        talk.anchor.arrived(packet, LOUD, talk.now)
        talk.hear()
    for _ in range(3):
        talk.hear()
    statistics = talk.anchor.statistics()
    assert statistics.lost >= statistics.recovered_red >= 2
    assert statistics.recovered_fec == 0
    assert statistics.received == 190
    assert statistics.target_frames >= 1
    counters = talk.anchor.counters()
    for name in ("lost", "recovered_red", "recovered_fec", "concealed", "compressed", "expanded"):
        assert counters[f"jitter_{name}"] == getattr(statistics, name)
