"""The obvious alternative: a mixer of stock aiortc parts, one RTCPeerConnection per person.

Each track is decoded by aiortc, each person's mix-minus is made on their own track's clock and
encoded by aiortc. This is what the library's examples lead to.
"""

import asyncio
import fractions
from collections import defaultdict, deque

import aioice.ice
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from av import AudioFrame, AudioResampler

from bench.lines import serve_lines

FRAME = 960

# aioice leaves the loopback address out, which is where the clients of a bench are.
aioice.ice.get_host_addresses = lambda **_: ["127.0.0.1"]


class Voice:
    """What one person said and nobody has mixed yet."""

    def __init__(self) -> None:
        self.frames: deque[np.ndarray] = deque(maxlen=10)
        self.now = np.zeros(FRAME, np.int32)

    async def listen(self, track: MediaStreamTrack) -> None:
        """Read the track for ever."""
        resampler = AudioResampler(format="s16", layout="mono", rate=48_000)
        while True:
            heard = await track.recv()
            assert isinstance(heard, AudioFrame), "an audio track"
            for frame in resampler.resample(heard):
                self.frames.append(frame.to_ndarray()[0].astype(np.int32))


class MixTrack(MediaStreamTrack):
    """The room without one voice."""

    kind = "audio"

    def __init__(self, room: dict[str, Voice], own: str) -> None:
        super().__init__()
        self._room, self._own, self._number = room, own, 0
        self._start: float | None = None

    async def recv(self) -> AudioFrame:
        """Mix the next 20 ms when their time has come."""
        loop = asyncio.get_running_loop()
        if self._start is None:
            self._start = loop.time()
        await asyncio.sleep(max(0.0, self._start + self._number * 0.02 - loop.time()))
        voice = self._room[self._own]
        voice.now = voice.frames.popleft() if voice.frames else np.zeros(FRAME, np.int32)
        total = sum(
            (other.now for peer, other in self._room.items() if peer != self._own),
            np.zeros(FRAME, np.int32),
        )
        pcm = np.clip(total, -32768, 32767).astype(np.int16)
        frame = AudioFrame.from_ndarray(pcm[np.newaxis], format="s16", layout="mono")
        frame.sample_rate, frame.pts = 48_000, self._number * FRAME
        frame.time_base = fractions.Fraction(1, 48_000)
        self._number += 1
        return frame


async def main() -> None:
    """Serve until standard input ends."""
    rooms: dict[str, dict[str, Voice]] = defaultdict(dict)
    kept: set[object] = set()

    async def answer(room: str, peer: str, sdp: str) -> str:
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        voice = rooms[room][peer] = Voice()
        connection.on("track", lambda track: kept.add(asyncio.create_task(voice.listen(track))))
        connection.addTrack(MixTrack(rooms[room], peer))
        await connection.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        kept.add(connection)
        return str(connection.localDescription.sdp)

    def open_rooms(count: int) -> None:
        for number in range(count):
            rooms[f"idle-{number}"] = {}

    await serve_lines(answer, open_rooms)


if __name__ == "__main__":
    asyncio.run(main())
