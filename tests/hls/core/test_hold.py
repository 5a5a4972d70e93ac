"""Hold music beside a room: when it comes, when it goes, and what is left to be encoded."""

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from hls.core.hold import FADE_FRAMES, LEAD_FRAMES, PAUSE_FRAMES, Hold, Music, Sealed
from hls.core.timeline import AAC_SAMPLES, LOOKAHEAD_FRAMES

LEVEL = 2400
FIRST = 100


class Drone:
    """Music of one value, and of coded frames that tell where they are from."""

    def __init__(self, level: int = LEVEL) -> None:
        self._level = level

    def samples(self, index: int) -> NDArray[np.int16]:
        """See Music."""
        return np.full(AAC_SAMPLES, self._level, np.int16)

    def frame(self, index: int, bit_rate: int, channels: int) -> bytes | None:
        """See Music."""
        return f"{self._level} {index} {bit_rate} {channels}".encode()


DRONE = Drone()


def holding(music: Music | None = DRONE) -> Hold:
    """Return the hold of a bus that has music from the first frame on."""
    hold = Hold(FIRST)
    hold.want(music)
    return hold


def voice(*indexes: int, level: int = 500) -> list[tuple[int, NDArray[np.int16]]]:
    """Return frames of the room."""
    return [(index, np.full(AAC_SAMPLES, level, np.int16)) for index in indexes]


def coded(hold: Hold, first: int, end: int) -> list[int]:
    """Return which coded frames are the music's."""
    return [index for begin, stop, _ in hold.coded(first, end) for index in range(begin, stop)]


def indexes(frames: list[Sealed]) -> list[int]:
    """Return which frames are to be encoded."""
    return [frame.index for frame in frames]


ALONE = FIRST + FADE_FRAMES  # the first frame of the music alone


def test_without_music() -> None:
    """What the room says is encoded as it is, and nothing else."""
    hold = Hold(FIRST)
    frames = hold.advance(FIRST + 50, voice(FIRST + 3, FIRST + 20), 1)
    assert indexes(frames) == [FIRST + 3, FIRST + 20]
    assert all((frame.samples == 500).all() and not frame.lead for frame in frames)
    assert not coded(hold, FIRST, FIRST + 50)


def test_it_fades_in_and_is_alone() -> None:
    """Half a second is encoded, with two more frames that the encoder needs; then nothing."""
    hold = holding()
    frames = hold.advance(FIRST + 10_000, [], 1)
    assert indexes(frames) == list(range(FIRST, ALONE + LOOKAHEAD_FRAMES))
    ramp = np.concatenate([frame.samples for frame in frames])
    assert ramp[0] == 0
    assert 0 <= np.diff(ramp.astype(int)).min() <= np.diff(ramp.astype(int)).max() <= 1
    assert (ramp[FADE_FRAMES * AAC_SAMPLES :] == LEVEL).all()
    assert coded(hold, FIRST, FIRST + 200) == list(range(ALONE, FIRST + 200))


def test_of_the_newest_frame_the_next_is_not_known() -> None:
    """A coded frame spans two, so the last one of those that are over may become another."""
    hold = holding()
    hold.advance(ALONE + 5, [], 1)
    assert coded(hold, ALONE, ALONE + 20) == [ALONE, ALONE + 1, ALONE + 2, ALONE + 3]
    assert not hold.is_alone(ALONE - 1)
    assert hold.is_alone(ALONE + 4)
    assert not hold.is_alone(ALONE + 5)


def test_step_by_step_as_at_once() -> None:
    """It does not matter how often somebody asks."""
    seed = 7
    rng = random.Random(seed)
    spoken = voice(*sorted(rng.sample(range(FIRST, FIRST + 4000), 12)))
    whole, steps = holding(), holding()
    at_once = whole.advance(FIRST + 4000, spoken, 1)
    by_steps: list[Sealed] = []
    now = FIRST
    while now < FIRST + 4000:
        now = min(FIRST + 4000, now + rng.choice((1, 1, 2, 3, 40)))
        begun = [one for one in spoken if one[0] < now]
        spoken = spoken[len(begun) :]
        by_steps += steps.advance(now, begun, 1)
    assert indexes(by_steps) == indexes(at_once), f"seed {seed}"
    for one, other in zip(by_steps, at_once, strict=True):
        assert (one.samples == other.samples).all()
        assert len(one.lead) == len(other.lead)
    assert coded(steps, FIRST, FIRST + 4000) == coded(whole, FIRST, FIRST + 4000)


def test_it_goes_when_somebody_is_heard() -> None:
    """They are heard at once, with the end of the music; three seconds after them it comes back."""
    hold, heard = holding(), ALONE + 50
    hold.advance(heard, [], 1)
    frames = hold.advance(heard + 1000, voice(heard), 1)
    gone = heard + FADE_FRAMES
    back = heard + 1 + PAUSE_FRAMES
    assert indexes(frames) == [
        *range(heard, gone),
        *range(back, back + FADE_FRAMES + LOOKAHEAD_FRAMES),
    ]
    assert frames[0].samples[0] == LEVEL + 500
    assert frames[1].samples[0] == LEVEL * (FADE_FRAMES - 1) // FADE_FRAMES
    assert abs(int(frames[FADE_FRAMES - 1].samples[-1])) <= 1
    # The coded frame before the voice holds its beginning.
    kept = coded(hold, heard - 5, heard + 1000)
    assert kept[:4] == [heard - 5, heard - 4, heard - 3, heard - 2]
    assert kept[4] == back + FADE_FRAMES


def test_an_encoder_that_slept_is_led_in() -> None:
    """With what was before, where it was not encoded; without where it was."""
    hold = holding()
    hold.advance(ALONE + 50, [], 1)
    frames = hold.advance(ALONE + 60, voice(ALONE + 50, ALONE + 55), 1)
    assert [len(frame.lead) for frame in frames] == [LEAD_FRAMES, *[0] * 9]
    assert all((one == LEVEL).all() for one in frames[0].lead)
    awake = holding()
    awake.advance(ALONE + LOOKAHEAD_FRAMES, [], 1)
    (frame,) = awake.advance(ALONE + 3, voice(ALONE + LOOKAHEAD_FRAMES), 1)
    assert not frame.lead


def test_it_is_turned_off_and_on() -> None:
    """Off it fades out; on it comes back at once, or after a pause if somebody was there."""
    hold = holding()
    hold.advance(ALONE + 10, [], 1)
    hold.want(None)
    assert indexes(hold.advance(ALONE + 200, [], 1)) == list(
        range(ALONE + 10, ALONE + 10 + FADE_FRAMES)
    )
    hold.want(DRONE)
    assert hold.advance(ALONE + 201, [], 1)[0].index == ALONE + 200
    hold.want(None)
    hold.advance(ALONE + 300, [], 1)
    hold.pause()
    hold.want(DRONE)
    assert hold.advance(ALONE + 600, [], 1)[0].index == ALONE + 300 + PAUSE_FRAMES


def test_another_piece() -> None:
    """It begins when the first has faded out."""
    hold, other = holding(), Drone(-LEVEL)
    hold.advance(ALONE + 10, [], 1)
    hold.want(other)
    frames = hold.advance(ALONE + 100, [], 1)
    signs = [int(np.sign(frame.samples[0])) for frame in frames]
    assert signs == [*[1] * FADE_FRAMES, 0, *[-1] * (FADE_FRAMES + LOOKAHEAD_FRAMES - 1)]
    parts = list(hold.coded(ALONE, ALONE + 90))
    assert [music for *_, music in parts] == [DRONE, other]


def test_from_a_frame_on() -> None:
    """What is wanted later begins then, however far one goes at once; nothing changes before."""
    turn, other = ALONE + 100, Drone(-LEVEL)
    for steps in ([ALONE + 300], [ALONE + 50, turn, ALONE + 300]):
        hold = holding()
        hold.advance(ALONE + 10, [], 1)
        hold.want(other, turn)
        frames = [frame for step in steps for frame in hold.advance(step, [], 1)]
        assert frames[0].index == turn
        assert len(frames[0].lead) == LEAD_FRAMES
        begun = turn + 2 * FADE_FRAMES
        parts = [(begin, end) for begin, end, _ in hold.coded(ALONE, ALONE + 300)]
        assert parts == [(ALONE, turn - 1), (begun, ALONE + 299)]


def test_a_plan_is_dropped() -> None:
    """What is wanted now replaces what was wanted for later; speech around that is where it was."""
    hold, turn = holding(), ALONE + 100
    hold.want(Drone(-LEVEL), turn)
    hold.want(DRONE)
    frames = hold.advance(ALONE + 300, voice(turn + 50), 1)
    assert next(index for index in indexes(frames) if index > ALONE + 1) == turn + 50
    assert {music for *_, music in hold.coded(ALONE, ALONE + 300)} == {DRONE}


def test_a_voice_after_the_turn() -> None:
    """It is returned once, at its place."""
    hold, turn = holding(None), FIRST + 20
    hold.want(None, turn)
    frames = hold.advance(FIRST + 50, voice(FIRST + 10, turn, turn + 7), 1)
    assert indexes(frames) == [FIRST + 10, turn, turn + 7]


def test_both_channels() -> None:
    """Music of one channel is heard from both sides of two."""
    frames = holding().advance(ALONE + 1, [], 2)
    assert frames[-1].samples.shape == (2 * AAC_SAMPLES,)
    rising = frames[1].samples.reshape(-1, 2)
    assert (rising[:, 0] == rising[:, 1]).all()


def test_too_loud_together() -> None:
    """What would not fit is cut off, not turned over."""
    hold = holding(Drone(30_000))
    hold.advance(ALONE + 10, [], 1)
    (frame,) = hold.advance(ALONE + 11, voice(ALONE + 10, level=30_000), 1)
    assert frame.samples.max() == 32_767
    assert frame.samples.min() > 0


def test_what_is_forgotten() -> None:
    """Periods of music that are over go, the one that goes on stays."""
    hold = holding()
    hold.advance(ALONE + 50, [], 1)
    hold.advance(ALONE + 1000, voice(ALONE + 50), 1)
    hold.forget_before(ALONE + 49)
    assert hold.is_alone(ALONE + 49)
    hold.forget_before(ALONE + 50)
    assert not hold.is_alone(ALONE + 49)
    hold.forget_before(ALONE + 5000)
    assert hold.is_alone(ALONE + 999)


def test_a_day_costs_what_a_second_does() -> None:
    """Music that is alone is one span, however long."""
    hold = holding()
    assert len(hold.advance(FIRST + 4_000_000, [], 1)) == FADE_FRAMES + LOOKAHEAD_FRAMES
    begin, end, _ = next(hold.coded(FIRST + 3_000_000, FIRST + 3_000_090))
    assert (begin, end) == (FIRST + 3_000_000, FIRST + 3_000_090)


@pytest.mark.parametrize("first", [ALONE - 30, ALONE - 1])
def test_nothing_of_a_span_that_is_a_frame_long(first: int) -> None:
    """One frame of music alone is no coded frame of it alone."""
    hold = holding()
    hold.advance(ALONE + 1, [], 1)
    assert not coded(hold, first, ALONE + 5)
