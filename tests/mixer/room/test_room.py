"""A room's tick: who speaks, what each distinct mix is, one encode for each."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer.core.limiter import CEILING
from mixer.room.mix import COMFORT_EVERY_TICKS, COMFORT_PAYLOAD
from mixer.room.stage import HOLD_TICKS
from mixer.types import PeerId, Quality, RoomId, RoomSpec
from tests.support.hall import LOUD, NOISE, Hall, Person, TapRecorder, encodes, jumps, rows
from tests.support.webrtc_client import level_db

# The plan


def test_there_is_one_encode_per_distinct_mix() -> None:
    """Two speakers and twenty listeners: each speaker's mix-minus, and one mix for all others."""
    hall = Hall()
    for name in ("ann", "bob", *(f"p{number}" for number in range(20))):
        hall.seat(name)
    hall.run(10, "ann", "bob")
    assert encodes(hall, 50, "ann", "bob") == 3 * 50


def test_a_lone_speaker_costs_one_encode() -> None:
    """What the speaker hears is silence, which is not encoded."""
    hall = Hall()
    for name in ("ann", "bob", "cyd"):
        hall.seat(name)
    hall.run(10, "ann")
    assert encodes(hall, 50, "ann") == 50


def test_an_overloaded_mixer_spends_less_on_every_mix() -> None:
    """The ceiling holds for mixes that are there and for those that come, until it is lifted."""
    hall = Hall()
    for name in ("ann", "bob", "cyd"):
        hall.seat(name)

    def size(*speakers: str) -> float:
        sent = hall.run(50, *speakers)[-20:]
        return float(np.mean([len(outgoing.payload) for tick in sent for outgoing in tick]))

    full = size("ann", "bob")
    hall.room.spend(Quality(max_bitrate_bps=48_000))
    assert size("ann", "bob") == pytest.approx(full / 2, rel=0.1)
    assert size("ann", "bob", "cyd") == pytest.approx(full / 2, rel=0.1)
    hall.room.spend(Quality())
    assert size("ann", "bob", "cyd") == pytest.approx(full, rel=0.1)


@pytest.mark.parametrize(("wanted", "limit", "heard"), [(0, 2, 2), (1, 2, 1), (3, 2, 2), (3, 0, 3)])
def test_an_overloaded_mixer_mixes_fewer(wanted: int, limit: int, heard: int) -> None:
    """The lower of what the spec wants and what may be spent, 0 being everybody."""
    hall = Hall()
    hall.room.configure(RoomSpec(RoomId("r"), 1, loudest=wanted))
    hall.room.spend(Quality(loudest=limit))
    names = ("ann", "bob", "cyd", "dan")
    for name in names:
        hall.seat(name)
    hall.run(100, *names)
    assert len(hall.room.talking) == heard
    hall.room.spend(Quality())
    hall.run(100, *names)
    assert len(hall.room.talking) == (wanted or len(names))


def test_silence_costs_nothing() -> None:
    """Nobody speaks: no encode, no decoder, and one comfort payload for everybody each 400 ms."""
    hall = Hall()
    for number in range(5):
        hall.seat(f"p{number}")
    hall.run(COMFORT_EVERY_TICKS)
    sent = hall.run(10 * COMFORT_EVERY_TICKS, *hall.people, level=NOISE)
    assert hall.room.encodes == 0
    assert all(person.anchor._decoder is None for person in hall.people.values())
    assert [rows(outgoing) for outgoing in sent if outgoing] == [[0, 1, 2, 3, 4]] * 10
    assert {outgoing.payload for tick in sent for outgoing in tick} == {COMFORT_PAYLOAD}


def test_an_empty_room_sends_nothing() -> None:
    """Nobody there: nothing to do."""
    hall = Hall()
    assert hall.run(50) == [[]] * 50


def test_who_comes_into_silence_is_told_at_once() -> None:
    """The first packet does not wait for the next comfort."""
    hall = Hall()
    hall.seat("ann")
    assert len(hall.run(1)[0]) == 1


def test_the_end_of_sound_is_told_at_once() -> None:
    """Comfort follows the last encoded frame, so that nobody takes the silence for a loss."""
    hall = Hall()
    hall.seat("ann")
    bob = hall.seat("bob")
    hall.run(20, "ann")
    hall.run(60)
    at = next(i for i, payload in enumerate(bob.payloads) if len(payload) > 1)
    kinds = [payload == COMFORT_PAYLOAD for payload in bob.payloads[at:]]
    assert kinds.index(True) >= 20
    assert len(bob.payloads[at:]) - kinds.index(True) <= 4
    assert len(hall.run(1)) == 1


def test_the_first_frame_after_silence_is_marked() -> None:
    """And no other (RFC 3551 §4.1)."""
    hall = Hall()
    hall.seat("ann")
    hall.seat("bob")
    sent = hall.run(30, "ann")
    voiced = [o.marker for tick in sent for o in tick if o.payload != COMFORT_PAYLOAD]
    assert voiced == [True] + [False] * (len(voiced) - 1)


def test_who_does_not_hear_is_not_encoded_for() -> None:
    """A room of speakers that are only received."""
    hall = Hall()
    for name in ("ann", "bob"):
        hall.seat(name).anchor.hears = False
    hall.run(30, "ann", "bob")
    assert hall.room.encodes == 0


# What is heard


def test_everybody_hears_the_others_and_not_themselves() -> None:
    """Each speaker's own tone is absent, the other's is at its level; a listener hears both."""
    hall = Hall()
    ann, bob = hall.seat("ann", 440, 0.3), hall.seat("bob", 1000, 0.3)
    cyd = hall.seat("cyd")
    hall.run(100, "ann", "bob")
    expected = 20 * np.log10(0.3)
    heard = {
        name: [level_db(person.pcm(50), hertz) for hertz in (440, 1000)]
        for name, person in (("ann", ann), ("bob", bob), ("cyd", cyd))
    }
    assert heard["ann"][0] < -60
    assert heard["bob"][1] < -60
    for level in (heard["ann"][1], heard["bob"][0], *heard["cyd"]):
        assert level == pytest.approx(expected, abs=1.0)


def test_the_limiter_works_on_what_is_left_of_the_mix() -> None:
    """Three loud voices are limited for the listener; the mix of one of two is left alone."""
    tap = TapRecorder()
    hall = Hall(tap)
    hall.configure(on_air=True)
    ann = hall.seat("ann", 440, 0.9)
    hall.seat("bob", 1000, 0.9)
    hall.seat("cyd", 1700, 0.05)
    hall.run(60, "ann", "bob", "cyd")
    full = np.concatenate([pcm for _, pcm in tap.frames[-20:]])
    assert 25_000 < np.abs(full).max() <= CEILING
    assert level_db(ann.pcm(25), 1000) == pytest.approx(20 * np.log10(0.9), abs=1.0)


def test_the_tap_gets_the_full_mix_while_there_is_sound() -> None:
    """One frame a tick, numbered, and none in silence or off air."""
    tap = TapRecorder()
    hall = Hall(tap)
    hall.seat("ann")
    hall.run(20, "ann")
    assert tap.frames == []
    hall.configure(on_air=True)
    hall.run(20, "ann")
    hall.run(100)
    ticks = [tick for tick, _ in tap.frames]
    assert ticks == list(range(1020, 1020 + len(ticks)))
    assert 20 <= len(ticks) <= 20 + 25
    assert level_db(np.concatenate([pcm for _, pcm in tap.frames[:20]]), 440) > -12


@pytest.mark.parametrize("pause", [5, 60, 120])
def test_changing_between_shared_and_private_mix_does_not_click(pause: int) -> None:
    """Somebody begins to speak, pauses and speaks again over a continuous tone they hear."""
    hall = Hall()
    hall.seat("ann", 440)
    bob = hall.seat("bob", 3000, 0.001)  # all but inaudible to whoever looks for clicks
    hall.seat("cyd")
    hall.run(50, "ann")
    start = len(bob.heard)
    for _ in range(3):
        hall.run(30, "ann", "bob")
        hall.run(pause, "ann")
    heard = np.concatenate(bob.heard[start:])
    assert jumps(heard, 440) < 1.6
    assert level_db(heard, 440) == pytest.approx(20 * np.log10(0.3), abs=0.5)


def test_a_shared_mix_that_had_no_hearers_goes_on_without_a_click() -> None:
    """Its encoder is primed when the first speaker comes back to it."""
    hall = Hall()
    hall.seat("ann", 440)
    bob = hall.seat("bob", 3000, 0.001)
    hall.run(30, "ann", "bob")
    start = len(bob.heard)
    hall.run(HOLD_TICKS + 60, "ann")
    assert jumps(np.concatenate(bob.heard[start:]), 440) < 1.6


def test_a_mix_for_the_air_alone_is_not_encoded_until_somebody_joins_it() -> None:
    """Both who are here speak; who comes later hears all from the first frame on, without a hole.

    The encoder is primed with the frame before: its first packet is one of a running stream.
    """
    hall = Hall(TapRecorder())
    hall.configure(on_air=True)
    hall.seat("ann", 440)
    hall.seat("bob", 3000)
    hall.run(10, "ann", "bob")
    assert encodes(hall, 20, "ann", "bob") == 2 * 20
    late = hall.seat("late")
    assert encodes(hall, 20, "ann", "bob") == 3 * 20
    steady = np.abs(late.heard[19]).max()
    assert np.abs(late.heard[0][200:]).max() > 0.7 * steady
    assert max(np.abs(frame).max() for frame in late.heard) < 1.3 * steady


def test_who_has_left_wakes_nobody() -> None:
    """A packet that was on its way when its sender left or was replaced is nobody's."""
    hall = Hall()
    ann = hall.seat("ann")
    hall.room.remove(PeerId("ann"))
    hall.seat("bob")
    hall.run(1)
    hall.room.wake(ann.anchor)
    assert hall.room.is_idle


def test_beginning_and_ending_are_faded() -> None:
    """A voice that is cut on and off makes no click."""
    hall = Hall()
    hall.seat("ann", 440)
    bob = hall.seat("bob")
    for _ in range(3):
        hall.run(25, "ann")
        hall.run(60)
    assert jumps(np.concatenate(bob.heard), 440) < 1.6


def test_a_mute_is_silence_in_the_next_tick_but_one() -> None:
    """The frame of the mute fades out, the next is the limiter's tail, then there is none."""
    hall = Hall()
    ann, _bob = hall.seat("ann"), hall.seat("bob")
    hall.run(30, "ann")
    ann.anchor.mute(True)
    sent = hall.run(10, "ann")
    loud = [o.level_dbov > -127 for tick in sent for o in tick if o.payload != COMFORT_PAYLOAD]
    assert len(loud) <= 2
    assert hall.room.talking == {}


def test_who_is_heard_is_talking() -> None:
    """The level of the last packet, for those heard in the last tick."""
    hall = Hall()
    hall.seat("ann")
    hall.seat("bob")
    hall.run(20, "ann")
    assert hall.room.talking == {"ann": LOUD}
    hall.run(60)
    assert hall.room.talking == {}


def test_a_level_is_measured_where_none_is_told() -> None:
    """A client without RFC 6464 is always decoded, and its level is what it sounds like."""
    hall = Hall()
    hall.seat("ann", 440, 0.3)
    hall.run(20, "ann", level=None)
    assert hall.room.talking[PeerId("ann")] == pytest.approx(
        20 * np.log10(0.3 / np.sqrt(2)), abs=1.5
    )


# People come and go


def test_who_leaves_in_mid_speech_is_gone_at_once() -> None:
    """No later tick knows of them, and the others go on."""
    hall = Hall()
    for name in ("ann", "bob", "cyd"):
        hall.seat(name)
    hall.run(20, "ann", "bob")
    hall.room.remove(PeerId("ann"))
    del hall.people["ann"]
    sent = hall.run(20, "bob")
    assert {row for tick in sent for row in rows(tick)} <= {1, 2}
    assert hall.room.talking == {"bob": LOUD}


def test_a_new_connection_takes_the_place_of_the_old() -> None:
    """The same person twice: only the newer is heard and sent to."""
    hall = Hall()
    hall.seat("ann")
    bob = hall.seat("bob")
    hall.run(20, "ann")
    hall.people["old"] = hall.people.pop("ann")
    again = Person(hall.room, "ann", 7, 440, 0.3)
    hall.people["ann"] = again
    sent = hall.run(20, "ann")
    assert {row for tick in sent for row in rows(tick)} == {1, 7}
    assert level_db(bob.pcm(10), 440) > -12


def test_one_persons_failure_is_not_the_rooms(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever hearing one person raises is counted and logged once; the others are mixed."""
    hall = Hall()
    ann = hall.seat("ann")
    hall.seat("bob", 1000)
    cyd = hall.seat("cyd")

    def fail(_now: float) -> None:
        raise RuntimeError("cursed")

    monkeypatch.setattr(ann.anchor, "hear", fail)
    hall.run(50, "ann", "bob")
    assert level_db(cyd.pcm(25), 1000) > -12
    assert hall.room.counters()["anchor_failures"] >= 45
    assert len(caplog.records) == 1


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 30),
            st.sets(st.integers(0, 4)),
            st.sampled_from(["speak", "noise", "leave", "join", "mute"]),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_nobody_is_sent_two_frames_in_a_tick(
    scenes: list[tuple[int, set[int], str]],
) -> None:
    """Two packets of one SRTP index would give the key stream away: a row occurs once at most."""
    hall = Hall()
    for number in range(5):
        hall.seat(str(number), 300.0 + 100 * number)
    for ticks, chosen, what in scenes:
        names = [str(number) for number in chosen if str(number) in hall.people]
        for name in names:
            if what == "leave":
                hall.room.remove(PeerId(name))
            elif what == "join":
                hall.room.add(hall.people[name].anchor)
            hall.people[name].anchor.mute(what == "mute")
        here = [name for name in names if PeerId(name) in hall.room.anchors]
        level = NOISE if what == "noise" else LOUD
        for sent in hall.run(ticks, *here, level=level):
            assert len(rows(sent)) == len(set(rows(sent)))
