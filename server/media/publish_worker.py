"""An RTMP process: parts of AAC frames in, published to one server."""

import os
import select
import socket
import ssl
from collections.abc import Sequence
from typing import Final

from hls.core.fmp4 import AacFormat
from hls.core.rtmp import HANDSHAKE_BYTES, RtmpError, RtmpPublisher, RtmpState
from hls.core.soundpart import SoundPart
from server.media import wire, worker, worker_log
from server.media.sound_worker import Feeding, confine, watched

STEP_S: Final = 15  # without the server taking anything; then SIGALRM ends the process
CONNECT_S: Final = 10.0
_READ_BYTES: Final = 65_536


class Publishing:
    """A stream that one server has taken."""

    def __init__(self, order: wire.Publish, audio: AacFormat, first_frame: int) -> None:
        """Connect and publish. Raises RtmpError, OSError."""
        self._audio = audio
        self._begin = self._next = first_frame
        self._line = connect(order)
        random = os.urandom(HANDSHAKE_BYTES - 8)
        self._rtmp = RtmpPublisher(order.base, order.app, order.key, random)
        while self._rtmp.state is not RtmpState.LIVE:
            self._flush()
            self._rtmp.receive(self._read())
        self._rtmp.begin(audio)

    def send(self, first_frame: int, part: SoundPart) -> None:
        """Send a part. Raises RtmpError, OSError."""
        if part.audio != self._audio or first_frame < self._next:
            raise RtmpError("The broadcast is another one by now")
        self._next = first_frame + len(part.frames)
        for index, frame in enumerate(part.frames, first_frame - self._begin):
            self._rtmp.send(index, frame)
        while _has_come(self._line):
            self._rtmp.receive(self._read())
        self._flush()

    def _read(self) -> bytes:
        data = self._line.recv(_READ_BYTES)
        if not data:
            raise RtmpError("The server hung up")
        return data

    def _flush(self) -> None:
        self._line.sendall(self._rtmp.to_send)
        self._rtmp.to_send.clear()


def connect(order: wire.Publish) -> socket.socket:
    """Return a connection to the address, by TLS if need be. Raises OSError."""
    line = socket.create_connection((order.address, order.port), CONNECT_S)
    if order.tls:
        line = ssl.create_default_context().wrap_socket(line, server_hostname=order.host)
    return line


def run(feeding: Feeding) -> None:
    """Publish what comes, and say so of each part."""
    order = feeding.order(wire.Publish)
    publishing: Publishing | None = None
    try:
        for first_frame, part in feeding.parts():
            with watched(STEP_S):
                if publishing is None:
                    publishing = Publishing(order, part.audio, first_frame)
                publishing.send(first_frame, part)
            feeding.answer(b"")
    except RtmpError as error:
        feeding.fail(str(error))
    except TimeoutError:
        feeding.fail("The server does not answer")
    except ssl.SSLCertVerificationError as error:
        feeding.fail(f"The server's certificate is not accepted: {error.verify_message}")
    except ssl.SSLError:
        feeding.fail("The server does not speak TLS as it must for rtmps://")
    except OSError as error:
        feeding.fail(f"The connection failed: {error.strerror or 'it was cut off'}")


def main(arguments: Sequence[str]) -> None:
    """Run an RTMP process: `roomtone worker publish <settings>`."""
    confine()
    worker_log.configure()
    settings = worker.read_settings(wire.SoundSettings, arguments)
    with socket.socket(fileno=settings.control_fd) as control:
        run(Feeding(control))


def _has_come(line: socket.socket) -> bool:
    """Whether reading would not wait; of TLS some may be decrypted already."""
    if isinstance(line, ssl.SSLSocket) and line.pending():
        return True
    readable, _, _ = select.select([line], [], [], 0)
    return bool(readable)
