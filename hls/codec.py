"""What all streams of one bit rate and number of channels share: init segment and silence."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from hls.core.fmp4 import AacFormat, init_segment
from hls.encoder import AacEncoder, silent_frame


@dataclass(frozen=True, slots=True)
class Codec:
    """`init` is in the clear; `silent_frame` decodes to digital silence."""

    audio: AacFormat
    init: bytes
    init_name: str
    silent_frame: bytes


@lru_cache(maxsize=64)  # more than anybody has; each is about a kilobyte
def codec(bit_rate: int, channels: int) -> Codec:
    """Return what such a stream needs. Raises EncoderLost."""
    audio = AacEncoder(bit_rate, channels).format
    init = init_segment(audio)
    name = f"init-{hashlib.sha256(init).hexdigest()[:8]}.mp4"
    return Codec(audio, init, name, silent_frame(bit_rate, channels))
