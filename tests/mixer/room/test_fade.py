"""The way from one profile to another while somebody speaks, through real Opus."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mixer.opus import Decoder
from mixer.room.fade import Fade, faded
from mixer.room.groups import APART_TICKS, Advanced
from mixer.room.mix import Mix
from mixer.types import Int16Frame, PeerId, Profile
from tests.support.hall import Hall, TapRecorder
from tests.support.webrtc_client import level_db

OTHER = {Profile.VOICE: Profile.MUSIC, Profile.MUSIC: Profile.VOICE}
FADED_AT = APART_TICKS  # after the change: out, silence, in
LASTS = 3


def hall(profile: Profile, hertz: float, amplitude: float, tap: TapRecorder | None = None) -> Hall:
    """Return a room in which Ann has been heard for a while by an ear for two channels."""
    house = Hall(tap)
    house.seat("ann", hertz, amplitude)
    house.seat("ear").decoder = Decoder(channels=2)
    configure(house, profile)
    house.run(60, "ann")
    house.people["ear"].heard.clear()
    return house


def configure(house: Hall, profile: Profile) -> None:
    house.configure(profile=profile, on_air=True)


def level(house: Hall, hertz: float, last: int) -> float:
    """Return how loud the ear heard a tone on its left, in dB of full scale."""
    return level_db(house.people["ear"].pcm(last)[:, 0], hertz)


def above(pcm: Int16Frame, hertz: float) -> float:
    """Return the largest sample of what is above a frequency, in dB of full scale: clicks."""
    spectrum = np.fft.rfft(pcm.astype(np.float64))
    spectrum[np.fft.rfftfreq(len(pcm), 1 / 48_000) < hertz] = 0
    splash: NDArray[np.float64] = np.abs(np.fft.irfft(spectrum, len(pcm)))[960:-960]
    return float(20 * np.log10(splash.max() / 32767))


@pytest.mark.parametrize("hertz", [150.0, 1200.0])
@pytest.mark.parametrize("profile", Profile)
def test_no_click(profile: Profile, hertz: float) -> None:
    """A loud low tone leaves nothing above 2 kHz on its way: cut off there it is -63 and -50 dB."""
    house = hall(profile, hertz, 0.5)
    configure(house, OTHER[profile])
    house.run(40, "ann")
    for side in (0, 1):
        assert above(np.concatenate(house.people["ear"].heard)[:, side], 2000) < -65


@pytest.mark.parametrize("profile", Profile)
def test_a_short_gap(profile: Profile) -> None:
    """Three ticks are softer, and from then on the voice is as loud as before."""
    house = hall(profile, 440.0, 0.3)
    configure(house, OTHER[profile])
    house.run(40, "ann")
    frames = house.people["ear"].heard
    levels = [level_db(np.concatenate(frames[at : at + 2])[:, 0], 440) for at in range(38)]
    said = 20 * np.log10(0.3)
    inside = range(FADED_AT - 1, FADED_AT + LASTS)
    steady = [level for at, level in enumerate(levels) if at not in inside]
    assert steady == pytest.approx([said] * len(steady), abs=1)
    assert min(levels) < -40


def test_the_mix_itself_is_faded() -> None:
    """The air goes through silence too, without a step larger than the tone's own."""
    tap = TapRecorder()
    house = hall(Profile.VOICE, 440.0, 0.3, tap)
    configure(house, Profile.MUSIC)
    house.run(40, "ann")
    frames = [pcm for _, pcm in tap.frames[-40:]]
    own = 2 * np.pi * 440 / 48_000 * 0.3 * 32767
    assert np.abs(np.diff(np.concatenate(frames).astype(np.int32))).max() < 1.1 * own
    assert [at for at, pcm in enumerate(frames) if not pcm.any()] == [FADED_AT + 1]


def test_a_change_that_is_taken_back() -> None:
    """Before the fade nobody hears anything of it; within it the voice comes back smoothly."""
    for wait, is_heard in ((FADED_AT, False), (FADED_AT + 1, True)):
        house = hall(Profile.VOICE, 440.0, 0.3)
        configure(house, Profile.MUSIC)
        house.run(wait, "ann")
        configure(house, Profile.VOICE)
        house.run(40 - wait, "ann")
        pcm = np.concatenate(house.people["ear"].heard)[:, 0]
        levels = [level_db(pcm[at : at + 960], 440) for at in range(0, len(pcm), 960)]
        assert (min(levels) < -15) is is_heard
        assert above(pcm, 2000) < -55
        assert house.people["ear"].payloads[-1][0] & 0x04 == 0


def test_a_silent_room_changes_at_once() -> None:
    """Nobody hears anything, so there is nothing to wait for."""
    house = hall(Profile.VOICE, 440.0, 0.3)
    house.run(100)
    configure(house, Profile.MUSIC)
    house.run(10, "ann")
    assert house.people["ear"].payloads[-1][0] & 0x04


def test_a_room_that_falls_silent_on_the_way() -> None:
    """Changes as soon as it is silent, and the next voice is not faded again."""
    house = hall(Profile.VOICE, 440.0, 0.3)
    configure(house, Profile.MUSIC)
    house.run(2, "ann")
    house.run(100)
    house.run(10, "ann")
    assert house.people["ear"].payloads[-1][0] & 0x04
    assert level(house, 440, 3) == pytest.approx(20 * np.log10(0.3), abs=1)


def test_who_comes_on_the_way() -> None:
    """Who is seated between the two is heard in both."""
    house = hall(Profile.VOICE, 440.0, 0.3)
    configure(house, Profile.MUSIC)
    house.run(3, "ann")
    house.seat("bob", 1000.0)
    house.run(60, "ann", "bob")
    assert level(house, 1000, 25) == pytest.approx(20 * np.log10(0.3), abs=1)
    assert house.room.anchors[PeerId("bob")].jitter.statistics().concealed == 0


@pytest.mark.parametrize("channels", [1, 2])
def test_faded(channels: int) -> None:
    """Out ends and in begins in silence; what is between is between; both sides are alike."""
    frame = np.full(960 * channels, 20_000, np.int16)
    mix = Advanced(Mix(channels), frame, -5, has_sound=True)
    out, silence, back = (
        faded([mix], channels, way)[0].frame.reshape(960, channels)
        for way in (Fade.OUT, Fade.SILENCE, Fade.IN)
    )
    assert (out[0, 0], back[-1, 0]) == (20_000, 20_000)
    assert not any(quiet.any() for quiet in (out[-240:], silence, back[:144]))
    assert (np.diff(out[:, 0]) <= 0).all()
    assert (np.diff(back[:, 0]) >= 0).all()
    assert (out == out[:, :1]).all()
