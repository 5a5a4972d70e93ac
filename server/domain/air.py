"""What of a room goes on air, and how this server makes broadcasts."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from itertools import product
from typing import Final
from zlib import crc32

from hls.core.timeline import AAC_SAMPLES, SAMPLE_RATE
from hls.types import Container, RenditionSpec
from mixer.types import FLOOR
from server.domain.captions import languages_mistake

MAX_AIR_BUSES: Final = 8  # with four bit rates that is what a broadcast may have
MAX_BIT_RATES: Final = 4
MIN_WINDOW_S: Final = 15  # 8 segments: a player that paused for a breath still finds its place
MAX_WINDOW_S: Final = 86_400
PARTS_MS: Final = (320, 192)  # whole AAC frames, and whole parts in a segment
# Of RFC 5646, roughly: what it would let through beside this is no language.
LANGUAGE_PATTERN: Final = r"^([A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,3})?$"
# In a playlist it stands in quotes, on a line.
LABEL_PATTERN: Final = r'^[^"\x00-\x1f\x7f-\x9f\u2028\u2029]*$'
_PLAIN: Final = re.compile(r"[a-z0-9-]{1,24}", re.ASCII)
_OTHER: Final = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class AirBus:
    """A bus that listeners can choose, with its language (BCP 47) and what they see of it."""

    bus: str
    language: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Air:
    """What was decided about a room's broadcast beside that there is one.

    `buses` is what listeners can choose among, the first one unasked; none is the floor. So far
    back may they go: `dvr_s`, None as the server says. They are told `title`, the room's name if
    there is none, and with `names` who speaks: to anybody who knows the room's id. `captions` are
    the languages (BCP 47) in which they can read what is said. While nobody is in the room they
    hear `hold`, a file of the folder of announcements: None as the server says, "" for silence.
    """

    buses: tuple[AirBus, ...] = ()
    dvr_s: int | None = None
    title: str = ""
    names: bool = False
    captions: tuple[str, ...] = ()
    hold: str | None = None

    def within(self, buses: Collection[str]) -> tuple[AirBus, ...]:
        """Return what is on air of a room that has `buses` beside the floor."""
        known = {FLOOR, *buses}
        return tuple(one for one in self.buses if one.bus in known) or (AirBus(FLOOR),)


AS_USUAL: Final = Air()


@dataclass(frozen=True, slots=True)
class Studio:
    """How this server makes broadcasts; bit rates in b/s, the first one is played unasked.

    `hold` is the path of the hold music of rooms that do not say, `sounds` the folder of that of
    others; "" for none.
    """

    part_frames: int = 15
    bit_rates: tuple[int, ...] = (128_000, 64_000)
    window_s: float = float(MIN_WINDOW_S)
    container: Container = Container.FMP4
    loudness_lufs: float | None = None
    hold: str = ""
    sounds: str = ""

    def hold_of(self, air: Air) -> str:
        """Return the path of what is heard of an empty room, "" for silence."""
        if air.hold is None:
            return self.hold
        return f"{self.sounds}/{air.hold}" if air.hold and self.sounds else ""

    def window_of(self, air: Air) -> float:
        """Return how far back listeners may go, in seconds."""
        return self.window_s if air.dvr_s is None else float(air.dvr_s)

    def renditions(self, on_air: tuple[AirBus, ...]) -> tuple[RenditionSpec, ...]:
        """Return each bus in each bit rate; the first bus has the shortest names."""
        return tuple(
            RenditionSpec(
                _name("" if one is on_air[0] else one.bus, rate),
                rate,
                one.bus,
                one.language,
                one.label,
            )
            for one, rate in product(on_air, self.bit_rates)
        )


def air_mistake(air: Air, buses: Collection[str]) -> str:
    """Return what is wrong with what a room that has `buses` wants on air, "" if nothing is."""
    names = [one.bus for one in air.buses]
    if len(set(names)) < len(names):
        return "a bus is on air once"
    if missing := [name for name in names if name not in {FLOOR, *buses}]:
        return f"there is no bus {missing[0]!r} in this room"
    return languages_mistake(air.captions)


def part_frames(part_ms: int) -> int:
    """Return how many AAC frames are in parts of one of the lengths of PARTS_MS."""
    return part_ms * SAMPLE_RATE // (1000 * AAC_SAMPLES)


def _name(bus: str, bit_rate: int) -> str:
    """Return a name for addresses that is this bus's alone; "" is the first one."""
    rate = f"{bit_rate // 1000}k"
    if not bus:
        return rate
    if _PLAIN.fullmatch(bus) is None:
        bus = f"{_OTHER.sub('-', bus.lower()).strip('-')[:15]}-{crc32(bus.encode()):08x}"
    return f"{bus}-{rate}"
