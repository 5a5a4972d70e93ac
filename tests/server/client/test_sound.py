"""Sound in and out of files."""

import wave
from pathlib import Path

import numpy as np
import pytest

from server.client.errors import ClientError
from server.client.sound import RATE, SILENT_DB, Player, Recorder, level_db

FULL = np.full(960, 32767, np.int16)


@pytest.fixture
def ramp(tmp_path: Path) -> Path:
    """A file of two frames and a half that never repeats."""
    path = tmp_path / "ramp.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.arange(2400, dtype="<i2").tobytes())
    return path


def test_level() -> None:
    """A full square wave is 0 dB, half of it -6, nothing SILENT_DB."""
    assert level_db(FULL) == pytest.approx(0, abs=0.01)
    assert level_db(FULL // 2) == pytest.approx(-6.02, abs=0.01)
    assert level_db(FULL * 0) == level_db(FULL[:0]) == SILENT_DB


def test_player(ramp: Path) -> None:
    """The file comes in frames, then silence; `is_over` says so."""
    player = Player(ramp)
    frames = [player.next() for _ in range(4)]
    player.close()
    assert np.array_equal(np.concatenate(frames)[:2400], np.arange(2400))
    assert player.is_over
    assert not np.any(frames[-1])


def test_loop(ramp: Path) -> None:
    """In a loop it begins anew, and is never over."""
    player = Player(ramp, loop=True)
    heads = [int(player.next()[0]) for _ in range(9)]
    player.close()
    assert heads[3:6] == heads[:3] == heads[6:]
    assert not player.is_over


def test_no_file(tmp_path: Path) -> None:
    """Silence without a file; one that is not there or no sound is named."""
    assert Player(None).is_over
    assert not np.any(Player(None).next())
    (tmp_path / "x.wav").write_text("no sound")
    for name, why in (("y.wav", "no file"), ("x.wav", "sound")):
        with pytest.raises(ClientError, match=why):
            Player(tmp_path / name)


def test_recorder(tmp_path: Path) -> None:
    """What is heard is in the file, in its channels, and measured."""
    path = tmp_path / "out.wav"
    with Recorder(path, channels=2) as recorder:
        recorder.write(np.repeat(FULL, 2))
        recorder.write(np.zeros(1920, np.int16))
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (2, RATE, 1920)
    assert recorder.seconds == 0.04
    assert (recorder.level_db, round(recorder.loudest_db, 1)) == (SILENT_DB, 0.0)


def test_limit() -> None:
    """What comes after the limit is left out, to the sample."""
    with Recorder(None, limit_s=0.03) as recorder:
        assert not recorder.is_full
        for _ in range(3):
            recorder.write(FULL)
    assert (recorder.is_full, recorder.seconds) == (True, 0.03)


def test_unwritable(tmp_path: Path) -> None:
    """A file that cannot be written is named before anything is heard."""
    with pytest.raises(ClientError, match="cannot be written"):
        Recorder(tmp_path / "nowhere" / "x.wav")
