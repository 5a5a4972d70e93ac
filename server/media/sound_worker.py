"""The inside of a process that is fed with a room's sound."""

import os
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from hls.core.soundpart import SoundPart
from server.media import wire
from server.rpc.codec import Notification, encode, parse
from server.rpc.framing import FrameKind, FrameReader, frame_head

NICENESS: Final = 5  # the mixers go first
LIMITS: Final = {
    resource.RLIMIT_AS: 1 << 30,  # numpy and FFmpeg map 250 MB, and use 75
    resource.RLIMIT_FSIZE: 0,
    resource.RLIMIT_CORE: 0,
}
_READ_BYTES: Final = 65_536
Order = TypeVar("Order", bound=BaseModel)


class Feeding:
    """The control process's end of the line: an order, then parts; answers go back."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._reader = FrameReader()
        self._frames: list[tuple[FrameKind, bytes]] = []

    def order(self, model: type[Order]) -> Order:
        """Wait for what is to be done. Raises SystemExit if it is nothing that we know."""
        frame = self._next()
        if frame is None:
            raise SystemExit(0)
        said = parse(frame[1])
        try:
            assert isinstance(said, Notification), "an order is no call"
            return model.model_validate(said.params)
        except ValidationError:  # it may hold a secret
            raise SystemExit("the order cannot be read") from None

    def parts(self) -> Iterator[tuple[int, SoundPart]]:
        """Yield parts with the number of their first frame until the control process hangs up."""
        while (frame := self._next()) is not None:
            yield wire.read_part(*frame)

    def answer(self, data: bytes) -> None:
        """Send what was made. Raises OSError when nobody reads any more."""
        self._send(FrameKind.BLOB, data)

    def fail(self, sentence: str) -> None:
        """Say why it does not go on."""
        said = encode(Notification("failed", {"sentence": sentence}))
        self._send(FrameKind.JSON, said.encode())

    def _send(self, kind: FrameKind, body: bytes) -> None:
        self._control.sendall(frame_head(kind, len(body)) + body)

    def _next(self) -> tuple[FrameKind, bytes] | None:
        while not self._frames:
            data = self._control.recv(_READ_BYTES)
            if not data:
                return None
            self._frames += [(one.kind, one.body) for one in self._reader.feed(data)]
        return self._frames.pop(0)


@contextmanager
def watched(seconds: int) -> Iterator[None]:
    """Give what is done inside its time; SIGALRM ends the process, whatever library it is in."""
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def confine() -> None:
    """Take no more than is needed, and yield to who mixes."""
    for kind, most in LIMITS.items():
        _, hard = resource.getrlimit(kind)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (least, least))
    os.nice(NICENESS)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # the reader is gone, and so are we
