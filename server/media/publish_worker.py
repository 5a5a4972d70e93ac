"""An RTMP process: parts of AAC frames in, published to one server."""

import socket
from collections.abc import Sequence
from typing import Final

from hls.core.fmp4 import AacFormat
from hls.errors import EncoderLost
from hls.flv import FlvPublisher
from server.media import wire, worker, worker_log
from server.media.relay import Relay, Unreachable
from server.media.sound_worker import Feeding, confine, watched

STEP_S: Final = 15  # without the server taking anything
_OPTIONS: Final = {
    "rtmp_live": "live",
    "flvflags": "no_duration_filesize",  # what cannot be gone back to
}


def run(feeding: Feeding) -> None:
    """Publish what comes, and say so of each part."""
    order = feeding.order(wire.Publish)
    publisher: FlvPublisher | None = None
    begin = 0
    try:
        with watched(STEP_S):
            port = Relay(order).open()
        for first, part in feeding.parts():
            with watched(STEP_S):
                if publisher is None:
                    publisher, begin = _publisher(order, port, part.audio), first
                publisher.send(first - begin, part)
            feeding.answer(b"")
    except (EncoderLost, Unreachable) as error:
        feeding.fail(str(error))
    finally:
        if publisher is not None:
            with watched(STEP_S):
                publisher.close()


def main(arguments: Sequence[str]) -> None:
    """Run an RTMP process: `roomtone worker publish <settings>`."""
    confine()
    worker_log.configure()
    settings = worker.read_settings(wire.SoundSettings, arguments)
    with socket.socket(fileno=settings.control_fd) as control:
        run(Feeding(control))


def _publisher(order: wire.Publish, port: int, audio: AacFormat) -> FlvPublisher:
    # By the names they have there, whatever way leads to them.
    told = {"rtmp_app": order.app, "rtmp_playpath": order.key, "rtmp_tcurl": order.base}
    return FlvPublisher(f"rtmp://127.0.0.1:{port}/", _OPTIONS | told, audio)
