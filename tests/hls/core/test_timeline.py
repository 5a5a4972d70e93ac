import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls.core.timeline import LEAD_SEGMENTS, SEGMENT_FRAMES, Timeline

TIMELINE = Timeline(base_tick=1000, base_unix_s=1_700_000_000.0)


def test_lead() -> None:
    """The stream begins a few segments before the room went on air."""
    assert TIMELINE.position(1000) == LEAD_SEGMENTS * 92_160
    assert TIMELINE.position(TIMELINE.origin_tick) == 0
    assert TIMELINE.position(TIMELINE.origin_tick - 1) < 0


@pytest.mark.parametrize("msn", [0, 5, 6, 10**9])
def test_grids_meet(msn: int) -> None:
    """Every segment begins on a tick and on an AAC frame."""
    tick = TIMELINE.origin_tick + 96 * msn
    assert TIMELINE.position(tick) == msn * SEGMENT_FRAMES * 1024


def test_wall_clock() -> None:
    """The segment at the base tick begins at the base's wall clock."""
    assert TIMELINE.unix_s(LEAD_SEGMENTS) == 1_700_000_000.0
    assert TIMELINE.unix_s(LEAD_SEGMENTS + 100) == pytest.approx(1_700_000_192.0)


def test_negative_base() -> None:
    """A base from before the machine's start counts on."""
    timeline = Timeline(base_tick=-5000, base_unix_s=0.0)
    assert timeline.position(0) == (LEAD_SEGMENTS * 96 + 5000) * 960


@given(st.integers(-(10**6), 10**6), st.integers(0, 10**7))
def test_tick_after_frames(base_tick: int, frames: int) -> None:
    """It is the first tick that begins when so many frames are over."""
    timeline = Timeline(base_tick, 0.0)
    tick = timeline.tick_after(frames)
    assert timeline.position(tick) >= frames * 1024 > timeline.position(tick - 1)


def test_wall_clock_of_a_tick() -> None:
    """Ticks and segments have the same wall clock."""
    assert TIMELINE.unix_s_at(TIMELINE.base_tick) == TIMELINE.unix_s(LEAD_SEGMENTS)
    assert TIMELINE.unix_s_at(TIMELINE.base_tick + 50) == 1_700_000_001.0


@pytest.mark.parametrize("since_s", [-9.6, -1.0, 0.0, 0.0123, 1.92, 86_400.5])
def test_position_of_a_wall_clock(since_s: float) -> None:
    """A wall clock time is the sample that is heard then."""
    position = TIMELINE.position_of(1_700_000_000.0 + since_s)
    assert position == TIMELINE.position(TIMELINE.base_tick) + round(48_000 * since_s)
