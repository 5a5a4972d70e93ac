"""What the clients say: speech, room noise and markers, as PCM and as ready-made Opus packets."""

import subprocess
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchMistake
from bench.settings import Uplink
from mixer.core.red import pack_red
from mixer.opus import Application, Encoder
from mixer.types import FRAME_SAMPLES, SAMPLE_RATE

Pcm = NDArray[np.int16]

NOISE_DBOV = -65
SPEECH = (
    "The quick brown fox jumps over the lazy dog. She sells sea shells by the sea shore. "
    "Each person hears everybody but themselves, and the rain in Spain stays in the plain."
)


@dataclass(frozen=True, slots=True)
class Clip:
    """Ready-made packets, 20 ms each, with their RFC 6464 levels (dBov). b"" is not sent (DTX).

    They are Opus, or redundant (RFC 2198) if `is_red`.
    """

    packets: Sequence[bytes]
    levels: Sequence[int]
    is_red: bool = False


def speech() -> Pcm:
    """Return two sentences of synthetic speech, mono 48 kHz, peak -6 dBFS.

    Raises:
        BenchMistake: espeak-ng or sox is missing.
    """
    with tempfile.TemporaryDirectory() as folder:
        spoken, out = Path(folder) / "spoken.wav", Path(folder) / "speech.wav"
        try:
            subprocess.run(["espeak-ng", "-w", spoken, SPEECH], check=True)
            subprocess.run(
                ["sox", spoken, "-r", "48000", "-c", "1", out, "gain", "-n", "-6"], check=True
            )
        except FileNotFoundError as error:
            raise BenchMistake(
                f"{error.filename} was not found: apt install espeak-ng sox"
            ) from error
        with wave.open(str(out)) as file:
            return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def room_noise(seconds: float, *, level_dbov: float = NOISE_DBOV, seed: int = 1) -> Pcm:
    """Return white noise of an RMS level."""
    noise = np.random.default_rng(seed).standard_normal(int(SAMPLE_RATE * seconds))
    return (noise * 32768 * 10 ** (level_dbov / 20)).astype(np.int16)


def encoder(uplink: Uplink, *, expected_loss: int = 0) -> Encoder:
    """Return an encoder as a browser's: VOIP, FEC weighed by the loss it has been told of."""
    made = Encoder(
        application=Application.VOIP, bitrate_bps=uplink.bitrate_bps, complexity=uplink.complexity
    )
    made.set_fec(enabled=uplink.fec)
    made.set_expected_loss(expected_loss)
    return made


def make_clip(pcm: Pcm, encode: Encoder) -> Clip:
    """Encode mono 48 kHz PCM; what is left of the last 20 ms is dropped."""
    frames = pcm[: len(pcm) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    power = np.mean((frames / 32768.0) ** 2, axis=1)
    levels = np.clip(np.round(10 * np.log10(np.maximum(power, 1e-13))), -127, 0).astype(int)
    return Clip([encode.encode(frame) for frame in frames], levels.tolist())


def with_red(clip: Clip, payload_type: int) -> Clip:
    """Return the clip as Chrome sends it where redundancy was agreed: each frame with the last.

    The first follows upon the last: clips are played round and round.
    """
    packets = clip.packets
    packed = [
        pack_red(payload_type, packet, [(FRAME_SAMPLES, packets[number - 1])])
        for number, packet in enumerate(packets)
    ]
    return Clip(packed, clip.levels, is_red=True)


def muted_clip(uplink: Uplink) -> Clip:
    """Return what a muted browser sends: digital silence, level -127, every 20 ms."""
    return make_clip(np.zeros(SAMPLE_RATE, np.int16), encoder(uplink))


def dtx_clip(uplink: Uplink) -> Clip:
    """Return room noise with DTX on: a packet now and then, nothing in between."""
    made = encoder(uplink)
    made.set_dtx(enabled=True)
    clip = make_clip(np.zeros(SAMPLE_RATE * 8, np.int16), made)
    # libopus says "send nothing" by packets of up to two bytes; the first second is its run-up.
    kept = [packet if len(packet) > 2 else b"" for packet in clip.packets]
    return Clip(kept[100:], clip.levels[100:])


def chirp(seconds: float = 0.08, *, rising: bool = True, level_dbov: float = -12) -> Pcm:
    """Return a sweep between 300 and 3,400 Hz, its ends ramped over 2 ms."""
    count = int(seconds * SAMPLE_RATE)
    t = np.arange(count) / SAMPLE_RATE
    low, high = (300, 3400) if rising else (3400, 300)
    sweep = np.sin(2 * np.pi * (low * t + (high - low) * t**2 / (2 * seconds)))
    ramp = np.minimum(1, np.minimum(np.arange(count), np.arange(count)[::-1]) / 96)
    made: Pcm = (sweep * ramp * np.sqrt(2) * 32768 * 10 ** (level_dbov / 20)).astype(np.int16)
    return made
