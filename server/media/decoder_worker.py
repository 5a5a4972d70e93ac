"""A decoder process: one sound file in, frames out; what a file does to it ends with it."""

import os
import resource
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hls.decoder import SoundFile
from hls.errors import BadSound
from mixer.types import Int16Frame
from server.media import wire, worker, worker_log
from server.rpc.codec import Notification, encode
from server.rpc.framing import FrameKind, frame_head

CHUNK_FRAMES = 5  # 100 ms: what a player begins with
STEP_S = 10  # without a frame: a file that needs longer for one is not worth waiting for
NICENESS = 10  # the mixers go first
LIMITS = {
    resource.RLIMIT_CPU: 600,  # 30 hours of MP3, which decodes 200 times as fast as it plays
    resource.RLIMIT_AS: 1 << 30,  # numpy and FFmpeg map 250 MB, and use 75
    resource.RLIMIT_FSIZE: 0,
    resource.RLIMIT_CORE: 0,
}


class Decoding:
    """Sends one file's frames as SOUND, and `opened`, `failed` or `over` as JSON."""

    def __init__(self, control: socket.socket, path: Path, *, is_looped: bool) -> None:
        self._control = control
        self._path = path
        self._is_looped = is_looped
        self._chunk: list[bytes] = []

    def run(self) -> None:
        """Send everything, waiting while nobody reads. Raises OSError when the reader is gone."""
        try:
            count = self._play(is_first=True)
            while count and self._is_looped:
                count = self._play(is_first=False)
        except BadSound as error:
            self._say("failed", sentence=str(error))
            return
        self._flush()
        self._say("over")

    def _play(self, *, is_first: bool) -> int:
        """Send the file once, from its beginning; return how many frames it had."""
        count = 0
        signal.alarm(STEP_S)
        with SoundFile(self._path) as sound:
            for frame in _watched(iter(sound)):
                if is_first and not count:  # else a file that holds nothing would pass as opened
                    self._say("opened", seconds=sound.seconds)
                self._chunk.append(frame.astype("<i2", copy=False).tobytes())
                count += 1
                if len(self._chunk) == CHUNK_FRAMES:
                    self._flush()
        signal.alarm(0)
        if is_first and not count:
            raise BadSound("There is no sound in this file.")
        return count

    def _flush(self) -> None:
        if self._chunk:
            self._send(FrameKind.SOUND, b"".join(self._chunk))
            self._chunk.clear()

    def _say(self, method: str, **params: object) -> None:
        self._send(FrameKind.JSON, encode(Notification(method, params)).encode())

    def _send(self, kind: FrameKind, body: bytes) -> None:
        left = signal.alarm(0)  # whoever reads may take as long as they like
        self._control.sendall(frame_head(kind, len(body)) + body)
        signal.alarm(left)


def _watched(frames: Iterator[Int16Frame]) -> Iterator[Int16Frame]:
    """Give each frame its time; SIGALRM ends the process, whatever library it is in."""
    for frame in frames:
        signal.alarm(STEP_S)
        yield frame


def confine(limits: Mapping[int, int] = LIMITS) -> None:
    """Take no more than an honest file needs, and yield to everybody."""
    for kind, most in limits.items():
        _, hard = resource.getrlimit(kind)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (least, least))
    os.nice(NICENESS)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # the reader is gone, and so are we


def main(arguments: Sequence[str]) -> None:
    """Run a decoder process: `roomtone worker decoder <settings>`."""
    confine()
    worker_log.configure()
    settings = worker.read_settings(wire.DecoderSettings, arguments)
    path = Path(f"/proc/self/fd/{settings.sound_fd}")  # by number: the file may have no name
    with socket.socket(fileno=settings.control_fd) as control:
        Decoding(control, path, is_looped=settings.is_looped).run()
