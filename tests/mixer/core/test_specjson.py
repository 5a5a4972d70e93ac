"""Specs of rooms as they stand in recordings."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.core.specjson import read_spec, write_spec
from mixer.errors import ClientMistake
from mixer.types import (
    AnchorSpec,
    ArrivalsSpec,
    ForwarderSpec,
    PeerId,
    Profile,
    RoomId,
    RoomSpec,
    RtpParticipantSpec,
)

ROOM = RoomId("room")
names = st.text(max_size=8).map(PeerId)
gains = st.floats(-60, 20)
anchors = st.builds(
    AnchorSpec,
    names,
    st.booleans(),
    gains,
    st.floats(-1, 1),
    st.none() | st.floats(-40, -6),
    st.dictionaries(st.sampled_from(["floor", "booth"]), gains),
    st.lists(st.sampled_from(["floor", "booth"])).map(tuple),
    st.dictionaries(names, st.none() | gains, max_size=4),
    st.none() | st.sampled_from(Profile),
)
specs = st.builds(
    RoomSpec,
    st.just(ROOM),
    st.just(1),
    st.lists(anchors, max_size=5).map(tuple),
    st.booleans(),
    profile=st.sampled_from(Profile),
    loudest=st.integers(0, 9),
    automix=st.booleans(),
    buses=st.just(("booth",)),
    air_buses=st.sampled_from([(), ("booth",)]),
)


@given(specs)
def test_a_spec_comes_back(spec: RoomSpec) -> None:
    """Through JSON, every field of it."""
    assert read_spec(ROOM, json.loads(json.dumps(write_spec(spec)))) == spec


def test_what_has_its_default_is_left_out() -> None:
    """A room of a thousand fits in a record."""
    spec = RoomSpec(ROOM, 7, (AnchorSpec(PeerId("ann")), AnchorSpec(PeerId("bob"), muted=True)))
    assert write_spec(spec) == {"anchors": [{"peer": "ann"}, {"peer": "bob", "muted": True}]}


def test_addresses_are_left_out() -> None:
    """Where plain RTP comes from and goes to is nobody's business here, nor who asked."""
    spec = RoomSpec(
        ROOM,
        1,
        forwarders=(ForwarderSpec("f", "192.0.2.1", 5004, 7),),
        rtp=(RtpParticipantSpec(PeerId("trunk")),),
        arrivals=ArrivalsSpec("w", 1, 2.0),
    )
    assert write_spec(spec) == {"anchors": []}
    assert read_spec(ROOM, write_spec(spec)) == replace(spec, forwarders=(), rtp=(), arrivals=None)


@pytest.mark.parametrize(
    ("written", "error"),
    [
        ({"anchors": [], "loudest": -1}, ClientMistake),
        ({"anchors": [{"peer": "a", "gain_db": 99}]}, ClientMistake),
        ({"anchors": [{"peer": "a", "hears": {"nowhere": 0.0}}]}, ClientMistake),
        ({"anchors": [], "profile": "karaoke"}, ValueError),
        ({"anchors": [{"name": "a"}]}, TypeError),
        ({"anchors": [{"peer": "a", "gain_db": "loud"}]}, TypeError),
        ({}, KeyError),
    ],
)
def test_what_is_no_spec_is_refused(written: dict[str, Any], error: type[Exception]) -> None:
    """Out of range, unknown, or missing."""
    with pytest.raises(error):
        read_spec(ROOM, written)
