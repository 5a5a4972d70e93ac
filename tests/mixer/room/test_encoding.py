"""One encode for those without loss, one with FEC for those who lose packets."""

import itertools

import numpy as np
import pytest

from mixer.core.toc import opus_duration
from mixer.opus import Decoder
from mixer.room.groups import APART_TICKS
from mixer.types import FRAME_SAMPLES, AnchorSpec, Delivery, Int16Frame, PeerId, Profile, Quality
from tests.support.hall import Hall

SILK_OR_HYBRID, CELT = range(16), range(16, 32)


def lossy(percent: int, bitrate_bps: int | None = None) -> Delivery:
    return Delivery(is_robust=True, loss_percent=percent, bitrate_bps=bitrate_bps)


def config(payload: bytes) -> int:
    """An Opus packet's configuration number (RFC 6716 §3.1)."""
    return payload[0] >> 3


def voice(number: int) -> Int16Frame:
    """Something like a vowel: 20 harmonics of 140 Hz. SILK gives FEC to what sounds like speech."""
    t = (number * FRAME_SAMPLES + np.arange(FRAME_SAMPLES)) / 48_000
    loud = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * t)
    wave = sum(np.sin(2 * np.pi * 140 * n * t) / n for n in range(1, 21))
    return np.round(5000 * loud * wave).astype(np.int16)


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
        hall.room.deliver(PeerId(name), lossy(10))
    before = hall.room.encodes
    hall.run(20, "ann")
    calm.run(20, "ann")
    assert hall.room.encodes - before == 40
    bob, cyd, dan = (hall.people[name].payloads for name in ("bob", "cyd", "dan"))
    assert bob == cyd
    assert all(config(payload) in SILK_OR_HYBRID for payload in bob[-19:])
    assert all(config(payload) in CELT for payload in dan)
    assert dan == calm.people["dan"].payloads


def test_a_lost_packet_is_in_the_next(hall: Hall) -> None:
    """By its FEC the voice sounds on where a packet is missing; by concealment alone less so."""
    hall.people["ann"].source = voice
    hall.room.deliver(PeerId("bob"), lossy(20))
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
    hall.room.deliver(PeerId("bob"), lossy(5))
    hall.run(20, "ann")
    hall.room.deliver(PeerId("bob"), Delivery())
    before = hall.room.encodes
    hall.run(APART_TICKS + 10, "ann")
    assert hall.room.encodes - before == 10 + 2 * APART_TICKS
    assert hall.people["bob"].payloads[-10:] == hall.people["dan"].payloads[-10:]


def test_changing_over_does_not_click(hall: Hall) -> None:
    """To the other encoding and back a voice has no step, and its level hardly dips."""
    hall.people["ann"].source = voice
    hall.run(30, "ann")
    hall.room.deliver(PeerId("bob"), lossy(10))
    hall.run(30, "ann")
    hall.room.deliver(PeerId("bob"), Delivery())
    hall.run(30, "ann")
    bob, dan = (hall.people[name].pcm(85).astype(float) for name in ("bob", "dan"))
    assert np.abs(np.diff(bob)).max() < 1.2 * np.abs(np.diff(dan)).max()
    powers = [np.mean(pcm.reshape(-1, FRAME_SAMPLES) ** 2, axis=1) for pcm in (bob, dan)]
    assert np.abs(10 * np.log10(powers[0] / powers[1])).max() < 4


def test_a_speakers_own_mix_is_protected_too(hall: Hall) -> None:
    """Whoever speaks and loses packets hears the others with FEC, and not themselves."""
    hall.people["cyd"].source = lambda _number: np.zeros(FRAME_SAMPLES, np.int16)
    hall.room.deliver(PeerId("cyd"), lossy(10))
    hall.run(40, "ann", "cyd")
    cyd = hall.people["cyd"]
    assert all(config(payload) in SILK_OR_HYBRID for payload in cyd.payloads[-20:])
    assert cyd.level(440) > -13


def test_protection_outlives_a_pause_and_a_change_of_mix(hall: Hall) -> None:
    """After silence, and in the mix that a personal gain makes, it is there again."""
    hall.room.deliver(PeerId("bob"), lossy(10))
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
    hall.room.deliver(PeerId("bob"), lossy(10))
    hall.run(20, "ann")
    payload = hall.people["bob"].payloads[-1]
    assert payload[0] & 0x04
    assert (config(payload) in SILK_OR_HYBRID, opus_duration(payload)) == (True, FRAME_SAMPLES)


def test_an_overloaded_mixer_caps_both(hall: Hall) -> None:
    """The ceiling of a room's bitrate holds for packets with FEC as well."""
    hall.room.deliver(PeerId("bob"), lossy(10))
    hall.run(50, "ann")
    free = sum(map(len, hall.people["bob"].payloads[-40:]))
    hall.room.spend(Quality(max_bitrate_bps=16_000))
    hall.run(50, "ann")
    assert sum(map(len, hall.people["bob"].payloads[-40:])) < 0.7 * free


def sizes(hall: Hall, name: str, last: int = 40) -> float:
    """How many bits a second somebody was sent."""
    return sum(map(len, hall.people[name].payloads[-last:])) * 8 * 50 / last


def test_robust_packets_follow_the_worst_link(hall: Hall) -> None:
    """One thin link among those who lose packets rules their bit rate, nobody else's."""
    for name in ("bob", "cyd"):
        hall.room.deliver(PeerId(name), lossy(10))
    hall.run(60, "ann")
    before = sizes(hall, "bob")
    hall.room.deliver(PeerId("cyd"), lossy(0, 24_000))
    hall.run(60, "ann")
    assert 0.5 * before < sizes(hall, "bob") < 0.75 * before
    assert hall.people["bob"].payloads == hall.people["cyd"].payloads
    assert sizes(hall, "dan") == pytest.approx(96_000, rel=0.1)


def test_who_is_alone_with_it_has_what_the_link_carries(hall: Hall) -> None:
    """More bits than a shared robust mix, still with FEC, and fewer where the link is thin."""
    hall.room.deliver(PeerId("bob"), lossy(10))
    hall.run(60, "ann")
    assert sizes(hall, "bob") > 50_000
    assert all(config(payload) in SILK_OR_HYBRID for payload in hall.people["bob"].payloads[-40:])
    hall.room.deliver(PeerId("bob"), lossy(10, 28_000))
    hall.run(60, "ann")
    assert sizes(hall, "bob") == pytest.approx(28_000, rel=0.15)


def test_a_private_mix_follows_its_hearer(hall: Hall) -> None:
    """A speaker alone hears what the others do not, in fewer bits; a shared mix keeps its."""
    for name in ("ann", "dan"):
        hall.room.deliver(PeerId(name), Delivery(bitrate_bps=64_000))
    hall.run(60, "ann", "bob")
    assert sizes(hall, "ann") == pytest.approx(64_000, rel=0.1)
    assert sizes(hall, "dan") == pytest.approx(96_000, rel=0.1)
    assert hall.people["dan"].payloads == hall.people["cyd"].payloads


def test_work_is_spent_where_there_is_time(hall: Hall) -> None:
    """Robust packets change with the complexity, those of CELT do not."""
    calm = Hall()
    for name in hall.people:
        calm.seat(name)
    for one in (hall, calm):
        one.people["ann"].source = voice
        one.room.deliver(PeerId("bob"), lossy(10))
        one.run(20, "ann")
    calm.room.spend(Quality(robust_complexity=8))
    for one in (hall, calm):
        one.run(20, "ann")
    assert hall.people["bob"].payloads[-19:] != calm.people["bob"].payloads[-19:]
    assert hall.people["dan"].payloads == calm.people["dan"].payloads


def test_two_frames_before_are_kept(hall: Hall) -> None:
    """For redundancy: the newest first, none from before a pause."""
    sent = [frame for tick in hall.run(4, "ann") for frame in tick if frame.pcm is not None]
    payloads = [frame.payload for frame in sent if 1 in frame.rows]
    kept = [frame.previous for frame in sent if 1 in frame.rows]
    assert kept == [tuple(payloads[max(0, at - 2) : at][::-1]) for at in range(len(payloads))]
    hall.run(60)
    first = next(f for tick in hall.run(4, "ann") for f in tick if f.pcm is not None)
    assert first.previous == ()
