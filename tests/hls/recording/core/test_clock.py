from hls.recording.core.clock import MAX_SPANS, MediaClock


def test_a_take_begins_at_its_first_tick() -> None:
    """Ticks and samples count from there; before it there is nothing."""
    clock = MediaClock(100)
    assert [clock.tick(tick) for tick in (99, 100, 150)] == [None, 0, 50]
    assert [clock.sample(sample) for sample in (95_999, 96_000, 96_961)] == [None, 0, 961]
    assert [clock.ticks(tick) for tick in (90, 100, 150)] == [0, 0, 50]


def test_a_pause_has_no_length() -> None:
    """What is in it has no place, what follows begins where it began."""
    clock = MediaClock(100)
    clock.pause(110)
    assert clock.is_paused
    assert clock.ticks(500) == 10
    clock.pause(120)  # again is nothing
    clock.resume(200)
    clock.resume(300)
    assert not clock.is_paused
    assert [clock.tick(tick) for tick in (109, 110, 199, 200, 205)] == [9, None, None, 10, 15]
    assert clock.ticks(205) == 15


def test_orders_that_come_late_do_not_turn_time_back() -> None:
    """A pause before the beginning, and a going on before the pause, are at these."""
    clock = MediaClock(100)
    clock.pause(50)
    clock.resume(20)
    assert clock.tick(100) == 0
    clock.pause(110)
    clock.resume(105)
    assert clock.tick(110) == 10


def test_pauses_are_bounded() -> None:
    """The oldest are forgotten, the time goes on."""
    clock = MediaClock(0)
    for number in range(1000):
        clock.pause(20 * number + 10)
        clock.resume(20 * number + 20)
    assert len(clock._spans) == MAX_SPANS
    assert clock.ticks(20_000) == 10_000
    assert clock.tick(5) is None
