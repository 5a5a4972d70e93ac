"""Whether a broadcast can be: ranges, names and what must not break a playlist."""

import math
import re
from itertools import pairwise

from hls.core.names import STREAM
from hls.core.timeline import PART_FRAMES, SEGMENT_FRAMES
from hls.errors import BadSpec
from hls.types import BroadcastSpec, CaptionsSpec, KeySpec, RenditionSpec

MAX_RENDITIONS = 32
MAX_CAPTIONS = 16
MAX_KEYS = 10_000  # a day of one every nine seconds
MAX_TITLE = 1000  # a line of every playlist
MAX_PATH = 4096  # Linux has no longer ones
MAX_WINDOW_S = 86_400.0
LOUDNESS = (-40.0, -9.0)  # LUFS; above, little would be left of the peaks
# Below, little is left of speech; a frame holds at most 6144 bits a channel (14496-3 §4.5.3.3).
BIT_RATES = range(16_000, 288_001)
_MOST_TICKS = 2**40  # 700 years: sums of both still have a date
_LAST_UNIX_S = 32_503_680_000.0  # the year 3000
_URI = re.compile(r'[^\s"\x00-\x20\x7f]+')
_NAME = re.compile(r"[a-z0-9-]{1,32}", re.ASCII)
_LANGUAGE = re.compile(r"[A-Za-z0-9-]{0,35}", re.ASCII)
_LABEL = re.compile(r'[^"\x00-\x1f\x7f-\x9f\u2028\u2029]{0,100}')


def check_spec(spec: BroadcastSpec) -> None:
    """Return if `spec` can be broadcast. Raises BadSpec, which names the field."""
    _check_keys(spec.keys)
    _check_clock(spec)
    _check_renditions(spec.renditions)
    _check_captions(spec.captions, {one.name for one in spec.renditions})
    if spec.channels not in (1, 2):
        raise BadSpec("channels", "a broadcast has one or two")
    frames = spec.part_frames
    if not (PART_FRAMES <= frames <= SEGMENT_FRAMES) or frames % PART_FRAMES:
        raise BadSpec("part_frames", f"a part has {PART_FRAMES} frames or a multiple of that")
    if SEGMENT_FRAMES % frames:
        raise BadSpec("part_frames", "parts end where a segment does")
    _check_texts(spec)
    if spec.loudness_lufs is not None and not LOUDNESS[0] <= spec.loudness_lufs <= LOUDNESS[1]:
        raise BadSpec("loudness_lufs", f"a loudness is {LOUDNESS[0]:g} to {LOUDNESS[1]:g} LUFS")
    if not 0 < spec.window_s <= MAX_WINDOW_S:
        raise BadSpec("window_s", "a window is longer than nothing, and not longer than a day")


def _check_texts(spec: BroadcastSpec) -> None:
    if len(spec.title) > MAX_TITLE:
        raise BadSpec("title", f"a title has at most {MAX_TITLE} characters")
    if len(spec.hold) > MAX_PATH or "\0" in spec.hold:
        raise BadSpec("hold", "it is no path of a file")
    if STREAM.fullmatch(spec.stream) is None:
        raise BadSpec("stream", "it is 0 to 16 of a-z and digits")


def _check_keys(keys: tuple[KeySpec, ...]) -> None:
    if not 0 < len(keys) <= MAX_KEYS:
        raise BadSpec("keys", "a stream is never in the clear, nor has thousands of keys")
    for key in keys:
        if len(key.key) != 16:
            raise BadSpec("key", "an AES-128 key has 16 bytes")
        if len(key.iv) != 16:
            raise BadSpec("iv", "an AES initialisation vector has 16 bytes")
        if _URI.fullmatch(key.uri) is None:
            raise BadSpec(
                "uri", "it must not be empty or hold quotes, spaces or control characters"
            )
    if any(one.first_msn >= later.first_msn for one, later in pairwise(keys)):
        raise BadSpec("keys", "each must be in force from a later segment than the one before")


def _check_clock(spec: BroadcastSpec) -> None:
    if abs(spec.base_tick) > _MOST_TICKS:
        raise BadSpec("base_tick", "it is no tick of this machine")
    if not (math.isfinite(spec.base_unix_s) and 0 <= spec.base_unix_s < _LAST_UNIX_S):
        raise BadSpec("base_unix_s", "it is no time of this millennium")


def _check_renditions(renditions: tuple[RenditionSpec, ...]) -> None:
    if not 0 < len(renditions) <= MAX_RENDITIONS:
        raise BadSpec("renditions", f"a broadcast has 1 to {MAX_RENDITIONS}")
    if len({one.name for one in renditions}) < len(renditions):
        raise BadSpec("renditions", "each has a name of its own")
    for one in renditions:
        if _NAME.fullmatch(one.name) is None:
            raise BadSpec("renditions", "a name is 1 to 32 of a-z, 0-9 and the hyphen")
        if one.bit_rate not in BIT_RATES:
            raise BadSpec("renditions", f"AAC cannot be encoded at {one.bit_rate} b/s")
        if _LANGUAGE.fullmatch(one.language) is None or _LABEL.fullmatch(one.label) is None:
            raise BadSpec("renditions", "a language or a label holds what a playlist cannot")


def _check_captions(captions: tuple[CaptionsSpec, ...], taken: set[str]) -> None:
    if len(captions) > MAX_CAPTIONS:
        raise BadSpec("captions", f"a broadcast has captions in at most {MAX_CAPTIONS} languages")
    if len(taken | {one.name for one in captions}) < len(taken) + len(captions):
        raise BadSpec("captions", "each has a name of its own, and none of a rendition")
    if len({one.language for one in captions}) < len(captions):
        raise BadSpec("captions", "each has a language of its own")
    for one in captions:
        if _NAME.fullmatch(one.name) is None:
            raise BadSpec("captions", "a name is 1 to 32 of a-z, 0-9 and the hyphen")
        if not one.language or _LANGUAGE.fullmatch(one.language) is None:
            raise BadSpec("captions", "a language holds what a playlist cannot, or is none")
