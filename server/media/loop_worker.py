"""A process that makes a loop of one sound file; what the file does to it ends with it."""

import os
import resource
import signal
import sys
from collections.abc import Sequence
from typing import Final

from hls.errors import BadSound, EncoderLost
from hls.looper import make_loop
from server.media import wire, worker, worker_log
from server.media.decoder_worker import LIMITS, confine

REFUSED: Final = 3  # the sentence is on stdout
STEP_S: Final = 10  # without progress
# Ten minutes of stereo at sixteen bit rates, which takes 40 s, and its PCM.
_LIMITS: Final = {**LIMITS, resource.RLIMIT_CPU: 300, resource.RLIMIT_FSIZE: 512 << 20}


def main(arguments: Sequence[str]) -> None:
    """Make a loop: `roomtone worker loop <settings>`."""
    confine(_LIMITS)
    worker_log.configure()
    settings = worker.read_settings(wire.LoopSettings, arguments)
    signal.alarm(STEP_S)
    try:
        with os.fdopen(settings.loop_fd, "wb") as file:
            make_loop(settings.loop, file, lambda: signal.alarm(STEP_S))
    except (BadSound, EncoderLost) as error:
        sys.stdout.write(str(error))
        sys.exit(REFUSED)
    except OSError as error:
        sys.stdout.write(f"It cannot be kept: {error.strerror}.")
        sys.exit(REFUSED)
