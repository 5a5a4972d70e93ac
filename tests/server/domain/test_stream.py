"""A broadcast's key and clock."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.types import RoomId
from server.domain.stream import Stream, decode_stream, encode_stream
from server.errors import BadRecord

STREAM = Stream(3, b"k" * 16, b"i" * 16, "boot", base_tick=1000, base_unix_s=5000.0)
STREAMS = st.builds(
    Stream,
    epoch=st.integers(0, 999),
    key=st.binary(min_size=16, max_size=16),
    iv=st.binary(min_size=16, max_size=16),
    boot=st.text(st.characters(codec="utf-8")),
    base_tick=st.integers(-(2**40), 2**40),
    base_unix_s=st.floats(0, 1e10),
)


@given(STREAMS)
def test_round_trip(stream: Stream) -> None:
    """A stream is the same after it was stored and read."""
    assert decode_stream("/k", encode_stream(stream)) == stream


@given(st.binary(max_size=200))
def test_any_bytes(value: bytes) -> None:
    """Whatever lies in the store is a stream or a BadRecord."""
    with suppress(BadRecord):
        decode_stream("/k", value)


@pytest.mark.parametrize("change", [{"key": "ab"}, {"iv": "g" * 32}, {"baseUnix": float("inf")}])
def test_wrong_record(change: dict[str, object]) -> None:
    """A key or time that cannot be is refused, and not shown."""
    value = json.dumps(json.loads(encode_stream(STREAM)) | change).encode()
    with pytest.raises(BadRecord, match="1 wrong fields"):
        decode_stream("/k", value)


def test_same_boot() -> None:
    """In the same boot the clock goes on, whatever was done to the wall clock."""
    assert STREAM.continued("boot", 9999, 0.0) is STREAM


def test_other_boot() -> None:
    """After another boot the wall clock says how much time went by."""
    again = STREAM.continued("other", 200, 5010.0)
    assert (again.boot, again.base_tick, again.base_unix_s) == ("other", 200 - 500, 5000.0)


def test_wall_clock_behind() -> None:
    """If the wall clock runs behind its own past, media time starts anew."""
    again = STREAM.continued("other", 200, 4000.0)
    assert (again.base_tick, again.base_unix_s) == (200, 4000.0)


def test_spec() -> None:
    """The plane gets the key under the address where it is served."""
    spec = STREAM.spec(RoomId("demo"), 9)
    assert [key.uri for key in spec.keys] == ["/hls/rooms/demo/3/enc.key"]
    assert (spec.version, spec.base_tick, spec.on_air) == (9, 1000, True)
