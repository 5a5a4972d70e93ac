"""Sound files as frames, with real files and broken ones."""

import wave
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from hls.decoder import FRAME_SAMPLES, MAX_CORRUPT_PACKETS, SoundFile
from hls.errors import BadSound

RATE, HERTZ, SECONDS = 44_100, 500.0, 1.0
CODECS = {
    "wav": "pcm_s16le",
    "flac": "flac",
    "opus": "libopus",
    "mp3": "libmp3lame",
    "m4a": "aac",
}


def sine(rate: int) -> NDArray[np.int16]:
    t = np.arange(round(rate * SECONDS)) / rate
    return np.round(16_000 * np.sin(2 * np.pi * HERTZ * t)).astype(np.int16)


def write(path: Path, *, channels: int = 2, rate: int = RATE) -> Path:
    """Encode a tone, the same in both channels."""
    codec = CODECS[path.suffix[1:]]
    rate = 48_000 if codec == "libopus" else rate
    layout = "stereo" if channels == 2 else "mono"
    with av.open(str(path), "w", format="ogg" if path.suffix == ".opus" else None) as container:
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream), "we named a codec for sound"
        stream.layout = layout
        packed = np.repeat(sine(rate), channels).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=layout)
        frame.sample_rate = rate
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return path


def decode(path: Path) -> NDArray[np.int16]:
    with SoundFile(path) as sound:
        return np.concatenate(list(sound))


def level(pcm: NDArray[np.int16]) -> float:
    """The amplitude of the tone in the middle of what was decoded."""
    middle = pcm[12_000:36_000].astype(np.float64)
    t = np.arange(len(middle)) / 48_000
    return float(2 * np.abs(np.mean(middle * np.exp(-2j * np.pi * HERTZ * t))))


@pytest.mark.parametrize("kind", CODECS)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_file_becomes_frames_of_48_khz_mono(kind: str, channels: int, tmp_path: Path) -> None:
    """Whatever its format, rate and channels: as long, as loud, in frames of 20 ms."""
    path = write(tmp_path / f"tone.{kind}", channels=channels)
    with SoundFile(path) as sound:
        frames = list(sound)
        assert sound.seconds == pytest.approx(SECONDS, abs=0.06)
    assert {(frame.shape, frame.dtype) for frame in frames} == {
        ((FRAME_SAMPLES,), np.dtype(np.int16))
    }
    pcm = np.concatenate(frames)
    assert len(pcm) == pytest.approx(48_000, abs=4 * FRAME_SAMPLES)
    assert level(pcm) == pytest.approx(16_000, rel=0.06)


@pytest.mark.parametrize("channels", [1, 2])
def test_two_channels_are_as_loud_as_the_file(channels: int, tmp_path: Path) -> None:
    """A file of one channel is on both sides what it is, not 3 dB less."""
    path = write(tmp_path / "tone.flac", channels=channels)
    with SoundFile(path, channels=2) as sound:
        pcm = np.concatenate(list(sound.pieces()))
    assert pcm.shape == (len(pcm), 2)
    assert [level(side) for side in pcm.T] == [pytest.approx(16_000, rel=0.01)] * 2


def test_the_last_frame_is_padded(tmp_path: Path) -> None:
    """Half a frame of sound becomes a whole one that ends in silence."""
    path = tmp_path / "short.wav"
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 48_000, 0, "NONE", ""))
        out.writeframes(np.full(FRAME_SAMPLES * 3 // 2, 999, "<i2").tobytes())
    pcm = decode(path)
    assert len(pcm) == 2 * FRAME_SAMPLES
    assert pcm[: FRAME_SAMPLES * 3 // 2].tolist() == [999] * (FRAME_SAMPLES * 3 // 2)
    assert not pcm[FRAME_SAMPLES * 3 // 2 :].any()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.wav", b""),
        ("noise.mp3", np.random.default_rng(1).bytes(65_536)),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:3,\n{tone}\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", b"ffconcat version 1.0\nfile {tone}\n"),
        ("text.wav", b"This is no sound.\n" * 100),
    ],
)
def test_what_is_no_sound_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    """And so is a list that would open other files in our name."""
    tone = write(tmp_path / "tone.wav")
    path = tmp_path / name
    path.write_bytes(content.replace(b"{tone}", str(tone).encode()))
    with pytest.raises(BadSound):
        SoundFile(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """It is a sentence, not an exception of the library."""
    with pytest.raises(BadSound):
        SoundFile(tmp_path / "nothing.wav")


def test_a_film_without_sound_is_refused(tmp_path: Path) -> None:
    """A container of a known kind that holds pictures only."""
    path = tmp_path / "silent.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        assert isinstance(stream, av.VideoStream), "we named a codec for pictures"
        stream.width = stream.height = 32
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    with pytest.raises(BadSound, match="no sound"):
        SoundFile(path)


def test_files_in_a_row(tmp_path: Path) -> None:
    """Where one with other channels, or another rate, goes on in the same file, it is heard too."""
    forms = [(1, 44_100), (2, 44_100), (2, 48_000), (1, 44_100)]
    row = [write(tmp_path / "tone.mp3", channels=n, rate=rate).read_bytes() for n, rate in forms]
    (tmp_path / "row.mp3").write_bytes(b"".join(row))
    pcm = decode(tmp_path / "row.mp3")
    assert len(pcm) == pytest.approx(4 * 48_000, abs=12_000)
    levels = [level(piece) for piece in np.array_split(pcm, 4)]
    assert levels == [pytest.approx(16_000, rel=0.06)] * 4


def test_more_channels_than_anybody_knows(tmp_path: Path) -> None:
    """A file of many tracks is refused with a sentence, where it is played."""
    path = tmp_path / "desk.wav"
    with wave.open(str(path), "wb") as out:
        out.setparams((32, 2, 48_000, 0, "NONE", ""))
        out.writeframes(bytes(32 * 2 * 4800))
    with SoundFile(path) as sound, pytest.raises(BadSound, match="channels"):
        next(iter(sound))


def test_damage_costs_what_is_damaged(tmp_path: Path) -> None:
    """A file with broken packets is played as far as it goes, and one cut short too."""
    whole = write(tmp_path / "tone.mp3").read_bytes()
    cut, broken = tmp_path / "cut.mp3", tmp_path / "broken.mp3"
    cut.write_bytes(whole[: len(whole) // 2])
    damaged = bytearray(whole)
    for at in range(2000, len(damaged), 997):
        damaged[at] ^= 0xFF
    broken.write_bytes(damaged)
    assert 0.3 * 48_000 < len(decode(cut)) < 0.7 * 48_000
    assert len(decode(broken)) > 0.3 * 48_000


def test_a_file_of_damage_alone_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After MAX_CORRUPT_PACKETS in a row nobody waits for a good one."""
    path = write(tmp_path / "tone.wav")
    with SoundFile(path) as sound:
        endless = [_Undecodable() for _ in range(2 * MAX_CORRUPT_PACKETS)]
        waiting = iter(endless)
        monkeypatch.setattr(sound, "_packets", lambda: waiting)
        assert list(sound) == []
        assert len(list(waiting)) == MAX_CORRUPT_PACKETS - 1


class _Undecodable:
    def decode(self) -> list[av.AudioFrame]:
        raise av.InvalidDataError(1, "damaged")
