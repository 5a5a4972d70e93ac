import pytest

from hls.core.timeline import LEAD_SEGMENTS, SEGMENT_FRAMES, Timeline

TIMELINE = Timeline(base_tick=1000, base_unix_s=1_700_000_000.0)


def test_lead() -> None:
    """The stream begins a few segments before the room went on air."""
    assert TIMELINE.segment_at(1000) == LEAD_SEGMENTS
    assert TIMELINE.segment_at(999) == LEAD_SEGMENTS - 1
    assert TIMELINE.segment_at(TIMELINE.origin_tick) == 0


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
    """A base from before the machine's start counts on, with the sign of mathematics."""
    timeline = Timeline(base_tick=-5000, base_unix_s=0.0)
    assert timeline.segment_at(0) == LEAD_SEGMENTS + 5000 // 96
