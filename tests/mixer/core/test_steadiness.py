"""When a stream is relied on."""

from mixer.core.steadiness import FORGET, LEAST, MOST, Steadiness


def wait(stream: Steadiness) -> int:
    """Return the ticks until it is steady."""
    ticks = 0
    while not stream.next_tick():
        ticks += 1
    return ticks


def test_it_is_steady_from_the_first_tick() -> None:
    """Nothing has been wrong yet."""
    assert wait(Steadiness()) == 0


def test_every_flaw_takes_twice_as_long() -> None:
    """Up to half a minute."""
    stream = Steadiness()
    waits = []
    for _ in range(7):
        stream.note_flaw()
        waits.append(wait(stream))
    assert waits == [50, 100, 200, 400, 800, MOST, MOST]


def test_a_minute_forgives() -> None:
    """After that a flaw is the first again."""
    stream = Steadiness()
    for _ in range(5):
        stream.note_flaw()
    for _ in range(FORGET):
        stream.next_tick()
    stream.note_flaw()
    assert wait(stream) == LEAST
