"""An MP3 encoder process: parts of AAC frames in, MP3 frames out."""

import socket
from collections.abc import Sequence
from typing import Final

from hls.errors import EncoderLost
from hls.mp3 import Mp3Encoder
from server.media import wire, worker, worker_log
from server.media.sound_worker import Feeding, confine, watched

STEP_S: Final = 5  # for a part of 320 ms, which takes 5 ms


def run(feeding: Feeding) -> None:
    """Encode what comes; where its format changes another encoder goes on."""
    encoder: Mp3Encoder | None = None
    try:
        for _first, part in feeding.parts():
            with watched(STEP_S):
                if encoder is None or encoder.audio != part.audio:
                    encoder = Mp3Encoder(part.audio)
                data = encoder.encode(part.frames)
            feeding.answer(data)
    except EncoderLost as error:
        feeding.fail(str(error))


def main(arguments: Sequence[str]) -> None:
    """Run an encoder process: `roomtone worker mp3 <settings>`."""
    confine()
    worker_log.configure()
    settings = worker.read_settings(wire.SoundSettings, arguments)
    with socket.socket(fileno=settings.control_fd) as control:
        run(Feeding(control))
