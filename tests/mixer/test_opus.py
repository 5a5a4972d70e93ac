"""The door to libopus."""

import ctypes.util
import gc
import importlib.machinery
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mixer import opus
from mixer.core.level import level_dbov
from mixer.core.toc import opus_duration
from mixer.errors import SetupError
from mixer.opus import Application, Decoder, Encoder, OpusError, find_library, version

FRAME = 960


def tone(frames: int, amplitude: float = 10_000, hertz: float = 440) -> NDArray[np.int16]:
    """Return a sine, cut into frames: int16[frames, 960]."""
    phase = 2 * np.pi * hertz * np.arange(frames * FRAME) / 48_000
    return np.rint(amplitude * np.sin(phase)).astype(np.int16).reshape(frames, FRAME)


@pytest.mark.parametrize(
    "encoder",
    [
        Encoder,
        lambda: Encoder(application=Application.VOIP, bitrate_bps=32_000, complexity=5),
        lambda: Encoder(application=Application.AUDIO, bitrate_bps=64_000),
    ],
)
def test_a_tone_comes_back_at_its_level(encoder: Callable[[], Encoder]) -> None:
    """Encoded and decoded, a tone has its level within 1 dB and its frequency."""
    made, decoder = encoder(), Decoder()
    heard = np.concatenate([decoder.decode(made.encode(frame)) for frame in tone(20)])[5 * FRAME :]
    assert abs(level_dbov(heard) - level_dbov(tone(1)[0])) <= 1
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert spectrum.argmax() * 48_000 / len(heard) == pytest.approx(440, abs=4)


def test_stereo_keeps_its_sides_and_mono_hears_both() -> None:
    """A stereo decoder returns two columns; a mono one the sum of both, halved."""
    encoder, stereo, mono = Encoder(channels=2), Decoder(channels=2), Decoder()
    sides = np.stack((tone(10), np.zeros((10, FRAME), np.int16)), axis=2)
    packets = [encoder.encode(frame) for frame in sides]
    left, right = np.concatenate([stereo.decode(packet) for packet in packets])[4 * FRAME :].T
    both = np.concatenate([mono.decode(packet) for packet in packets])[4 * FRAME :]
    assert level_dbov(left) - level_dbov(right) > 30
    assert level_dbov(left) - level_dbov(both) == pytest.approx(6, abs=1)


def test_frames_of_columns_and_of_a_slice_are_encoded_alike() -> None:
    """The encoder takes views as well as whole arrays."""
    frame = tone(1)[0]
    wide = np.stack((frame, frame), axis=1)
    assert Encoder().encode(wide[:, 0]) == Encoder().encode(frame)


def test_concealment_continues_and_fades() -> None:
    """After a tone, concealed frames go on at its level, then decay to background noise."""
    encoder, decoder = Encoder(), Decoder()
    for frame in tone(10):
        decoder.decode(encoder.encode(frame))
    levels = [level_dbov(decoder.conceal()) for _ in range(50)]
    assert abs(levels[0] - level_dbov(tone(1)[0])) <= 3
    assert levels[10] < levels[0] - 10
    assert levels[-1] < levels[0] - 15


def test_fec_brings_a_lost_frame_back() -> None:
    """A packet made for loss carries its predecessor, which beats concealment."""
    encoder = Encoder(application=Application.VOIP, bitrate_bps=32_000, complexity=5)
    encoder.set_fec(enabled=True)
    encoder.set_expected_loss(30)
    sweep = np.concatenate([tone(1, hertz=200 + 20 * n) for n in range(20)])
    packets = [encoder.encode(frame) for frame in sweep]
    whole, mended, guessed = Decoder(), Decoder(), Decoder()
    for decoder in (whole, mended, guessed):
        for packet in packets[:10]:
            decoder.decode(packet)
    truth = whole.decode(packets[10]).astype(np.float64)
    by_fec, by_guess = mended.decode_fec(packets[11]), guessed.conceal()
    assert np.square(by_fec - truth).sum() < 0.5 * np.square(by_guess - truth).sum()


@pytest.mark.parametrize(
    ("configuration", "samples"), [(30, 480), (31, 960), (10, 1920), (11, 2880)]
)
def test_packets_of_any_duration_decode(configuration: int, samples: int) -> None:
    """10, 20, 40 and 60 ms decode to as many samples as their first byte says."""
    packet = bytes([configuration << 3]) + bytes(range(40))
    assert opus_duration(packet) == samples
    assert len(Decoder().decode(packet)) == samples


def test_the_longest_packet_is_120_ms() -> None:
    """Six frames in one packet decode to 5,760 samples, or are refused where less is wanted."""
    packet = bytes([31 << 3 | 3, 6]) + bytes(6 * 10)
    assert len(Decoder().decode(packet)) == 5760
    with pytest.raises(OpusError, match="buffer too small"):
        Decoder().decode(packet, max_samples=960)


@pytest.mark.parametrize("packet", [b"", b"\xfb", b"\xfb\x00", b"\xfb\x3f", b"\xff\xff\xff\xff"])
def test_a_corrupt_packet_is_refused_and_forgotten(packet: bytes) -> None:
    """The error says so in libopus's words, and the next packet decodes."""
    decoder = Decoder()
    with pytest.raises(OpusError):
        decoder.decode(packet)
    assert len(decoder.decode(Encoder().encode(tone(1)[0]))) == FRAME


@pytest.mark.parametrize("samples", [-120, 0, 1, 961, 5880, 2**31])
def test_concealment_of_an_impossible_length_is_refused(samples: int) -> None:
    """Only multiples of 2.5 ms up to 120 ms can be made up."""
    with pytest.raises(OpusError):
        Decoder().conceal(samples)


ONE_DECODER = Decoder()


@given(st.binary(max_size=1500))
@settings(max_examples=200, deadline=None)
def test_random_bytes_decode_or_raise_their_error(packet: bytes) -> None:
    """Whatever arrives, the decoder survives it and goes on."""
    for take in (ONE_DECODER.decode, ONE_DECODER.decode_fec):
        try:
            audio = take(packet)
        except OpusError:
            continue
        assert 0 < len(audio) <= 5760


def test_settings_change_what_comes_out() -> None:
    """Bit rate and DTX take effect; a value libopus refuses raises."""
    encoder = Encoder(application=Application.VOIP)
    frames = np.random.default_rng(1).integers(-5_000, 5_000, (20, FRAME), np.int16)
    large = [len(encoder.encode(frame)) for frame in frames][-1]
    encoder.set_bitrate(12_000)
    encoder.set_complexity(2)
    small = [len(encoder.encode(frame)) for frame in frames][-1]
    encoder.set_dtx(enabled=True)
    silence = [len(encoder.encode(np.zeros(FRAME, np.int16))) for _ in range(40)][-1]
    assert silence <= 2 < small < large
    with pytest.raises(OpusError, match="invalid argument"):
        encoder.set_complexity(11)


def test_a_ceiling_holds_whatever_is_set() -> None:
    """A limit beats the target while it stands, and is forgotten when it is lifted."""
    encoder = Encoder(bitrate_bps=96_000)
    frames = np.random.default_rng(1).integers(-5_000, 5_000, (20, FRAME), np.int16)

    def size() -> float:
        encoder.reset()
        return float(np.mean([len(encoder.encode(frame)) for frame in frames]))

    full = size()
    encoder.limit_bitrate(48_000)
    encoder.set_bitrate(96_000)
    assert size() == pytest.approx(full / 2, rel=0.1)
    twin = encoder.clone()
    twin.limit_bitrate(None)
    assert np.mean([len(twin.encode(frame)) for frame in frames]) == pytest.approx(full, rel=0.05)
    encoder.limit_bitrate(200_000)
    assert size() == full
    encoder.limit_bitrate(None)
    assert size() == full


def test_reset_forgets_the_past() -> None:
    """A reset encoder and decoder do what new ones do."""
    encoder, decoder = Encoder(), Decoder()
    first = encoder.encode(tone(1)[0])
    heard = decoder.decode(first)
    assert encoder.encode(tone(1)[0]) != first
    encoder.reset()
    decoder.reset()
    assert encoder.encode(tone(1)[0]) == first
    np.testing.assert_array_equal(decoder.decode(first), heard)


@pytest.mark.parametrize("make", [Encoder, Decoder])
def test_impossible_channels_are_refused(make: type[Encoder | Decoder]) -> None:
    """Libopus has one or two channels; a failed creation frees nothing."""
    with pytest.raises(OpusError, match="invalid argument"):
        make(channels=3)
    gc.collect()


def test_the_library_is_the_av_wheels() -> None:
    """The one that is found first is the one we measured with."""
    assert "av.libs" in find_library()
    assert version().startswith("libopus")


def test_without_the_wheel_the_systems_library_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """An av built from source carries none."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: f"lib{name}.so.0")
    assert find_library() == "libopus.so.0"


def test_a_wheel_without_its_library_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An av package with no libopus beside it does not count."""
    spec = importlib.machinery.ModuleSpec("av", None, origin=str(tmp_path / "av" / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    monkeypatch.setattr(ctypes.util, "find_library", lambda _: "system")
    assert find_library() == "system"


def test_a_frozen_program_brings_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A one-file binary finds the library where it unpacked itself."""
    (tmp_path / "av.libs").mkdir()
    carried = tmp_path / "av.libs" / "libopus-1234.so.0"
    carried.touch()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(sys, "_MEIPASS", str(tmp_path), raising=False)
    assert find_library() == str(carried)


def test_without_any_library_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody is left with a traceback about a missing file."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(ctypes.util, "find_library", lambda _: None)
    with pytest.raises(SetupError, match=r"pip install av.*apt install libopus0"):
        find_library()


def test_a_library_that_does_not_load_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A broken file is a matter of set-up too."""
    broken = tmp_path / "libopus.so"
    broken.write_bytes(b"not a library")
    monkeypatch.setattr(opus, "find_library", lambda: str(broken))
    with pytest.raises(SetupError, match=r"libopus\.so cannot be loaded"):
        opus._library.__wrapped__()


def test_using_opus_does_not_import_av() -> None:
    """The mixer process starts no PyAV."""
    program = (
        "import sys, numpy, mixer.opus as o;"
        "o.Decoder().decode(o.Encoder().encode(numpy.zeros(960, 'int16')));"
        "print([name for name in sys.modules if name.partition('.')[0] == 'av'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("application", list(Application))
def test_a_clone_goes_on_from_where_it_was(channels: int, application: Application) -> None:
    """Fed the same, both return the same packets; fed something else, neither disturbs the other.

    The clone outlives the encoder it came from.
    """
    encoder = Encoder(channels=channels, application=application, bitrate_bps=48_000)
    frames = np.repeat(tone(20), channels, axis=1)
    for frame in frames[:5]:
        encoder.encode(frame)
    clone, other = encoder.clone(), encoder.clone()
    expected = [encoder.encode(frame) for frame in frames[5:]]
    other.encode(frames[0] * 2)
    del encoder
    gc.collect()
    assert [clone.encode(frame) for frame in frames[5:]] == expected
    assert [other.encode(frame) for frame in frames[5:]] != expected
