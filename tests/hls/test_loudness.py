"""The loudness that leaves the encoder, by two other meters: pyloudnorm and FFmpeg's ebur128."""

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyloudnorm
import pytest
from numpy.typing import NDArray

from hls.errors import BadSpec
from hls.pipeline import Broadcaster
from hls.types import BroadcastSpec, RenditionSpec
from tests.hls.listener import hear, spec

BASE, SECONDS = 1000, 26
METER = pyloudnorm.Meter(48_000)


def levelled(*, lufs: float | None = -16.0, version: int = 1, channels: int = 1) -> BroadcastSpec:
    """Return a room that is brought to a loudness, at the lower of the usual bit rates."""
    return replace(
        spec(version=version),
        loudness_lufs=lufs,
        window_s=34.0,
        channels=channels,
        renditions=(RenditionSpec("64k", 64_000),),
    )


def speech(level_lufs: float) -> NDArray[np.int16]:
    """Return sentences of syllables with pauses, int16[ticks, 960]; what is too loud is cut off."""
    rng = np.random.default_rng(5)
    pieces: list[NDArray[np.float64]] = []
    while sum(map(len, pieces)) < SECONDS * 48_000:
        length = int(rng.uniform(0.12, 0.3) * 48_000)
        times = np.arange(length) / 48_000
        pitch, formant = rng.uniform(90, 220), rng.uniform(400, 2500)
        voice = np.zeros(length)
        for number in range(1, 20):
            weight = 1 / (1 + ((number * pitch - formant) / 300) ** 2) + 0.05
            phase = rng.uniform(0, 2 * np.pi)
            voice += weight * np.cos(2 * np.pi * number * pitch * times + phase)
        pieces.append(voice * np.hanning(length) ** 0.5 * rng.uniform(0.4, 1))
        pieces.append(np.zeros(int((0.6 if len(pieces) % 14 == 13 else 0.03) * 48_000)))
    sound = np.concatenate(pieces)[: SECONDS * 48_000]
    sound *= 10 ** ((level_lufs - METER.integrated_loudness(sound)) / 20)
    whole = np.clip(np.rint(sound * 32_767), -32_768, 32_767).astype(np.int16)
    return whole.reshape(-1, 960)


def broadcast(wanted: BroadcastSpec, sound: NDArray[np.int16], seen: int = 2) -> Broadcaster:
    """Return a broadcaster that heard it as it comes, each tick `seen` ticks after its time."""
    broadcaster = Broadcaster()
    broadcaster.apply(wanted, BASE)
    for offset, tick in enumerate(sound):
        broadcaster.write("blue", "floor", BASE + offset, tick, BASE + offset + seen)
    return broadcaster


def true_peak_dbtp(sound: NDArray[np.float32]) -> float:
    """Ask FFmpeg."""
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-f", "f32le", "-ac", "1", "-ar", "48000"]
    command += ["-i", "-", "-af", "ebur128=peak=true", "-f", "null", "-"]
    done = subprocess.run(command, input=sound.tobytes(), capture_output=True, check=True)
    found = re.findall(r"True peak:\s+Peak:\s+(\S+) dBFS", done.stderr.decode())
    return float(found[-1])


@pytest.mark.e2e
@pytest.mark.timeout(60)
@pytest.mark.parametrize("level_lufs", [-35, -23, -10])
def test_by_other_meters(level_lufs: float) -> None:
    """After ten seconds it is within 1 LU of the target, and no true peak is above -1 dBTP."""
    sound = speech(level_lufs)
    broadcaster, now = broadcast(levelled(), sound), BASE + len(sound) + 10
    playlist, heard = hear(broadcaster, now)
    begins = (5 - playlist.first_msn) * 92_160
    heard = heard[begins : begins + SECONDS * 48_000]
    later = heard[10 * 48_000 :]
    assert METER.integrated_loudness(later.astype(np.float64)) == pytest.approx(-16, abs=1)
    assert true_peak_dbtp(heard) <= -1
    ours = broadcaster.loudness("blue", now)["floor"]
    theirs = METER.integrated_loudness(heard.astype(np.float64))
    assert ours.integrated_lufs == pytest.approx(theirs, abs=0.5)
    assert ours.true_peak_dbtp <= -2


def peaky(kind: str) -> NDArray[np.int16]:
    """Return three seconds at full scale of what encoders cannot help raising the peaks of."""
    times, rng = np.arange(3 * 48_000) / 48_000, np.random.default_rng(7)
    sounds: dict[str, Callable[[], NDArray[np.float64]]] = {
        "square": lambda: np.sign(np.sin(2 * np.pi * 60 * times + 0.1)),
        "high square": lambda: np.sign(np.sin(2 * np.pi * 7013 * times + 0.1)),
        "coins": lambda: rng.choice([-1.0, 1.0], times.size),
        "noise": lambda: rng.standard_normal(times.size),
        "clicks": lambda: (np.arange(times.size) % 4801 < 3).astype(np.float64),
        "buzz": lambda: (np.arange(times.size) % 97 < 1).astype(np.float64),
    }
    sound = np.clip(sounds[kind](), -1, 1) * 32_767
    whole: NDArray[np.int16] = np.rint(sound).astype(np.int16)
    return whole.reshape(-1, 960)


@pytest.mark.e2e
@pytest.mark.parametrize("kind", ["square", "high square", "coins", "noise", "clicks", "buzz"])
@pytest.mark.parametrize("kbps", [32, 64, 128])
def test_peaky_sound(kind: str, kbps: int) -> None:
    """No true peak is above -1 dBTP from the first frame on, by FFmpeg's meter, whatever comes."""
    sound = peaky(kind)
    spec = replace(levelled(), renditions=(RenditionSpec("only", 1000 * kbps),))
    _, heard = hear(broadcast(spec, sound), BASE + len(sound) + 100)
    assert np.abs(heard).max() > 0.1
    assert true_peak_dbtp(heard) <= -1


def test_nothing_moves() -> None:
    """What is heard is where it was without levelling, to the sample."""
    sound = speech(-23)[:400]
    now = BASE + len(sound) + 10
    _, plain = hear(broadcast(levelled(lufs=None), sound), now)
    _, made = hear(broadcast(levelled(), sound), now)
    _, batch = hear(broadcast(levelled(), sound, seen=0), now)
    middle = slice(-5 * 48_000, -2 * 48_000)
    lags = range(-20, 21)
    match = [float(np.dot(np.roll(made, lag)[middle], plain[middle])) for lag in lags]
    assert lags[int(np.argmax(match))] == 0
    assert len(plain) == len(made) == len(batch)


def test_from_stereo_to_mono() -> None:
    """What goes on in one channel has the loudness of one, by another meter too."""
    wanted, sound = replace(levelled(channels=2), window_s=8.0), speech(-23)
    broadcaster, now = broadcast(wanted, sound[:100]), BASE + len(sound) + 10
    broadcaster.apply(replace(wanted, version=2, channels=1), BASE + 100)
    for offset, tick in enumerate(sound[100:], 100):
        broadcaster.write("blue", "floor", BASE + offset, tick, BASE + offset + 2)
    _, heard = hear(broadcaster, now)
    theirs = METER.integrated_loudness(heard.astype(np.float64))
    assert theirs == pytest.approx(-16, abs=1)
    assert broadcaster.loudness("blue", now)["floor"].integrated_lufs == pytest.approx(-16, abs=1)


def test_silence() -> None:
    """It stays silent, and is not even encoded."""
    broadcaster = broadcast(levelled(), np.zeros((400, 960), np.int16))
    assert broadcaster.statistics()["segments_held"] == 0
    reading = broadcaster.loudness("blue", BASE + 400)["floor"]
    assert (reading.momentary_lufs, reading.true_peak_dbtp, reading.gain_db) == (-120, -120, 0)
    _, heard = hear(broadcaster, BASE + 400)
    assert not heard.any()


def test_turned_on_and_off() -> None:
    """Another target, or none, holds from the next frame on; the reading goes with it."""
    broadcaster, sound = Broadcaster(), speech(-23)
    broadcaster.apply(levelled(lufs=None), BASE)
    assert broadcaster.loudness("blue", BASE) == broadcaster.loudness("none", BASE) == {}
    for version, (lufs, gain_db) in enumerate([(-16.0, 7.0), (-23.0, 0.0)], 2):
        broadcaster.apply(levelled(lufs=lufs, version=version), BASE)
        first = BASE + 500 * (version - 2)
        for offset, tick in enumerate(sound[:500]):
            broadcaster.write("blue", "floor", first + offset, tick)
        reading = broadcaster.loudness("blue", first + 500)["floor"]
        assert reading.gain_db == pytest.approx(gain_db, abs=2)
    assert broadcaster.statistics()["frames_limited_total"] > 0
    broadcaster.apply(levelled(lufs=None, version=9), BASE + 1000)
    assert broadcaster.loudness("blue", BASE + 1000) == {}


@pytest.mark.parametrize("lufs", [-41.0, -8.0, float("nan")])
def test_refused(lufs: float) -> None:
    """A loudness that nothing could be brought to is refused."""
    with pytest.raises(BadSpec, match="loudness"):
        Broadcaster().apply(levelled(lufs=lufs), BASE)
