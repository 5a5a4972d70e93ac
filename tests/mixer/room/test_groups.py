"""Who hears the same, through real Opus: personal mixes, buses, and the ways between them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer.core.routing import Ear
from mixer.room.encoding import Form, Kind
from mixer.room.groups import APART_TICKS, Groups
from mixer.room.mix import Mix
from mixer.room.seat import Hearer
from mixer.room.stage import HOLD_TICKS
from mixer.room.voice import Voice
from mixer.types import FLOOR, AnchorSpec, PeerId
from tests.support.hall import Hall, TapRecorder, encodes, jumps
from tests.support.webrtc_client import level_db

ANN, BOB, CYD, DAN = (PeerId(name) for name in ("ann", "bob", "cyd", "dan"))
TALK = 20 * np.log10(0.3)  # dB of full scale: what a Person says, at unity
GONE = -55  # dB: below everything that Opus adds to a tone


def hall(*names: str, tap: TapRecorder | None = None) -> Hall:
    """Return a room of people with pitches of their own, 440 Hz and upwards by 300."""
    made = Hall(tap)
    for number, name in enumerate(names):
        made.seat(name, 440.0 + 300 * number)
    return made


def pitch(house: Hall, name: str) -> float:
    return 440.0 + 300 * list(house.people).index(name)


def heard(house: Hall, listener: str) -> dict[str, float]:
    """Return how loud somebody hears each of the people, relative to what these say."""
    person = house.people[listener]
    return {name: person.level(pitch(house, name)) - float(TALK) for name in house.people}


# Personal mixes


def test_a_mute_for_one_is_for_nobody_else() -> None:
    """Cyd mutes Ann for herself; everybody else hears her as before."""
    house = hall("ann", "bob", "cyd", "dan")
    house.configure(AnchorSpec(CYD, for_me={ANN: None}))
    house.run(60, "ann", "bob")
    assert heard(house, "cyd")["ann"] < GONE
    assert heard(house, "cyd")["bob"] == pytest.approx(0, abs=1)
    assert heard(house, "dan")["ann"] == pytest.approx(0, abs=1)


def test_a_volume_for_one_is_for_nobody_else() -> None:
    """Cyd turns Ann down by 12 dB for herself."""
    house = hall("ann", "bob", "cyd")
    house.configure(AnchorSpec(CYD, for_me={ANN: -12.0}))
    house.run(60, "ann")
    assert heard(house, "cyd")["ann"] == pytest.approx(-12, abs=1)
    assert heard(house, "bob")["ann"] == pytest.approx(0, abs=1)


def test_who_hears_the_same_shares_an_encode() -> None:
    """Two who mute Ann share one mix, and with her too: none of them hears her."""
    house = hall("ann", "bob", "cyd", "dan")
    muting = [AnchorSpec(peer, for_me={ANN: None}) for peer in (CYD, DAN)]
    house.configure(*muting)
    house.run(60, "ann", "bob")
    # What Ann, Cyd and Dan hear; what Bob hears.
    assert encodes(house, 50, "ann", "bob") == 2 * 50


def test_a_personal_gain_costs_nothing_while_that_person_is_silent() -> None:
    """Only then do they hear anything else than the others."""
    house = hall("ann", "bob", "cyd", "dan")
    house.configure(AnchorSpec(CYD, for_me={ANN: -6.0}))
    house.run(10, "bob")
    assert encodes(house, 30, "bob") == 30
    house.run(10, "ann", "bob")
    assert encodes(house, 30, "ann", "bob") == 4 * 30


def test_a_personal_change_in_mid_speech_is_faded() -> None:
    """No click for Cyd, and bit for bit nothing for Dan."""
    house, other = hall("ann", "bob", "cyd", "dan"), hall("ann", "bob", "cyd", "dan")
    for gain in (-12.0, None, 6.0, 0.0):
        house.configure(AnchorSpec(CYD, for_me={ANN: gain}))
        for one in (house, other):
            one.run(30, "ann")
    assert jumps(house.people["cyd"].pcm(120), 440) < 2.2  # 6 dB up is twice the step
    np.testing.assert_array_equal(house.people["dan"].pcm(120), other.people["dan"].pcm(120))
    assert encodes(house, 20, "ann") == 20  # at 0 dB again she shares with the others


# Buses


def test_interpretation() -> None:
    """An interpreter hears the floor and speaks to a bus; its listeners hear the floor behind."""
    house = hall("ann", "bob", "cyd", "dan")
    house.configure(
        AnchorSpec(BOB, speaks=("fr",)),
        AnchorSpec(CYD, hears={"fr": 0.0, FLOOR: -20.0}),
        buses=("fr",),
    )
    house.run(60, "ann", "bob")
    assert heard(house, "cyd")["bob"] == pytest.approx(0, abs=1)
    assert heard(house, "cyd")["ann"] == pytest.approx(-20, abs=1.5)
    for floor in ("bob", "dan"):
        assert heard(house, floor)["ann"] == pytest.approx(0, abs=1)
        assert heard(house, floor)["bob"] < GONE
    # Bob does not hear his own bus, so his mix is the floor's; Cyd's; Ann hears nothing.
    assert encodes(house, 50, "ann", "bob") == 2 * 50


def test_everybody_who_hears_an_interpretation_shares_it() -> None:
    """Twenty listeners in French are one encode more."""
    french = tuple(f"fr{number}" for number in range(20))
    house = hall("ann", "bob", "cyd", *french)
    listeners = [AnchorSpec(PeerId(name), hears={"fr": 0.0, FLOOR: -20.0}) for name in french]
    house.configure(AnchorSpec(BOB, speaks=("fr",)), *listeners, buses=("fr",))
    house.run(60, "ann", "bob")
    assert encodes(house, 50, "ann", "bob") == 2 * 50


def test_talkback() -> None:
    """A producer speaks into one anchor's ear; nobody else hears it, nor the air."""
    tap = TapRecorder()
    house = hall("ann", "bob", "cyd", tap=tap)
    house.configure(
        AnchorSpec(ANN, speaks=("talkback",)),
        AnchorSpec(BOB, hears={FLOOR: 0.0, "talkback": 0.0}),
        buses=("talkback",),
        on_air=True,
    )
    house.run(60, "ann", "cyd")
    assert heard(house, "bob")["ann"] == pytest.approx(0, abs=1)
    assert heard(house, "bob")["cyd"] == pytest.approx(0, abs=1)
    assert heard(house, "ann")["cyd"] == pytest.approx(0, abs=1)
    aired = np.concatenate([pcm for _, pcm in tap.frames[-25:]])
    assert level_db(aired, 440) < GONE
    assert level_db(aired, pitch(house, "cyd")) == pytest.approx(TALK, abs=1)


def test_a_green_room() -> None:
    """A set that hears itself alone and does not reach the air, beside a floor that does."""
    tap = TapRecorder()
    house = hall("ann", "bob", "cyd", "dan", tap=tap)
    waiting = [AnchorSpec(peer, hears={"green": 0.0}, speaks=("green",)) for peer in (CYD, DAN)]
    house.configure(*waiting, buses=("green",), on_air=True)
    house.run(60, "ann", "cyd")
    assert heard(house, "dan")["cyd"] == pytest.approx(0, abs=1)
    assert heard(house, "dan")["ann"] < GONE
    assert heard(house, "bob")["ann"] == pytest.approx(0, abs=1)
    assert heard(house, "bob")["cyd"] < GONE
    aired = np.concatenate([pcm for _, pcm in tap.frames[-25:]])
    assert level_db(aired, pitch(house, "cyd")) < GONE
    assert level_db(aired, 440) == pytest.approx(TALK, abs=1)


def test_leaving_the_green_room_in_mid_speech_does_not_click() -> None:
    """Who hears somebody come onto the floor hears them faded in."""
    house = hall("ann", "bob", "cyd")
    house.configure(AnchorSpec(ANN, hears={"green": 0.0}, speaks=("green",)), buses=("green",))
    house.run(30, "ann")
    house.configure()
    house.run(30, "ann")
    assert heard(house, "bob")["ann"] == pytest.approx(0, abs=1)
    assert jumps(np.concatenate(house.people["bob"].heard), 440) < 1.6


def test_nothing_said_on_air_off_air() -> None:
    """The tap gets no frame while only other buses sound."""
    tap = TapRecorder()
    house = hall("ann", "bob", tap=tap)
    house.configure(AnchorSpec(ANN, speaks=("green",)), buses=("green",), on_air=True)
    house.run(30, "ann")
    assert tap.frames == []


def test_a_bus_on_air() -> None:
    """The tap hears it apart from the floor, as who hears nothing else; neither costs an encode."""
    tap = TapRecorder()
    house = hall("ann", "bob", "cyd", tap=tap)
    fr = AnchorSpec(BOB, speaks=("fr",))
    house.configure(fr, buses=("fr", "de"), on_air=True, air_buses=("fr", "de"))
    house.run(60, "ann", "bob")
    floor = np.concatenate([pcm for _, pcm in tap.frames[-25:]])
    french = np.concatenate([pcm for _, pcm in tap.of["fr"][-25:]])
    assert level_db(floor, 440) == pytest.approx(TALK, abs=1)
    assert level_db(floor, pitch(house, "bob")) < GONE
    assert level_db(french, pitch(house, "bob")) == pytest.approx(TALK, abs=1)
    assert level_db(french, 440) < GONE
    assert "de" not in tap.of
    with_air = encodes(house, 20, "ann", "bob")
    house.configure(fr, buses=("fr", "de"), on_air=True)
    heard_so_far = len(tap.of["fr"])
    assert encodes(house, 20, "ann", "bob") == with_air
    assert len(tap.of["fr"]) == heard_so_far


# Between mixes


def speech(seed: int) -> Any:
    """Return a source of noise that swells as syllables do: frame number → int16[960]."""
    random = np.random.default_rng(seed)
    noise = np.convolve(random.standard_normal(48_000 * 4), np.hanning(40) / 20, "same")
    swell = 0.5 + 0.5 * np.sin(np.arange(noise.size) / 4000)
    pcm = np.rint(noise * swell * 12_000).astype(np.int16).reshape(-1, 960)
    return lambda number: pcm[number % len(pcm)]


@pytest.mark.parametrize("voice", ["tone", "speech"])
def test_a_move_to_a_private_mix_changes_not_one_sample(voice: str) -> None:
    """Of what others say, as against a room where nobody moved; and back 1 s later.

    Bob says silence, which moves him to a mix of his own: one of the two listeners goes on with the
    encoder, the other with its copy.
    """
    decoded = []
    for speakers in (("ann",), ("ann", "bob")):
        house = hall("ann", "bob", "cyd", "dan")
        house.people["bob"].source = lambda _: np.zeros(960, np.int16)
        if voice == "speech":
            house.people["ann"].source = speech(seed=3)
        house.run(50, "ann")
        house.run(30, *speakers)
        house.run(HOLD_TICKS + 30, "ann")
        decoded.append([house.people[name].pcm(130) for name in ("bob", "cyd", "dan")])
    np.testing.assert_array_equal(decoded[0], decoded[1])


def test_a_copy_made_without_its_past_would_be_heard() -> None:
    """What the test before measures is there to be measured: a fresh encoder is 10 dB off."""
    fresh = hall("ann", "bob", "cyd", "dan")
    other = hall("ann", "bob", "cyd", "dan")
    for house in (fresh, other):
        house.run(50, "ann")
    (mix,) = [mix for mix in fresh.room._groups.mixes if len(mix.rows) > 1]
    mix._encodings[Form(Kind.CLEAR)]._encoder = None
    for house in (fresh, other):
        house.run(5, "ann")
    error = fresh.people["cyd"].pcm(5).astype(float) - other.people["cyd"].pcm(5)
    assert np.abs(error).max() > 0.3 * 32_767 * 0.3


# The plan alone


def hearers(number: int, voices: list[Voice], ear: Ear | None = None) -> list[Hearer]:
    """Return that many hearers, the first of whom own the voices."""
    own = [*voices, *[None] * number][:number]
    return [Hearer(ear or Ear(), row, voice) for row, voice in enumerate(own)]


def sounding(groups: Groups) -> None:
    """Say that every mix could be heard in the last tick."""
    for mix in groups.mixes:
        mix.is_sounding = True


def test_the_most_go_on_with_the_mix_they_had() -> None:
    """One of five comes onto the stage: four keep their encoder, the speaker branches off."""
    voice, groups = Voice(1), Groups(1)
    people = hearers(5, [voice])
    groups.regroup(people, [])
    shared = people[0].mix
    groups.regroup(people, [voice])
    assert [person.mix is shared for person in people] == [False, True, True, True, True]
    groups.regroup(people, [])
    assert {person.mix for person in people} == {shared}


def test_a_lone_hearer_takes_the_mix_along() -> None:
    """Nothing branches where nobody stays behind."""
    voice, groups = Voice(1), Groups(1)
    people = hearers(1, [voice])
    groups.regroup(people, [])
    mix = people[0].mix
    groups.regroup(people, [voice])
    assert people[0].mix is mix


def test_rows_that_change_are_faded_before_they_are_joined() -> None:
    """On their own for a while, then with those who hear the same."""
    voice, groups = Voice(1), Groups(1)
    loud, soft = hearers(3, []), hearers(2, [], Ear(frozenset({(FLOOR, 0.5)})))
    groups.regroup([*loud, *soft], [voice])
    sounding(groups)
    groups.advance([voice], [np.zeros(960, np.int16)])
    soft[0].ear = soft[1].ear = Ear()
    groups.regroup([*loud, *soft], [voice])
    assert soft[0].mix is soft[1].mix is not loud[0].mix
    frame = np.full(960, 10_000, np.int16)
    fading = {one.mix: one.frame for one in groups.advance([voice], [frame])}[_mix(soft[0])]
    assert (fading[144], fading[-1]) == (pytest.approx(5_000, abs=20), 10_000)
    for _ in range(APART_TICKS - 1):
        assert groups.is_settled
        groups.regroup([*loud, *soft], [voice])
        assert soft[0].mix is soft[1].mix is not loud[0].mix
        groups.advance([voice], [frame])
    assert not groups.is_settled
    groups.regroup([*loud, *soft], [voice])
    assert groups.is_settled
    assert {person.mix for person in (*loud, *soft)} == {loud[0].mix}


def test_what_fades_to_nothing_is_heard_to_its_end() -> None:
    """A muted voice fades out although its new gain is zero."""
    voice, groups = Voice(1, ANN), Groups(1)
    people = hearers(2, [])
    groups.regroup(people, [voice])
    groups.advance([voice], [np.full(960, 10_000, np.int16)])
    sounding(groups)
    people[0].ear = Ear(for_me=frozenset({(ANN, 0.0)}))
    groups.regroup(people, [voice])
    frames = {one.mix: one for one in groups.advance([voice], [np.full(960, 10_000, np.int16)])}
    muted = frames[_mix(people[0])]
    assert muted.has_sound
    assert muted.frame[160] > 9_000
    assert not muted.frame[640:].any()


def _mix(hearer: Hearer) -> Mix:
    assert hearer.mix is not None
    return hearer.mix


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 3), unique=True),
            st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=6, max_size=6),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_everybody_has_the_mix_of_their_row(
    scenes: list[tuple[list[int], list[float]]],
) -> None:
    """Whoever speaks, whatever is set: settled mixes are one per distinct row, and theirs.

    Each hearer's row occurs once, in the mix whose gains are what they are to hear.
    """
    voices, groups = [Voice(1, PeerId(str(number))) for number in range(4)], Groups(1)
    people = hearers(6, voices)
    frame = np.full(960, 1_000, np.int16)
    for speaking, gains in scenes:
        for person, gain in zip(people, gains, strict=True):
            person.ear = Ear(frozenset({(FLOOR, gain)}))
        stage = [voices[number] for number in speaking]
        for _ in range(APART_TICKS + 1):
            groups.regroup(people, stage)
            for one in groups.advance(stage, [frame] * len(stage)):
                one.mix.is_sounding = one.has_sound
        assert groups.is_settled
        rows = [row for mix in groups.mixes for row in mix.rows.tolist()]
        assert sorted(rows) == list(range(6))
        assert len({mix.gains for mix in groups.mixes}) == len(groups.mixes)
        for person, gain in zip(people, gains, strict=True):
            expected = tuple(0.0 if voice is person.voice else gain for voice in stage)
            assert _mix(person).gains == expected
