"""A WebRTC client made of aiortc: sends a tone, keeps what it hears."""

import asyncio
import contextlib
import fractions
from collections.abc import AsyncIterator, Callable

import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from av import AudioFrame, AudioResampler
from numpy.typing import NDArray

RATE = 48_000
FRAME = 960

Pcm = NDArray[np.int16]


def tone(hertz: float, amplitude: float = 0.3) -> Callable[[int], Pcm]:
    """Return a source: frame number → int16[960] of a sine."""

    def frame(number: int) -> Pcm:
        t = (np.arange(FRAME) + number * FRAME) / RATE
        return np.round(amplitude * 32767 * np.sin(2 * np.pi * hertz * t)).astype(np.int16)

    return frame


def silence(_number: int) -> Pcm:
    """A source of digital silence."""
    return np.zeros(FRAME, np.int16)


class SourceTrack(MediaStreamTrack):
    """An audio track that plays a source, paced by the loop's clock."""

    kind = "audio"

    def __init__(self, source: Callable[[int], Pcm]) -> None:
        super().__init__()
        self.source = source
        self._number = 0
        self._start: float | None = None

    async def recv(self) -> AudioFrame:
        """Return the next frame when its time has come."""
        loop = asyncio.get_running_loop()
        if self._start is None:
            self._start = loop.time()
        await asyncio.sleep(max(0.0, self._start + self._number * FRAME / RATE - loop.time()))
        # Stereo, because aiortc's encoder turns mono into stereo 3 dB below.
        frame = AudioFrame.from_ndarray(
            np.repeat(self.source(self._number), 2)[np.newaxis], format="s16", layout="stereo"
        )
        frame.sample_rate = RATE
        frame.pts = self._number * FRAME
        frame.time_base = fractions.Fraction(1, RATE)
        self._number += 1
        return frame


class WebRtcClient:
    """One RTCPeerConnection with a source track; `heard` is all it received (mono, 48 kHz)."""

    def __init__(self, source: Callable[[int], Pcm] = silence) -> None:
        self.track = SourceTrack(source)
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.connection.addTrack(self.track)
        self._frames: list[Pcm] = []
        self._arrived = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self.connection.on("track", self._start_reading)

    def _start_reading(self, track: MediaStreamTrack) -> None:
        self._reader = asyncio.create_task(self._read(track), name="client-reader")

    async def _read(self, track: MediaStreamTrack) -> None:
        resampler = AudioResampler(format="s16", layout="mono", rate=RATE)
        with contextlib.suppress(Exception):  # the track ends with MediaStreamError
            while True:
                frame = await track.recv()
                assert isinstance(frame, AudioFrame), "we asked for audio"
                for mono in resampler.resample(frame):
                    self._frames.append(mono.to_ndarray()[0])
                self._arrived.set()

    @property
    def heard(self) -> Pcm:
        """Everything received so far."""
        return np.concatenate(self._frames) if self._frames else np.zeros(0, np.int16)

    async def offer(self) -> str:
        """Return an SDP offer with all candidates."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return str(self.connection.localDescription.sdp)

    async def accept(self, answer: str) -> None:
        """Take the server's answer and connect."""
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def hear(self, seconds: float, *, skip: float = 0.0) -> Pcm:
        """Wait for `seconds` of audio that arrive from now on, after `skip` more of it."""
        start = len(self.heard) + int(skip * RATE)
        end = start + int(seconds * RATE)
        while len(self.heard) < end:
            self._arrived.clear()
            await self._arrived.wait()
        return self.heard[start:end]

    async def close(self) -> None:
        """End the connection."""
        await self.connection.close()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)


@contextlib.asynccontextmanager
async def client(source: Callable[[int], Pcm] = silence) -> AsyncIterator[WebRtcClient]:
    """A client that is closed at the end."""
    made = WebRtcClient(source)
    try:
        yield made
    finally:
        await made.close()


def level_db(pcm: Pcm, hertz: float) -> float:
    """Return the level of one frequency in dB below a full-scale sine (Hann window)."""
    window = np.hanning(len(pcm))
    t = np.arange(len(pcm)) / RATE
    amplitude = 2 * np.abs(np.sum(pcm * window * np.exp(-2j * np.pi * hertz * t))) / window.sum()
    return float(20 * np.log10(max(amplitude, 1e-3) / 32767))
