"""Tokens for keys."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain import key_token
from server.domain.identity import UserId
from server.domain.stream import Stream, StreamKey

ADA = UserId("aaaaaaaa-0000-4000-8000-000000000001")
STREAM = Stream("boot", 1000, 5000.0, (StreamKey(0, b"k" * 16, b"i" * 16),), b"s" * 32)


def test_good_until_its_last_segment() -> None:
    """A token tells its holder up to and with its last segment."""
    token = key_token.make(STREAM, ADA, 182)
    assert [key_token.read(STREAM, token, msn) for msn in (0, 182, 183)] == [ADA, ADA, None]


@pytest.mark.parametrize(
    "other", [replace(STREAM, secret=b"t" * 32), replace(STREAM, base_unix_s=4000.0)]
)
def test_another_stream(other: Stream) -> None:
    """Another room's token, and one from before media time began anew, is worth nothing."""
    assert key_token.read(other, key_token.make(STREAM, ADA, 182), 0) is None


@given(st.integers(3, 56), st.characters(codec="ascii"))
def test_forged(place: int, character: str) -> None:
    """A token that was changed anywhere says nothing else than before."""
    token = key_token.make(STREAM, ADA, 182)
    forged = token[:place] + character + token[place + 1 :]
    assert key_token.read(STREAM, forged, 0) in ((ADA,) if place == 56 else (None,)) + (
        (ADA,) if forged == token else (None,)
    )


@given(st.text(max_size=80))
def test_any_text(text: str) -> None:
    """Whatever is shown as a token raises nothing and opens nothing."""
    assert key_token.read(STREAM, text, 0) is None
    assert key_token.read(STREAM, key_token.PREFIX + text, 0) is None


def test_same_text_within_an_epoch() -> None:
    """Within an epoch the end is the same, a minute after it; the next epoch has the next."""
    ends = [key_token.last_msn(20, msn) for msn in (0, 19, 20, 39, 40)]
    assert ends == [52, 52, 72, 72, 92]


@pytest.mark.parametrize("every", [0, 100_000])
def test_seldom(every: int) -> None:
    """Where keys change seldom or never, a token lasts about an hour."""
    assert key_token.last_msn(every, 5) == 1875 + 32
