"""Who is mixed and how loud: the loudest, the automixer, automatic gain; through real Opus."""

import numpy as np
import pytest

from mixer.core.frame_ring import FrameRing
from mixer.core.loudest import PATIENCE_TICKS
from mixer.opus import Decoder
from mixer.room.anchor import Anchor
from mixer.types import AnchorSpec, PeerId, Profile
from tests.support.hall import Hall, TapRecorder, jumps
from tests.support.webrtc_client import level_db, tone

TALK = 20 * np.log10(0.3)
GONE = -50


def hall(count: int, tap: TapRecorder | None = None) -> Hall:
    """Return a room of people p0, p1…, at 440 Hz and upwards by 300, and a listener."""
    house = Hall(tap)
    for number in range(count):
        house.seat(f"p{number}", 440.0 + 300 * number)
    house.seat("ear")
    return house


def pitches(house: Hall, last: int = 25) -> list[float]:
    """Return how loud the listener hears each person, relative to what these say."""
    count = len(house.people) - 1
    return [house.people["ear"].level(440.0 + 300 * n, last) - float(TALK) for n in range(count)]


def talk(house: Hall, ticks: int, *levels: int | None) -> None:
    """Let the people speak, each packet telling that person's level."""
    for _ in range(ticks):
        for number, level in enumerate(levels):
            house.people[f"p{number}"].say(house.now - 0.005, level)
        house.run(1)


def decodes(anchor: Anchor) -> int:
    """Return how many frames this person's decoder has made."""
    return getattr(anchor._playout._decoder, "count", 0)


@pytest.fixture(autouse=True)
def _count_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = Decoder.decode

    def counting(self: Decoder, payload: bytes) -> object:
        self.count = getattr(self, "count", 0) + 1  # type: ignore[attr-defined]
        return decode(self, payload)

    monkeypatch.setattr(Decoder, "decode", counting)


# The loudest


def test_only_the_loudest_are_heard() -> None:
    """Two of four; the others are not decoded either, and are not said to talk."""
    house = hall(4)
    house.configure(loudest=2)
    talk(house, 60, -20, -40, -30, -45)
    assert pitches(house)[0] == pytest.approx(0, abs=1)
    assert pitches(house)[2] == pytest.approx(0, abs=1)
    assert max(pitches(house)[1], pitches(house)[3]) < GONE
    assert set(house.room.talking) == {"p0", "p2"}
    assert decodes(house.people["p1"].anchor) == decodes(house.people["p3"].anchor) == 0


def test_a_louder_voice_gets_in_without_a_click() -> None:
    """The softest goes; what is heard of both is faded."""
    house = hall(2)
    house.configure(loudest=1)
    talk(house, 60, -20, -45)
    talk(house, 60, -45, -20)
    assert pitches(house)[0] < GONE
    assert pitches(house)[1] == pytest.approx(0, abs=1)
    assert jumps(house.people["ear"].pcm(120), 740) < 1.5
    assert set(house.room.talking) == {"p1"}


def test_a_decoder_that_was_left_out_is_warm_when_it_is_needed() -> None:
    """It takes the last packet it missed first; what it says after is as if it had missed none."""
    house, other = hall(2), hall(2)
    house.configure(loudest=1)
    for one in (house, other):
        talk(one, 60, -20, -45)
        talk(one, 60, -45, -20)
    missed = decodes(other.people["p1"].anchor) - decodes(house.people["p1"].anchor)
    assert missed > 60
    error = house.people["ear"].pcm(20).astype(float) - other.people["ear"].pcm(20)
    other_voice = other.people["ear"].level(440, 20)
    assert other_voice > -12  # the other room hears both; compare in the pitch that both hear
    assert level_db(error.astype(np.int16), 740) < TALK - 40


def test_a_place_that_becomes_free_is_taken_at_once() -> None:
    """When the loudest falls silent and their gate has closed."""
    house = hall(2)
    house.configure(loudest=1)
    talk(house, 60, -20, -45)
    talk(house, 40, -65, -45)
    assert pitches(house, 10)[1] == pytest.approx(0, abs=1)


def test_who_tells_no_level_can_be_left_out_too() -> None:
    """They are decoded, since nothing else says how loud they are, but not mixed."""
    house = hall(2)
    house.people["p1"].source = lambda n: (hall(1).people["p0"].source(n) // 50).astype(np.int16)
    house.configure(loudest=1)
    talk(house, 60, -20, None)
    assert set(house.room.talking) == {"p0"}
    assert decodes(house.people["p1"].anchor) > 40


def test_who_is_left_out_and_leaves_is_forgotten() -> None:
    """Mute, end of speech and leaving are what they are for everybody."""
    house = hall(3)
    house.configure(loudest=1)
    talk(house, 30, -20, -40, -45)
    house.people["p1"].anchor.mute(True)
    house.room.remove(PeerId("p2"))
    del house.people["p2"]
    house.run(60)
    assert house.room.is_idle


def test_the_number_can_be_changed_in_mid_speech() -> None:
    """More come in, then all, then one again: faded, each time."""
    house = hall(3)
    for loudest in (1, 2, 0, 1):
        house.configure(loudest=loudest)
        talk(house, 40, -20, -30, -40)
        audible = [level > GONE for level in pitches(house, 20)]
        assert sum(audible) == (loudest or 3)
    heard = house.people["ear"].pcm(160)
    assert jumps(heard, 1040, 3 * 0.3) < 1.2


def test_a_short_noise_takes_nobodys_place() -> None:
    """Three packets of a slammed door."""
    house = hall(2)
    house.configure(loudest=1)
    talk(house, 60, -25, -70)
    talk(house, PATIENCE_TICKS - 2, -25, -3)
    talk(house, 20, -25, -70)
    assert set(house.room.talking) == {"p0"}


# The automixer


def test_two_at_once_share_one_gain() -> None:
    """Half each; whoever speaks alone has all of it, and no step is heard between."""
    house = hall(2)
    house.configure(automix=True)
    talk(house, 40, -20)
    assert pitches(house, 20)[0] == pytest.approx(0, abs=1)
    talk(house, 60, -20, -20)
    assert pitches(house, 20) == [pytest.approx(-6, abs=1)] * 2
    talk(house, 60, -20)
    assert pitches(house, 20)[0] == pytest.approx(0, abs=1)
    assert jumps(house.people["ear"].pcm(160), 740) < 1.5
    house.configure(automix=True)
    talk(house, 20, -20, -20)
    house.configure()
    talk(house, 40, -20, -20)
    assert pitches(house, 20) == [pytest.approx(0, abs=1)] * 2


def test_the_loudest_can_share_too() -> None:
    """Both at once: two are chosen, and their gains sum to one."""
    house = hall(3)
    house.configure(automix=True, loudest=2)
    talk(house, 60, -20, -20, -45)
    assert pitches(house)[:2] == [pytest.approx(-6, abs=1)] * 2
    assert pitches(house)[2] < GONE


# Gains of a person


def test_a_volume_is_for_everybody() -> None:
    """And for the air."""
    tap = TapRecorder()
    house = hall(1, tap)
    house.configure(AnchorSpec(PeerId("p0"), gain_db=-12.0), on_air=True)
    talk(house, 60, -20)
    assert pitches(house)[0] == pytest.approx(-12, abs=1)
    aired = np.concatenate([pcm for _, pcm in tap.frames[-25:]])
    assert level_db(aired, 440) == pytest.approx(TALK - 12, abs=1)


def test_a_volume_is_turned_without_a_step() -> None:
    """Up and down in mid-speech."""
    house = hall(1)
    for gain_db in (0.0, -20.0, 6.0, -60.0, 0.0):
        house.configure(AnchorSpec(PeerId("p0"), gain_db=gain_db))
        talk(house, 20, -20)
    assert jumps(house.people["ear"].pcm(100), 440, 0.6) < 1.1
    assert pitches(house, 10)[0] == pytest.approx(0, abs=1)


def test_a_soft_voice_is_brought_up() -> None:
    """Towards the target, slowly; a second target moves it on, none lets it go."""
    house = hall(1)
    person = house.people["p0"]
    loud = person.source
    # A tone is at its peak less 3 dB; pauses, or it is a hum that is to be left alone.
    person.source = lambda n: (loud(n) * (0.1 if n % 22 < 17 else 0.001)).astype(np.int16)
    house.configure(AnchorSpec(PeerId("p0"), agc_target_dbov=-26.0))
    talk(house, 300, -36)
    first = np.abs(house.people["ear"].pcm(22)).max()
    assert first / (0.03 * 32_767) == pytest.approx(10 ** (7.4 / 20), rel=0.2)
    house.configure(AnchorSpec(PeerId("p0"), agc_target_dbov=-30.0))
    talk(house, 300, -36)
    assert np.abs(house.people["ear"].pcm(22)).max() < 0.75 * first
    house.configure()
    talk(house, 50, -36)
    assert np.abs(house.people["ear"].pcm(22)).max() == pytest.approx(0.03 * 32_767, rel=0.15)


# Music


def stereo_hall(tap: TapRecorder | None = None) -> Hall:
    house = hall(2, tap)
    for person in house.people.values():
        person.decoder = Decoder(channels=2)
    return house


def sides(house: Hall, hertz: float) -> list[float]:
    """Return how loud the listener hears a pitch left and right, relative to what is said."""
    pcm = np.concatenate(house.people["ear"].heard[-25:])
    return [level_db(pcm[:, side], hertz) - float(TALK) for side in (0, 1)]


def test_music_is_stereo() -> None:
    """People have their places, the power is the same at each; the air hears both sides."""
    tap = TapRecorder()
    house = stereo_hall(tap)
    house.configure(AnchorSpec(PeerId("p0"), pan=-1.0), profile=Profile.MUSIC, on_air=True)
    talk(house, 60, -20, -20)
    left, right = sides(house, 440)
    assert left == pytest.approx(3, abs=1)
    assert right < GONE
    assert sides(house, 740) == [pytest.approx(0, abs=1)] * 2
    aired = np.concatenate([pcm for _, pcm in tap.frames[-25:]])
    assert level_db(aired[::2], 440) == pytest.approx(TALK + 3, abs=1)
    assert level_db(aired[1::2], 440) < GONE
    assert level_db(aired[::2], 740) == pytest.approx(TALK, abs=1)
    assert level_db(aired[1::2], 740) == pytest.approx(TALK, abs=1)


def test_music_has_a_rate_of_its_own() -> None:
    """128 kb/s, and its comfort is stereo too."""
    house = stereo_hall()
    house.configure(profile=Profile.MUSIC)
    house.people["p0"].source = lambda n: np.random.default_rng(n).integers(
        -8000, 8000, 960, np.int16
    )
    talk(house, 60, -20)
    payloads = house.people["ear"].payloads[-25:]
    assert np.mean([len(payload) for payload in payloads]) * 400 == pytest.approx(128e3, rel=0.1)
    house.run(60)
    assert house.people["ear"].payloads[-1] == b"\xfc"


def test_everybody_hears_themselves_nowhere_in_stereo() -> None:
    """Mix-minus is exact on both sides."""
    house = stereo_hall()
    house.configure(profile=Profile.MUSIC)
    talk(house, 60, -20, -20)
    pcm = np.concatenate(house.people["p0"].heard[-25:])
    for side in (0, 1):
        assert level_db(pcm[:, side], 440) < -55
        assert level_db(pcm[:, side], 740) == pytest.approx(TALK, abs=1)


def test_a_room_can_become_a_music_room() -> None:
    """And a voice room again, in mid-speech; what is played goes on in both."""
    house = stereo_hall(TapRecorder())
    ring = FrameRing(200)
    for number in range(200):
        ring.push(tone(3000, 0.1)(number))
    house.room.play("music", ring)
    house.configure(on_air=True)
    talk(house, 30, -20)
    for profile in (Profile.MUSIC, Profile.VOICE):
        house.configure(profile=profile, on_air=True)
        talk(house, 60, -20)
        assert sides(house, 440) == [pytest.approx(0, abs=1)] * 2
        assert sides(house, 3000) == [pytest.approx(-9.5, abs=1)] * 2
