import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hls.decoder import SoundFile
from hls.recording.core.manifest import FileKind, Manifest, RecordedFile
from hls.types import MixFormat
from hls.upload.listening import MEDIA_NAME, PLAYLIST_NAME, make_listening_copy
from tests.hls.listener import level_db
from tests.support.sounds import wav


def manifest(*files: tuple[str, float]) -> Manifest:
    found = Manifest("blue", "monday", 1_700_000_000.0, MixFormat.WAV, tracks=False, exact=False)
    found.files = [
        RecordedFile(path, FileKind.MIX, number + 1, offset_s)
        for number, (path, offset_s) in enumerate(files)
    ]
    return found


def samples(path: Path) -> NDArray[np.float32]:
    with SoundFile(path) as sound:
        return np.concatenate(list(sound)).astype(np.float32) / np.float32(32768)


def test_as_a_file_and_as_hls(tmp_path: Path) -> None:
    """The copy plays as a file and by its playlist, and has takes where they belong."""
    for name in ("mix.wav", "mix.take2.wav"):
        (tmp_path / name).write_bytes(wav(10, amplitude=0.25))
    copy = tmp_path / MEDIA_NAME
    text = make_listening_copy(tmp_path, manifest(("mix.wav", 0), ("mix.take2.wav", 25)), copy)
    assert text is not None
    (tmp_path / PLAYLIST_NAME).write_text(text)
    heard = samples(copy)
    assert abs(heard.size / 48_000 - 35) < 0.05
    tone_db = level_db(samples(tmp_path / "mix.wav"))
    for begin, end, level in ((0.1, 9.9, tone_db), (10.1, 24.9, -110), (25.1, 34.9, tone_db)):
        part = heard[round(begin * 48_000) : round(end * 48_000)]
        assert abs(max(-110, level_db(part)) - level) < 0.5
    played = tmp_path / "played.wav"
    subprocess.run(
        [*("ffmpeg", "-v", "error", "-xerror", "-i", tmp_path / PLAYLIST_NAME), played], check=True
    )
    by_hls = samples(played)
    assert abs(by_hls.size - heard.size) < 2048
    assert level_db(by_hls[: 48_000 * 34] - heard[: 48_000 * 34]) < -60


def test_nothing_to_hear(tmp_path: Path) -> None:
    """A recording without a mix has no copy; one that is empty has an empty one."""
    copy = tmp_path / MEDIA_NAME
    assert make_listening_copy(tmp_path, manifest(), copy) is None
    assert make_listening_copy(tmp_path, manifest(("mix.wav", 0)), copy) is None
    assert make_listening_copy(tmp_path, manifest(("mix.wav", 1e9)), copy) is None
    assert not copy.exists()
