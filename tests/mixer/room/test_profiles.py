"""People who differ from their room: one channel in a music room, no gate in a voice room."""

import numpy as np
import pytest

from mixer.opus import Decoder
from mixer.room.mix import COMFORT_PAYLOAD, COMFORT_STEREO, mono
from mixer.types import AnchorSpec, Delivery, PeerId, Profile, RoomSpec
from tests.support.hall import NOISE, Hall, encodes, jumps
from tests.support.webrtc_client import level_db

ANN, BOB, CYD = (PeerId(name) for name in ("ann", "bob", "cyd"))
STEREO = 0x04  # of a TOC byte (RFC 6716 §3.1)
TALK = 20 * np.log10(0.3)


def hall(*anchors: AnchorSpec, profile: Profile = Profile.MUSIC) -> Hall:
    """Return a room in which Ann speaks, on the left, and Bob and Cyd hear her."""
    made = Hall()
    for name in ("ann", "bob", "cyd"):
        made.seat(name, 440.0)
    made.configure(AnchorSpec(ANN, pan=-1.0), *anchors, profile=profile)
    return made


def is_stereo(house: Hall, name: str) -> bool:
    return bool(house.people[name].payloads[-1][0] & STEREO)


def test_mono_in_a_music_room() -> None:
    """Bob gets the mean of both channels at the rate of a voice room, Cyd both."""
    house = hall(AnchorSpec(BOB, profile=Profile.VOICE))
    house.people["cyd"].decoder = Decoder(channels=2)
    house.run(60, "ann")
    assert (is_stereo(house, "bob"), is_stereo(house, "cyd")) == (False, True)
    assert house.people["bob"].level(440) == pytest.approx(TALK + 3 - 6, abs=0.5)
    left = house.people["cyd"].pcm(25)[:, 0]
    assert level_db(left, 440) == pytest.approx(TALK + 3, abs=0.5)
    assert (house.room.hears_mono(BOB), house.room.hears_mono(CYD)) == (True, False)


def test_its_rate_is_that_of_a_voice_room() -> None:
    """96 kb/s for Bob, 128 for Cyd."""
    house = hall(AnchorSpec(BOB, profile=Profile.VOICE))
    house.people["ann"].source = lambda n: np.random.default_rng(n).integers(
        -8000, 8000, 960, np.int16
    )
    house.run(60, "ann")
    rates = [
        np.mean([len(payload) for payload in house.people[name].payloads[-25:]]) * 400
        for name in ("bob", "cyd")
    ]
    assert rates == pytest.approx([96e3, 128e3], rel=0.1)


def test_all_in_mono_share_an_encode() -> None:
    """One mix, two encodes: one for all in stereo, one for all in mono."""
    house = hall(*(AnchorSpec(peer, profile=Profile.VOICE) for peer in (BOB, CYD)))
    house.seat("dan")
    house.run(40, "ann")
    assert encodes(house, 20, "ann") == 40


def test_nobody_pays_for_mono_in_a_voice_room() -> None:
    """There everybody has one channel anyway."""
    house = hall(AnchorSpec(BOB, profile=Profile.MUSIC), profile=Profile.VOICE)
    house.run(40, "ann")
    assert encodes(house, 20, "ann") == 20
    assert not is_stereo(house, "bob")


def test_mono_with_fec() -> None:
    """Who loses packets has FEC in mono too, and nobody else's packets change."""
    house, other = (hall(AnchorSpec(BOB, profile=Profile.VOICE)) for _ in range(2))
    house.room.deliver(BOB, Delivery(is_robust=True, loss_percent=10))
    for one in (house, other):
        one.run(40, "ann")
    assert house.people["bob"].payloads[-1][0] >> 3 < 16  # SILK or hybrid
    assert not is_stereo(house, "bob")
    assert house.people["cyd"].payloads[-25:] == other.people["cyd"].payloads[-25:]


def test_a_change_in_mid_speech_does_not_click() -> None:
    """Bob goes from stereo to mono and back while Ann speaks."""
    house = hall()
    house.configure(AnchorSpec(ANN), profile=Profile.MUSIC)
    house.run(60, "ann")
    for profile in (Profile.VOICE, None):
        house.configure(AnchorSpec(BOB, profile=profile), profile=Profile.MUSIC)
        house.run(30, "ann")
        assert is_stereo(house, "bob") is (profile is None)
    assert jumps(house.people["bob"].pcm(80), 440) < 1.3
    assert house.people["bob"].level(440, 80) == pytest.approx(TALK, abs=0.5)


def test_comfort_has_everybodys_channels() -> None:
    """Silence is said in mono to Bob, in stereo to Cyd."""
    house = hall(AnchorSpec(BOB, profile=Profile.VOICE))
    house.run(20, "ann")
    house.run(100)
    last = [house.people[name].payloads[-1] for name in ("bob", "cyd")]
    assert last == [COMFORT_PAYLOAD, COMFORT_STEREO]


@pytest.mark.parametrize(
    ("room", "own", "is_heard"),
    [
        (Profile.VOICE, None, False),
        (Profile.VOICE, Profile.MUSIC, True),
        (Profile.MUSIC, None, True),
        (Profile.MUSIC, Profile.VOICE, False),
    ],
)
def test_gate(*, room: Profile, own: Profile | None, is_heard: bool) -> None:
    """Who has a profile of their own is gated as in a room of that one."""
    house = hall(AnchorSpec(BOB, profile=own), profile=room)
    house.people["bob"].source = house.people["ann"].source
    house.run(60, "bob", level=NOISE)
    assert bool(house.people["cyd"].level(440) > TALK - 6) is is_heard


def test_the_gate_outlives_a_change_of_the_room() -> None:
    """Bob's own profile holds whatever becomes of the room."""
    own = AnchorSpec(BOB, profile=Profile.VOICE)
    house = hall(own, profile=Profile.VOICE)
    house.run(40, "ann")
    house.room.configure(RoomSpec(house.room.id, 2, (own,), profile=Profile.MUSIC))
    house.run(40, "ann")
    assert (is_stereo(house, "bob"), is_stereo(house, "cyd")) == (False, True)
    house.run(100)
    house.run(60, "bob", level=NOISE)
    assert house.people["cyd"].payloads[-1] == COMFORT_STEREO


def test_mono() -> None:
    """The mean of both channels, full scale included."""
    frame = np.array([32767, 32767, -32768, -32768, 100, -50] + [0] * 1914, np.int16)
    assert mono(frame)[:3].tolist() == [32767, -32768, 25]
