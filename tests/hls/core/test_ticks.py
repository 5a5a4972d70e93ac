import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hls.core.ticks import Fate, TickBuffer
from hls.core.timeline import Timeline

ORIGIN = 1000
TIMELINE = Timeline(base_tick=ORIGIN + 5 * 96, base_unix_s=0.0)
FAR = 10**6


def buffer(first_tick: int = ORIGIN) -> TickBuffer:
    """Return a buffer of a process that started at `first_tick`."""
    return TickBuffer(TIMELINE, first_tick, ahead_ticks=5)


def pcm(value: int) -> NDArray[np.int16]:
    """Return one tick of a constant."""
    return np.full(960, value, np.int16)


def test_one_tick() -> None:
    """A tick stands at its place in the frames that it touches."""
    ticks = buffer()
    ticks.push(ORIGIN + 1, pcm(7), FAR)
    [(first, head), (second, tail)] = ticks.seal(ORIGIN + 3)
    assert (first, second) == (0, 1)
    assert (head == [0] * 960 + [7] * 64).all()
    assert (tail == [7] * 896 + [0] * 128).all()


def test_tick_inside_a_frame() -> None:
    """A tick that begins with a frame touches that frame only."""
    ticks = buffer()
    ticks.push(ORIGIN + 16, pcm(3), FAR)
    [(index, samples)] = ticks.seal(ORIGIN + 20)
    assert index == 15
    assert (samples[:960] == 3).all()


def test_unsealed_frame_waits() -> None:
    """A frame comes out only when all of its ticks are sealed."""
    ticks = buffer()
    ticks.push(ORIGIN, pcm(1), FAR)
    assert ticks.seal(ORIGIN + 1) == []
    assert [index for index, _ in ticks.seal(ORIGIN + 2)] == [0]


def test_late_tick() -> None:
    """A tick whose time is sealed changes nothing."""
    ticks = buffer()
    ticks.seal(ORIGIN + 10)
    assert ticks.push(ORIGIN + 9, pcm(1), FAR) is Fate.LATE
    assert ticks.seal(ORIGIN + 99) == []


def test_repeated_tick() -> None:
    """Of two copies of a tick the first counts."""
    ticks = buffer()
    assert ticks.push(ORIGIN, pcm(1), FAR) is Fate.ACCEPTED
    assert ticks.push(ORIGIN, pcm(2), FAR) is Fate.REPEATED
    assert ticks.seal(ORIGIN + 2)[0][1][0] == 1


def test_early_tick() -> None:
    """A tick that no honest clock could have numbered is refused."""
    assert buffer().push(ORIGIN + 106, pcm(1), ORIGIN + 100) is Fate.EARLY
    assert buffer().push(ORIGIN + 105, pcm(1), ORIGIN + 100) is Fate.ACCEPTED


@pytest.mark.parametrize("first_tick", [ORIGIN - 50, ORIGIN])
def test_before_the_origin(first_tick: int) -> None:
    """Nothing before the origin is taken, whenever the process started."""
    assert buffer(first_tick).push(ORIGIN - 1, pcm(1), FAR) is Fate.LATE


def test_silence_is_not_stored() -> None:
    """A tick of zeros is accepted and yields no frame."""
    ticks = buffer()
    assert ticks.push(ORIGIN, pcm(0), FAR) is Fate.ACCEPTED
    assert ticks.seal(ORIGIN + 10) == []


def test_seal_never_goes_back() -> None:
    """Sealing up to an earlier tick leaves the seal where it is."""
    ticks = buffer()
    ticks.seal(ORIGIN + 16)
    ticks.seal(ORIGIN + 1)
    assert ticks.sealed_frames == 15


def test_the_caller_keeps_its_array() -> None:
    """What the caller does with its array afterwards does not matter."""
    ticks, mine = buffer(), pcm(5)
    ticks.push(ORIGIN, mine, FAR)
    mine[:] = 9
    assert ticks.seal(ORIGIN + 2)[0][1][0] == 5


@given(st.lists(st.tuples(st.integers(-3, 60), st.integers(0, 3)), max_size=80))
def test_any_order(writes: list[tuple[int, int]]) -> None:
    """The frames are those of an endless tape onto which every accepted tick was recorded."""
    ticks, tape = buffer(), np.zeros(80 * 960, np.int16)
    heard, clock = np.zeros_like(tape), ORIGIN
    for offset, value in writes:
        clock = max(clock, ORIGIN + offset)
        if ticks.push(ORIGIN + offset, pcm(value), clock) is Fate.ACCEPTED:
            tape[offset * 960 : (offset + 1) * 960] = value
        for index, samples in ticks.seal(clock - 5):
            heard[index * 1024 : (index + 1) * 1024] = samples
    for index, samples in ticks.seal(ORIGIN + 80):
        heard[index * 1024 : (index + 1) * 1024] = samples
    assert (heard == tape).all()


def test_stereo() -> None:
    """Both channels stand side by side in every frame, across its end too."""
    ticks = TickBuffer(TIMELINE, ORIGIN, ahead_ticks=5, channels=2)
    ticks.push(ORIGIN + 1, np.arange(1920, dtype=np.int16), FAR)
    [(_, head), (_, tail)] = ticks.seal(ORIGIN + 3)
    assert head.tolist() == [0] * 1920 + list(range(128))
    assert tail.tolist() == [*range(128, 1920), *[0] * 256]


def test_other_channels() -> None:
    """A tick of other channels is fitted, for a room changes in its own time."""
    ticks = TickBuffer(TIMELINE, ORIGIN, ahead_ticks=5, channels=2)
    ticks.push(ORIGIN, pcm(7), FAR)
    ticks.retune(1)
    ticks.push(ORIGIN + 1, np.tile(np.array([2, 4], np.int16), 960), FAR)
    [(_, samples)] = ticks.seal(ORIGIN + 2)
    assert samples.tolist() == [7] * 960 + [3] * 64


def test_ahead() -> None:
    """What has come of a frame can be looked at before its time; the rest is 0."""
    ticks = TickBuffer(Timeline(5 * 96, 0.0), 0, ahead_ticks=5, channels=2)
    assert ticks.ahead(0, 8) is None
    ticks.push(0, np.full(1920, 7, np.int16), 0)
    begins = ticks.ahead(0, 8)
    assert begins is not None
    assert begins.tolist() == [7] * 16
