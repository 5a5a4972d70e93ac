"""The forms of identifiers and PINs."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.identity import is_pin, room_id, user_id


@pytest.mark.parametrize("text", ["abc", "A-Z_09", "x" * 32])
def test_room_ids(text: str) -> None:
    """3 to 32 letters, digits, - and _ are a room id."""
    assert room_id(text) == text


@pytest.mark.parametrize("text", ["", "ab", "x" * 33, "a b", "abc\n", "äöü", "a/b", "..."])
def test_no_room_ids(text: str) -> None:
    """Anything else is not, and neither is a line break behind one."""
    assert room_id(text) is None


@given(st.uuids(version=4))
def test_user_ids(value: uuid.UUID) -> None:
    """A lower-case UUID version 4 is a user id; in capitals it is not."""
    assert user_id(str(value)) == str(value)
    assert user_id(str(value).upper()) is None or str(value).upper() == str(value)


@given(st.uuids(version=1) | st.uuids(version=5))
def test_other_versions(value: uuid.UUID) -> None:
    """A UUID of another version is no user id."""
    assert user_id(str(value)) is None


@pytest.mark.parametrize(
    ("text", "fits"), [("a1B2c3", True), ("12345", False), ("1234567", False), ("12345é", False)]
)
def test_pins(text: str, fits: bool) -> None:  # noqa: FBT001 - a parameter
    """A PIN is six ASCII letters or digits."""
    assert is_pin(text) is fits
