"""Where a room is in its life, as stored."""

import json
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.livemeta import LiveMeta, StoredState, decode_livemeta, encode_livemeta
from server.domain.room import RoomState
from server.errors import BadRecord

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize("state", [RoomState.ON_AIR, RoomState.REMOVING])
def test_round_trip(state: StoredState) -> None:
    """What was stored is read, under the reference's names."""
    live = LiveMeta(state, NOON)
    assert decode_livemeta("/k", encode_livemeta(live)) == live
    assert json.loads(encode_livemeta(live))["status"] == state.value


@given(st.binary(max_size=100))
def test_any_bytes(value: bytes) -> None:
    """Whatever lies in the store is read or a BadRecord."""
    with suppress(BadRecord):
        decode_livemeta("/k", value)


def test_no_zone() -> None:
    """A time without a zone is refused."""
    value = json.dumps({"status": "onair", "mixerId": "m", "createdAt": "2026-01-02T12:00:00"})
    with pytest.raises(BadRecord, match="time zone"):
        decode_livemeta("/k", value.encode())
