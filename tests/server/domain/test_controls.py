"""What is decided about one person, as a stored value."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.core.speccheck import AGC_DBOV, GAIN_DB, PAN
from mixer.types import FLOOR, AnchorSpec, PeerId, Profile
from server.domain.controls import PLAIN, Controls, decode_controls, encode_controls
from server.errors import BadRecord

TEXT = st.text(st.characters(codec="utf-8"), max_size=32)
GAINS = st.floats(*GAIN_DB)
CONTROLS = st.builds(
    Controls,
    muted=st.booleans(),
    gain_db=GAINS,
    pan=st.floats(*PAN),
    agc_target_dbov=st.none() | st.floats(*AGC_DBOV),
    speaks=st.lists(TEXT, max_size=3).map(tuple),
    hears=st.dictionaries(TEXT, GAINS, max_size=3),
    profile=st.none() | st.sampled_from(Profile),
)


@given(CONTROLS)
def test_round_trip(controls: Controls) -> None:
    """Controls are the same after they were stored and read."""
    assert decode_controls("/k", encode_controls(controls)) == controls


@given(st.binary(max_size=200) | st.from_regex(rb"\{.*\}", fullmatch=True))
def test_any_bytes(value: bytes) -> None:
    """Whatever lies in the store is controls or a BadRecord, never another error."""
    with suppress(BadRecord):
        decode_controls("/k", value)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"gain_db": 21},
        {"gain_db": None},
        {"pan": -1.5},
        {"agc_target_dbov": 0},
        {"hears": {"floor": 99}},
        {"speaks": "floor"},
        {"profile": "opera"},
    ],
)
def test_wrong_record(change: dict[str, object]) -> None:
    """A record of a newer version, or with what no mixer would take, is refused."""
    value = json.dumps(json.loads(encode_controls(PLAIN)) | change).encode()
    with pytest.raises(BadRecord):
        decode_controls("/k", value)


@pytest.mark.parametrize(
    ("decided", "own", "muted"),
    [(False, False, False), (False, True, True), (True, False, True), (True, True, True)],
)
def test_muted(*, decided: bool, own: bool, muted: bool) -> None:
    """Who is muted by the room, or by themselves, is muted."""
    assert Controls(muted=decided).anchor(PeerId("ada"), muted=own, for_me={}).muted is muted


def test_anchor() -> None:
    """The mixer gets all of it; of whom nothing was decided, its own defaults."""
    controls = Controls(False, -3.0, 0.5, -20.0, ("fr",), {"fr": -6.0}, Profile.VOICE)
    assert controls.anchor(PeerId("ada"), muted=False, for_me={}) == AnchorSpec(
        PeerId("ada"),
        gain_db=-3.0,
        pan=0.5,
        agc_target_dbov=-20.0,
        speaks=("fr",),
        hears={"fr": -6.0},
        profile=Profile.VOICE,
    )
    assert PLAIN.anchor(PeerId("ada"), muted=False, for_me={}) == AnchorSpec(PeerId("ada"))


def test_within() -> None:
    """A bus the room has no more is spoken to and heard by nobody; the floor is always there."""
    controls = Controls(speaks=("fr", FLOOR), hears={"fr": 0.0, "de": -3.0})
    assert controls.within(("fr", "de")) is controls
    assert controls.within(("de",)) == Controls(speaks=(FLOOR,), hears={"de": -3.0})
    assert Controls(speaks=("fr",)).within(()).speaks == ()
