import io
import wave

import pytest

from hls.recording.core.wav import HEAD_BYTES, WavFormat, wav_head


def test_python_reads_the_head() -> None:
    """The standard library's reader knows rate, width, channels and length."""
    data = wav_head(WavFormat.PCM, 2, 400) + bytes(400)
    with wave.open(io.BytesIO(data)) as read:
        assert read.getparams()[:4] == (2, 2, 48_000, 100)
        assert read.readframes(100) == bytes(400)


@pytest.mark.parametrize("kind", [WavFormat.ALAW, WavFormat.ULAW])
def test_g711_has_a_byte_a_sample(kind: WavFormat) -> None:
    """8 kHz, mono, and the number of samples where compressed formats have it."""
    head = wav_head(kind, 1, 8000)
    assert len(head) == HEAD_BYTES
    assert head[20] == kind.value
    assert int.from_bytes(head[24:28], "little") == 8000
    assert head[38:50] == b"fact\x04\0\0\0\x40\x1f\0\0"


def test_beyond_4_gib_the_length_is_the_most_there_is() -> None:
    """Readers take what is there."""
    assert wav_head(WavFormat.PCM, 1, 1 << 33)[-4:] == b"\xff" * 4
