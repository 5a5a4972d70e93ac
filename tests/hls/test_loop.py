"""Loops: made of sound files, written, mapped, played."""

import io
import tempfile
import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hls.core.timeline import AAC_SAMPLES
from hls.errors import BadSound
from hls.loop import TOO_LONG, TOO_SHORT, Loop, read_loop, write_loop
from hls.looper import make_loop
from hls.types import LoopSpec
from tests.support import sounds


def wav(sound: NDArray[np.int16], rate: int) -> bytes:
    """Return int16[samples, channels] as a file."""
    body = io.BytesIO()
    with wave.open(body, "wb") as out:
        out.setparams((sound.shape[1], 2, rate, 0, "NONE", ""))
        out.writeframes(sound.astype("<i2").tobytes())
    return body.getvalue()


def made(data: bytes, folder: Path, *, channels: int = 1, lufs: float | None = None) -> Loop:
    """Return the loop of a file."""
    path = folder / "music"
    path.write_bytes(data)
    with tempfile.TemporaryFile() as file:
        make_loop(LoopSpec(str(path), channels, (64_000, 128_000), lufs), file)
        return read_loop(file)


def spectrum_peak(samples: NDArray[np.int16]) -> float:
    """Return the loudest frequency."""
    return float(np.abs(np.fft.rfft(samples.astype(float))).argmax()) * 48_000 / len(samples)


def pcm(loop: Loop) -> NDArray[np.int16]:
    """Return a round of it, interleaved."""
    return np.concatenate([loop.samples(index) for index in range(loop.frames)])


@pytest.mark.parametrize("name", sounds.FORMATS)
def test_formats(name: str, tmp_path: Path) -> None:
    """Whatever people have; what is shorter than ten seconds is laid down several times."""
    loop = made(sounds.encoded(name, 2.0), tmp_path)
    assert loop.frames * AAC_SAMPLES / 48_000 == pytest.approx(10, abs=2.1)
    assert spectrum_peak(pcm(loop)) == pytest.approx(1000, abs=3)


@pytest.mark.parametrize("rate", [8000, 11_025, 44_100, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_rates_and_channels(rate: int, channels: int, tmp_path: Path) -> None:
    """Mono and stereo at any rate become what the room has, at the same pitch."""
    times = np.arange(int(1.5 * rate)) / rate
    left = np.rint(8000 * np.sin(2 * np.pi * 440 * times)).astype(np.int16)
    right = np.rint(8000 * np.sin(2 * np.pi * 880 * times)).astype(np.int16)
    mono = made(wav(left[:, None], rate), tmp_path, channels=channels)
    assert mono.channels == channels
    sides = pcm(mono).reshape(-1, channels).T
    assert [spectrum_peak(side) for side in sides] == pytest.approx([440] * channels, abs=3)
    stereo = made(wav(np.stack((left, right), axis=1), rate), tmp_path, channels=2)
    sides = pcm(stereo).reshape(-1, 2).T
    assert [spectrum_peak(side) for side in sides] == pytest.approx([440, 880], abs=3)


def test_it_goes_round(tmp_path: Path) -> None:
    """Every round is the same, and a form that was not asked for is not there."""
    loop = made(sounds.wav(1.0), tmp_path)
    assert (loop.samples(7) == loop.samples(7 + 3 * loop.frames)).all()
    frame = loop.frame(5, 64_000, 1)
    assert frame is not None
    assert frame == loop.frame(5 + loop.frames, 64_000, 1)
    small, large = (
        sum(len(loop.frame(at, rate, 1) or b"") for at in range(loop.frames))
        for rate in (64_000, 128_000)
    )
    assert 0 < small < large
    assert loop.frame(0, 64_000, 2) is None
    assert loop.frame(0, 96_000, 1) is None


def test_it_is_brought_to_a_loudness(tmp_path: Path) -> None:
    """Quiet or loud, it has the level of the broadcast."""
    levels = [
        np.abs(pcm(made(sounds.wav(1.0, amplitude=loud), tmp_path, lufs=-23.0))).max()
        for loud in (0.02, 0.9)
    ]
    assert levels[0] == pytest.approx(levels[1], rel=0.02)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (sounds.wav(0.5), TOO_SHORT),
        (wav(np.zeros((8000 * 601, 1), np.int16), 8000), TOO_LONG),
        (b"", "no sound file"),
        (b"garbage" * 1000, "no sound file"),
        (b"#EXTM3U\nhttp://127.0.0.1/x\n", "no sound file"),
    ],
)
def test_what_is_refused(data: bytes, sentence: str, tmp_path: Path) -> None:
    """With a sentence that says why."""
    with pytest.raises(BadSound, match=sentence):
        made(data, tmp_path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """It is refused as one that is no sound file is."""
    with tempfile.TemporaryFile() as file, pytest.raises(BadSound):
        make_loop(LoopSpec(str(tmp_path / "none.wav"), 1, (64_000,), None), file)


def test_progress(tmp_path: Path) -> None:
    """Whoever watches is told all the time."""
    path, steps = tmp_path / "music", []
    path.write_bytes(sounds.wav(1.0))
    with tempfile.TemporaryFile() as file:
        make_loop(LoopSpec(str(path), 1, (64_000,), -16.0), file, lambda: steps.append(1))
    assert len(steps) > 3 * 468


def test_a_damaged_loop_is_refused() -> None:
    """Cut anywhere or filled with something else: a sentence, nothing worse."""
    whole = io.BytesIO()
    write_loop(whole, np.zeros((3, AAC_SAMPLES), np.int16), {64_000: [b"a", b"bc", b""]})
    data = whole.getvalue()
    cuts = [data[:size] for size in (0, 3, 15, 17, 30, 2000, len(data) - 8, len(data) - 1)]
    wrong = [b"x" * len(data), data.replace(b"RTLOOP1\n\x03", b"RTLOOP1\n\x00")]
    for one in [*cuts, *wrong]:
        with tempfile.TemporaryFile() as file:
            file.write(one)
            file.flush()
            with pytest.raises(BadSound, match="cannot be read"):
                read_loop(file)
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        loop = read_loop(file)
    assert [loop.frame(at, 64_000, 1) for at in range(4)] == [b"a", b"bc", b"", b"a"]
