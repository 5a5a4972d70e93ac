"""One encode for those without loss, one with FEC for those who lose packets."""

import itertools

import numpy as np
import pytest

from mixer.core.toc import opus_duration
from mixer.opus import Decoder
from mixer.room.groups import APART_TICKS
from mixer.types import FRAME_SAMPLES, AnchorSpec, Int16Frame, PeerId, Profile, Quality
from tests.support.hall import Hall, jumps
from tests.support.webrtc_client import level_db

SILK_OR_HYBRID, CELT = range(16), range(16, 32)


def config(payload: bytes) -> int:
    """An Opus packet's configuration number (RFC 6716 §3.1)."""
    return payload[0] >> 3


@pytest.fixture
def hall() -> Hall:
    made = Hall()
    for name in ("ann", "bob", "cyd", "dan"):
        made.seat(name)
    return made


def test_who_loses_packets_gets_fec_and_nobody_else(hall: Hall) -> None:
    """The same mix is encoded once more, however many lose packets; the others' stays."""
    calm = Hall()
    for name in hall.people:
        calm.seat(name)
    hall.run(20, "ann")
    calm.run(20, "ann")
    for name in ("bob", "cyd"):
        hall.room.protect(PeerId(name), loss_percent=10)
    before = hall.room.encodes
    hall.run(20, "ann")
    calm.run(20, "ann")
    assert hall.room.encodes - before == 40
    bob, cyd, dan = (hall.people[name].payloads for name in ("bob", "cyd", "dan"))
    assert bob == cyd
    assert all(config(payload) in SILK_OR_HYBRID for payload in bob[-19:])
    assert all(config(payload) in CELT for payload in dan)
    assert dan == calm.people["dan"].payloads


def voice(number: int) -> Int16Frame:
    """Something like a vowel: 20 harmonics of 140 Hz. SILK gives FEC to what sounds like speech."""
    t = (number * FRAME_SAMPLES + np.arange(FRAME_SAMPLES)) / 48_000
    loud = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * t)
    wave = sum(np.sin(2 * np.pi * 140 * n * t) / n for n in range(1, 21))
    return np.round(5000 * loud * wave).astype(np.int16)


def test_a_lost_packet_is_in_the_next(hall: Hall) -> None:
    """By its FEC the voice sounds on where a packet is missing; by concealment alone less so."""
    hall.people["ann"].source = voice
    hall.room.protect(PeerId("bob"), loss_percent=20)
    hall.run(60, "ann")
    payloads = hall.people["bob"].payloads
    whole, recovered, concealed = Decoder(), Decoder(), Decoder()
    errors: dict[str, list[float]] = {"fec": [], "plc": []}
    for payload, following in itertools.pairwise(payloads):
        true = whole.decode(payload).astype(float)
        if payloads.index(payload) % 5 == 3:
            guesses = {"fec": recovered.decode_fec(following), "plc": concealed.conceal()}
            for name, guess in guesses.items():
                errors[name].append(float(np.mean((guess - true) ** 2)))
        else:
            recovered.decode(payload)
            concealed.decode(payload)
    assert np.median(errors["fec"]) < 0.5 * np.median(errors["plc"])


def test_protection_ends(hall: Hall) -> None:
    """Who loses nothing any more shares the others' packets again."""
    hall.room.protect(PeerId("bob"), loss_percent=5)
    hall.run(20, "ann")
    hall.room.protect(PeerId("bob"), loss_percent=0)
    before = hall.room.encodes
    hall.run(APART_TICKS + 10, "ann")
    assert hall.room.encodes - before == 10 + 2 * APART_TICKS
    assert hall.people["bob"].payloads[-10:] == hall.people["dan"].payloads[-10:]


def test_changing_over_does_not_click(hall: Hall) -> None:
    """To the other encoding and back the tone keeps its level, frame by frame."""
    hall.run(30, "ann")
    hall.room.protect(PeerId("bob"), loss_percent=10)
    hall.run(30, "ann")
    hall.room.protect(PeerId("bob"), loss_percent=0)
    hall.run(30, "ann")
    levels = [level_db(frame, 440) for frame in hall.people["bob"].heard[10:]]
    assert max(levels) - min(levels) < 3
    assert jumps(hall.people["bob"].pcm(80), 440) < 2.5


def test_a_speakers_own_mix_is_protected_too(hall: Hall) -> None:
    """Whoever speaks and loses packets hears the others with FEC, and not themselves."""
    hall.people["cyd"].source = lambda _number: np.zeros(FRAME_SAMPLES, np.int16)
    hall.room.protect(PeerId("cyd"), loss_percent=10)
    hall.run(40, "ann", "cyd")
    cyd = hall.people["cyd"]
    assert all(config(payload) in SILK_OR_HYBRID for payload in cyd.payloads[-20:])
    assert cyd.level(440) > -13


def test_protection_outlives_a_pause_and_a_change_of_mix(hall: Hall) -> None:
    """After silence, and in the mix that a personal gain makes, it is there again."""
    hall.room.protect(PeerId("bob"), loss_percent=10)
    hall.run(20, "ann")
    hall.run(60)
    hall.configure(
        *(AnchorSpec(PeerId(name)) for name in ("ann", "cyd", "dan")),
        AnchorSpec(PeerId("bob"), for_me={PeerId("ann"): -6.0}),
    )
    hall.run(40, "ann")
    bob = hall.people["bob"]
    assert all(config(payload) in SILK_OR_HYBRID for payload in bob.payloads[-20:])
    assert bob.level(440) == pytest.approx(hall.people["dan"].level(440) - 6, abs=1)


def test_music_is_protected_in_stereo(hall: Hall) -> None:
    """The second encoding has the room's channels."""
    hall.configure(*(AnchorSpec(PeerId(name)) for name in hall.people), profile=Profile.MUSIC)
    hall.room.protect(PeerId("bob"), loss_percent=10)
    hall.run(20, "ann")
    payload = hall.people["bob"].payloads[-1]
    assert payload[0] & 0x04
    assert (config(payload) in SILK_OR_HYBRID, opus_duration(payload)) == (True, FRAME_SAMPLES)


def test_an_overloaded_mixer_caps_both(hall: Hall) -> None:
    """The ceiling of a room's bitrate holds for packets with FEC as well."""
    hall.room.protect(PeerId("bob"), loss_percent=10)
    hall.run(50, "ann")
    free = sum(map(len, hall.people["bob"].payloads[-40:]))
    hall.room.spend(Quality(max_bitrate_bps=16_000))
    hall.run(50, "ann")
    assert sum(map(len, hall.people["bob"].payloads[-40:])) < 0.7 * free
