"""Mixing, limiting, encoding and decoding 20 ms."""

import itertools
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.material import encoder, make_clip, speech
from bench.settings import Uplink
from mixer.core.limiter import LimiterState, limit
from mixer.core.matrix import Matrix
from mixer.core.stretch import lengthen, shorten
from mixer.opus import Application, Decoder, Encoder

FRAMES = speech()[: 960 * 300].reshape(-1, 960)
PACKETS = make_clip(FRAMES.reshape(-1), encoder(Uplink())).packets
MIDDLE = 40  # of the first word


@pytest.mark.parametrize("voices", [2, 3, 10, 50])
def test_mix_minus(benchmark: BenchmarkFixture, voices: int) -> None:
    """Everybody's sum and each one's sum without themselves."""
    gains = np.vstack((np.ones(voices), 1 - np.eye(voices))).astype(np.float32)
    benchmark(Matrix(gains).mix, np.stack([FRAMES[MIDDLE + index] for index in range(voices)]))


@pytest.mark.parametrize("voices", [3, 10])
def test_personal_gains(benchmark: BenchmarkFixture, voices: int) -> None:
    """A mix of their own for everybody, each voice at its own gain."""
    gains = np.random.default_rng(1).random((voices, voices)).astype(np.float32)
    benchmark(Matrix(gains).mix, np.stack([FRAMES[MIDDLE + index] for index in range(voices)]))


@pytest.mark.parametrize("gain", [1, 8], ids=["quiet", "loud"])
@pytest.mark.parametrize("mixes", [1, 4, 20])
def test_limit(benchmark: BenchmarkFixture, mixes: int, gain: int) -> None:
    """The limiter over rows; loud ones are above full scale."""
    rows = np.stack([FRAMES[MIDDLE + index].astype(np.int32) * gain for index in range(mixes)])
    states = [LimiterState() for _ in range(mixes)]
    benchmark(limit, rows, states)


@pytest.mark.parametrize("complexity", [0, 3, 5, 8, 10])
@pytest.mark.parametrize("application", [Application.RESTRICTED_LOWDELAY, Application.VOIP])
def test_encode(benchmark: Any, application: Application, complexity: int) -> None:
    """A frame of speech: CELT at 96 kb/s, VOIP at 32 kb/s."""
    bitrate = 32_000 if application is Application.VOIP else 96_000
    made = Encoder(application=application, bitrate_bps=bitrate, complexity=complexity)
    frames = itertools.cycle(FRAMES)
    benchmark.pedantic(lambda: made.encode(next(frames)), rounds=1000, warmup_rounds=20)


def test_decode(benchmark: Any) -> None:
    """A packet of speech as browsers send it."""
    decoder = Decoder()
    packets = itertools.cycle(PACKETS)
    benchmark.pedantic(lambda: decoder.decode(next(packets)), rounds=1000, warmup_rounds=20)


def test_conceal(benchmark: BenchmarkFixture) -> None:
    """A lost packet between others."""
    decoder = Decoder()
    for packet in PACKETS[:MIDDLE]:
        decoder.decode(packet)
    benchmark(decoder.conceal)


@pytest.mark.parametrize("channels", [1, 2])
def test_shorten(benchmark: BenchmarkFixture, channels: int) -> None:
    """A period left out of a voice; only while there is too much delay."""
    pcm = np.stack([FRAMES[MIDDLE : MIDDLE + 2].reshape(-1)] * channels, axis=1)
    benchmark(shorten, pcm[:, 0] if channels == 1 else pcm)


@pytest.mark.parametrize("channels", [1, 2])
def test_lengthen(benchmark: BenchmarkFixture, channels: int) -> None:
    """A period said again; only while there is too little delay."""
    pcm = np.stack([FRAMES[MIDDLE : MIDDLE + 2].reshape(-1)] * channels, axis=1)
    before, after = (pcm[:960, 0], pcm[960:, 0]) if channels == 1 else (pcm[:960], pcm[960:])
    benchmark(lengthen, before, after)
