"""An announcement's states, and what is held of its sound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.types import PlayerSpec, RoomId
from server.domain.announcement import (
    FRAME_BYTES,
    Announcement,
    Lookahead,
    PlayEvent,
    PlayState,
)
from server.errors import IllegalTransition

USER = "0f0e0d0c-0b0a-4909-8807-060504030201"


def made(**fields: object) -> Announcement:
    return Announcement("a1", RoomId("demo"), "gong", **fields)  # type: ignore[arg-type]


def frames(count: int, first: int = 0) -> bytes:
    """Return frames that can be told apart."""
    return b"".join(bytes([(first + number) % 256]) * FRAME_BYTES for number in range(count))


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([], PlayState.PLAYING),
        ([PlayEvent.OVER], PlayState.ENDED),
        ([PlayEvent.STOP], PlayState.STOPPING),
        ([PlayEvent.STOP, PlayEvent.STOP, PlayEvent.OVER], PlayState.STOPPED),
        ([PlayEvent.STOP, PlayEvent.FAIL], PlayState.STOPPED),
        ([PlayEvent.FAIL], PlayState.FAILED),
    ],
)
def test_states(events: list[PlayEvent], state: PlayState) -> None:
    """It plays, then it ends, is stopped, or fails."""
    one = made()
    for event in events:
        one = one.happen(event, "broken")
    assert one.state is state
    assert one.is_over is (state not in {PlayState.PLAYING, PlayState.STOPPING})
    assert one.reason == ("broken" if state is PlayState.FAILED else "")


def test_nothing_happens_after_the_end() -> None:
    """What is over cannot be stopped or fail."""
    with pytest.raises(IllegalTransition):
        made().happen(PlayEvent.OVER).happen(PlayEvent.STOP)


@pytest.mark.parametrize(
    ("to", "spec"),
    [
        ("everybody", PlayerSpec("a1", gain_db=-3.0)),
        (USER, PlayerSpec("a1", peer=USER, gain_db=-3.0)),  # type: ignore[arg-type]
        ("fr", PlayerSpec("a1", bus="fr", gain_db=-3.0)),
    ],
)
def test_who_hears_it(to: str, spec: PlayerSpec) -> None:
    """A user id is a person, any other word but "everybody" a bus."""
    assert made(to=to, gain_db=-3.0).spec() == spec


@pytest.mark.parametrize(
    ("length_s", "is_looped", "position_s"),
    [(None, False, 5.0), (3.0, False, 3.0), (3.0, True, 2.0), (0.0, True, 5.0), (9.0, True, 5.0)],
)
def test_position(length_s: float | None, is_looped: bool, position_s: float) -> None:  # noqa: FBT001 - a parameter
    """It is never beyond the length that is told, and within the round of a loop."""
    one = made(frames=250, length_s=length_s, is_looped=is_looped)
    assert one.position_s == pytest.approx(position_s)


def test_a_second_is_held_and_no_more() -> None:
    """There is space for 50 frames; what is taken makes space."""
    ahead = Lookahead()
    for number in range(10):
        assert ahead.has_space(5)
        ahead.push(frames(5, 5 * number))
        ahead.sent()
    assert not ahead.has_space(1)
    ahead.take(4)
    assert (ahead.held, ahead.has_space(4), ahead.has_space(5)) == (46, True, False)


def test_the_end_is_sent_last() -> None:
    """Nothing is the end, and nothing comes after it."""
    ahead = Lookahead()
    assert ahead.to_send() is None
    ahead.push(frames(2))
    ahead.push(b"")
    assert ahead.to_send() == frames(2)
    ahead.sent()
    assert ahead.to_send() == b""
    assert not ahead.is_done
    ahead.sent()
    assert ahead.to_send() is None
    ahead.take(2)
    assert ahead.is_done


def test_another_player_gets_what_the_lost_one_did_not_play() -> None:
    """It goes on in the middle of a chunk; the count of both is the position."""
    ahead = Lookahead()
    ahead.push(frames(5))
    ahead.push(frames(5, 5))
    ahead.push(b"")
    for _ in range(3):
        ahead.sent()
    ahead.take(7)
    ahead.restart()
    assert ahead.to_send() == frames(3, 7)
    ahead.sent()
    assert ahead.to_send() == b""
    ahead.sent()
    ahead.take(3)
    assert (ahead.taken, ahead.held, ahead.is_done) == (10, 0, True)


def test_a_mixer_that_claims_too_much_breaks_nothing() -> None:
    """More taken than there was, or less than before, is not believed."""
    ahead = Lookahead()
    ahead.push(frames(5))
    ahead.sent()
    ahead.take(900)
    ahead.take(3)
    assert (ahead.taken, ahead.held, ahead.to_send()) == (5, 0, None)


@given(st.lists(st.integers(-1, 6), max_size=60), st.integers(0, 40))
def test_every_frame_is_played_once(steps: list[int], count: int) -> None:
    """Whatever the mixers take before they are lost: all is sent in order, none twice as taken."""
    sound = frames(count)
    ahead, read, player, played = Lookahead(), 0, bytearray(), bytearray()
    for step in [*steps, *[6] * 30]:
        if ahead.has_space(5) and read <= len(sound):
            chunk = sound[read : read + 5 * FRAME_BYTES]
            read += max(len(chunk), 1)
            ahead.push(chunk)
        if step < 0:  # it dies
            ahead.restart()
            player = bytearray()
            taken_here = 0
        else:
            while (chunk_sent := ahead.to_send()) is not None:
                player += chunk_sent
                ahead.sent()
            taken_here = min(len(player) // FRAME_BYTES, ahead._took + step)
            played += player[ahead._took * FRAME_BYTES : taken_here * FRAME_BYTES]
            ahead.take(taken_here)
        assert ahead.held <= 50
    assert bytes(played) == sound
