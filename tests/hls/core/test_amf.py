"""AMF0: the values of RTMP's commands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls.core.amf import BadAmf, Value, decode, encode

VALUES: st.SearchStrategy[Value] = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(VALUES, max_size=4))
def test_round_trip(values: list[Value]) -> None:
    """What is encoded is read back."""
    assert decode(encode(*values)) == values


def test_known_bytes() -> None:
    """A command is as the specification has it."""
    assert encode("a", 1, None, {"b": True}).hex(" ") == (
        "02 00 01 61 00 3f f0 00 00 00 00 00 00 05 03 00 01 62 01 01 00 00 09"
    )


def test_array() -> None:
    """An array with names is read as an object; undefined is nothing."""
    assert decode(bytes.fromhex("08 00000001 0001 61 06 0000 09")) == [{"a": None}]


@given(st.binary(max_size=60))
def test_anything(data: bytes) -> None:
    """Bytes that are no AMF0 are refused, and nothing else happens."""
    try:
        found = decode(data)
    except BadAmf:
        return
    assert isinstance(found, list)


@pytest.mark.parametrize(
    "data",
    ["02 0005 61", "00 3ff0", "0c 00", "03" + " 0001 61 03" * 10, "02 0001 ff", "03 0001 61"],
)
def test_refused(data: str) -> None:
    """What is cut, unknown, too deep or no text is refused."""
    with pytest.raises(BadAmf):
        decode(bytes.fromhex(data))
