"""Sound files for tests: a tone in the formats people have, and files that mean harm."""

import io
import struct
import wave

import av
import numpy as np

from tests.support.webrtc_client import RATE, tone

# File name → codec; the container follows from the name.
FORMATS = {
    "tone.wav": "pcm_s16le",
    "tone.mp3": "libmp3lame",
    "tone.ogg": "libopus",
    "tone.flac": "flac",
    "tone.m4a": "aac",
}


def wav(seconds: float, hertz: float = 1000, amplitude: float = 0.3) -> bytes:
    """Return a WAV of a tone: 16 bits, mono, 48 kHz."""
    source = tone(hertz, amplitude)
    pcm = np.concatenate([source(number) for number in range(round(50 * seconds))])
    body = io.BytesIO()
    with wave.open(body, "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        out.writeframes(pcm.astype("<i2").tobytes())
    return body.getvalue()


def encoded(name: str, seconds: float, hertz: float = 1000) -> bytes:
    """Return a file of one of FORMATS."""
    body = io.BytesIO()
    with av.open(body, "w", format="ipod" if name.endswith("m4a") else name[5:]) as out:
        stream = out.add_stream(FORMATS[name], rate=RATE)
        assert isinstance(stream, av.AudioStream), "these are codecs of sound"
        stream.layout = "mono"
        source = tone(hertz)
        for number in range(round(50 * seconds)):
            frame = av.AudioFrame.from_ndarray(source(number)[np.newaxis], "s16", "mono")
            frame.sample_rate, frame.pts = RATE, number * len(source(0))
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    return body.getvalue()


def endless_wav() -> bytes:
    """Return a WAV that claims four gigabytes and has a second."""
    whole = bytearray(wav(1.0))
    struct.pack_into("<I", whole, 40, 0xFFFFFFF0)
    return bytes(whole)


def bomb() -> bytes:
    """Return a WAV of 48 kB that claims a sample a second: it plays for six hours."""
    whole = bytearray(wav(0.5))
    struct.pack_into("<I", whole, 24, 1)
    return bytes(whole)


def damaged(name: str, seed: int) -> bytes:
    """Return a file of one of FORMATS in which one byte of fifty is another."""
    whole = np.frombuffer(encoded(name, 1.0), np.uint8).copy()
    rng = np.random.default_rng(seed)
    places = rng.integers(0, len(whole), len(whole) // 50)
    whole[places] = rng.integers(0, 256, len(places))
    return whole.tobytes()


HOSTILE = {
    "empty": b"\0",
    "text": b"I am no sound, whatever my name says.\n" * 100,
    "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n",
    "concat": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "noise": np.random.default_rng(7).bytes(100_000),
    "head alone": wav(1.0)[:44],
}
