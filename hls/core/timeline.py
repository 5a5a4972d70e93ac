"""The media timeline of a room: ticks, AAC frames and segments, all counted from one origin.

The numbers fit: 96 ticks of 960 samples and 90 AAC frames of 1024 samples are both 92160 samples,
1.92 s. A segment's media sequence number is therefore a function of the clock alone, and goes on
by itself when the process that makes the segments is started again.
"""

from dataclasses import dataclass

SAMPLE_RATE = 48_000
TICK_SAMPLES = 960  # 20 ms
AAC_SAMPLES = 1024  # one AAC-LC frame
PART_FRAMES = 3  # 64 ms exactly: what parts of a segment must be multiples of
SEGMENT_FRAMES = 30 * PART_FRAMES
SEGMENT_TICKS = 96
SEGMENT_S = 1.92

# A frame's MDCT window spans its own samples and the next frame's, and the block switching looks at
# one frame more: frame i is final when the samples of frame i + 2 are.
LOOKAHEAD_FRAMES = 2

# RFC 8216 §6.2.2 wants three target durations (6 s) in a live playlist: four segments, and a fifth
# that is not complete yet when the room goes on air.
LEAD_SEGMENTS = 5

assert SEGMENT_FRAMES * AAC_SAMPLES == SEGMENT_TICKS * TICK_SAMPLES, "segments end on both grids"


@dataclass(frozen=True, slots=True)
class Timeline:
    """Where a room's media time lies on the machine's clock.

    Positions, frame indexes and segment numbers count from `origin_tick`, which is LEAD_SEGMENTS
    before `base_tick`: the segments between them are silent, for nobody was on air yet.
    """

    base_tick: int
    base_unix_s: float

    @property
    def origin_tick(self) -> int:
        """The tick of media time zero."""
        return self.base_tick - LEAD_SEGMENTS * SEGMENT_TICKS

    def position(self, tick: int) -> int:
        """Return the first sample of `tick`, counted from the origin (negative before it)."""
        return (tick - self.origin_tick) * TICK_SAMPLES

    def unix_s_at(self, tick: int) -> float:
        """Return the wall clock at `tick`."""
        return self.base_unix_s + (tick - self.base_tick) * TICK_SAMPLES / SAMPLE_RATE

    def tick_after(self, frames: int) -> int:
        """Return the first tick that begins when `frames` AAC frames since the origin are over."""
        return self.origin_tick - (-frames * AAC_SAMPLES // TICK_SAMPLES)

    def position_of(self, unix_s: float) -> int:
        """Return the sample at a wall clock time, counted from the origin (negative before it)."""
        since_base = round((unix_s - self.base_unix_s) * SAMPLE_RATE)
        return since_base + LEAD_SEGMENTS * SEGMENT_FRAMES * AAC_SAMPLES

    def unix_s(self, msn: int) -> float:
        """Return the wall clock at the beginning of segment `msn`."""
        return self.base_unix_s + (msn - LEAD_SEGMENTS) * SEGMENT_S
