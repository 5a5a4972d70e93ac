"""How long packets must wait."""

from random import Random

import pytest

from mixer.core.jitter_target import GUARD_S, JitterTarget
from mixer.types import TICK_S

BASE_S = -89_000.0  # a transit means nothing by itself


def target(**options: float) -> JitterTarget:
    settings = {"percentile": 0.97, "window": 200, "min_frames": 1, "max_frames": 10, **options}
    return JitterTarget(**settings)  # type: ignore[arg-type]


def fed(transits_s: list[float], **options: float) -> JitterTarget:
    made = target(**options)
    for transit_s in transits_s:
        made.add(BASE_S + transit_s)
    return made


def test_a_clean_network_wants_the_guard_alone() -> None:
    """A millisecond of scatter: one frame."""
    random = Random(1)
    clean = fed([random.random() * 0.001 for _ in range(400)])
    assert clean.frames == 1
    assert clean.level_s - BASE_S == pytest.approx(GUARD_S, abs=0.0012)


@pytest.mark.parametrize(("spread_s", "frames"), [(0.02, 2), (0.04, 3), (0.1, 6), (0.5, 10)])
def test_the_target_is_the_percentile(spread_s: float, frames: int) -> None:
    """Of packets spread evenly, in steps of a frame, ten at most."""
    random = Random(2)
    spread = fed([random.random() * spread_s for _ in range(400)])
    assert spread.frames == frames
    expected_s = min(0.97 * spread_s, 9 * TICK_S)
    assert spread.level_s - BASE_S == pytest.approx(expected_s + GUARD_S, abs=0.05 * spread_s)


@pytest.mark.parametrize(("percentile", "expected_s"), [(1.0, 0.1), (0.9, 0.0), (0.5, 0.0)])
def test_what_is_beyond_the_percentile_does_not_count(percentile: float, expected_s: float) -> None:
    """One packet in twenty comes 100 ms late."""
    late = fed([0.1 * (n % 20 == 0) for n in range(400)], percentile=percentile)
    assert late.level_s - BASE_S == pytest.approx(expected_s + GUARD_S)


def test_it_rises_at_once_and_falls_slowly() -> None:
    """As soon as too many are late; after the window by 20 ms a second."""
    made = fed([0.0] * 200)
    for _ in range(7):
        made.add(BASE_S + 0.06)
    assert made.frames == 4
    for _ in range(200):
        made.add(BASE_S)
    assert made.level_s - BASE_S > 0.06
    for _ in range(75):
        made.add(BASE_S)
    assert made.level_s - BASE_S == pytest.approx(0.03 + GUARD_S, abs=0.003)
    for _ in range(100):
        made.add(BASE_S)
    assert made.frames == 1


def test_one_stall_is_no_reason_to_expect_more() -> None:
    """Four packets that come together after 60 ms, even at the very beginning."""
    for before in (20, 199, 400):
        stalled = fed([0.0] * before + [0.06, 0.04, 0.02, 0.0])
        assert stalled.frames == 1, before


@pytest.mark.parametrize("drift_ppm", [300, -300])
def test_a_drifting_clock_is_no_jitter(drift_ppm: int) -> None:
    """In an hour it moves everything by a second, and the target with it."""
    made = target()
    for number in range(20_000):
        made.add(BASE_S + number * TICK_S * drift_ppm * 1e-6)
    assert made.frames == 1
    last_s = BASE_S + 19_999 * TICK_S * drift_ppm * 1e-6
    assert made.level_s - last_s == pytest.approx(GUARD_S, abs=0.0013)


@pytest.mark.parametrize("jump_s", [5.0, -0.5])
def test_another_timeline_begins_anew(jump_s: float) -> None:
    """A sender that moves its timestamps is judged by what comes after; so is a late start."""
    made = fed([0.0] * 200 + [jump_s] * 3)
    assert made.level_s - BASE_S == pytest.approx(jump_s + GUARD_S)


def test_frequent_losses_cost_a_frame() -> None:
    """As long as the packet after them could repair them, and not for what it could not."""
    made = target()
    for number in range(300):
        made.note_order(repairable=int(number % 20 == 0))
        made.add(BASE_S)
    assert made.frames == 2
    assert made.level_s - BASE_S == pytest.approx(TICK_S + GUARD_S)
    for _ in range(2000):
        made.note_order(repairable=0)
        made.add(BASE_S)
    assert made.frames == 1


def test_losses_in_pairs_cost_two_frames() -> None:
    """If the redundancy reaches that far; no more, however far it reaches."""
    made = target()
    for number in range(300):
        made.note_order(repairable=9 * (number % 20 == 0))
        made.add(BASE_S)
    assert made.frames == 3
    for _ in range(2000):
        made.note_order(repairable=0)
        made.add(BASE_S)
    assert made.frames == 1


def test_a_rare_loss_costs_nothing() -> None:
    """One in a thousand is concealed rather than waited for."""
    made = target()
    for number in range(5000):
        made.note_order(repairable=int(number % 1000 == 999))
        made.add(BASE_S)
        assert made.frames == 1


def test_another_stream_keeps_what_the_network_taught() -> None:
    """After a new SSRC the jitter is as it was, wherever the timestamps are."""
    random = Random(3)
    made = fed([random.random() * 0.06 for _ in range(200)])
    made.forget()
    made.add(0.0)
    assert made.level_s == pytest.approx(0.06 + GUARD_S, abs=0.01)


def test_a_target_can_be_given_a_floor() -> None:
    """Of that many frames."""
    assert fed([0.0], min_frames=4).frames == 4
    assert fed([0.0], min_frames=4).level_s - BASE_S == pytest.approx(3 * TICK_S + GUARD_S)
