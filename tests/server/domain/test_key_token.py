"""Tokens for keys."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain import key_token
from server.domain.identity import UserId
from server.domain.stream import Stream, StreamKey

ADA = UserId("aaaaaaaa-0000-4000-8000-000000000001")
KEYS = tuple(StreamKey(n, b"k" * 16, b"i" * 16, 150 * n) for n in range(2))
STREAM = Stream("boot", 1000, 5000.0, KEYS, b"s" * 32)


def test_one_epoch_of_one_listener() -> None:
    """A token tells whom and what epoch it is for, and is always the same text."""
    token = key_token.make(STREAM, ADA, 182)
    assert key_token.read(STREAM, token) == (ADA, 182)
    later = replace(STREAM, keys=KEYS[1:], boot="another", base_tick=7)
    assert key_token.make(later, ADA, 182) == token
    assert len({token, key_token.make(STREAM, ADA, 183)}) == 2


def test_end() -> None:
    """The key of an epoch is needed until its last segment left the window, and a minute longer."""
    last = 150 + 8 + key_token.SLACK
    for epoch, is_over in ((0, [False, True]), (1, [False, False]), (7, [False, False])):
        assert [key_token.is_over(STREAM, epoch, msn, 8) for msn in (last, last + 1)] == is_over
    later = replace(STREAM, keys=KEYS[1:])
    assert key_token.is_over(later, 0, last + 1, 8), "and if the key is known no more"


@pytest.mark.parametrize(
    "other", [replace(STREAM, secret=b"t" * 32), replace(STREAM, base_unix_s=4000.0)]
)
def test_another_stream(other: Stream) -> None:
    """Another room's token, and one from before media time began anew, is worth nothing."""
    assert key_token.read(other, key_token.make(STREAM, ADA, 182)) is None


@given(st.integers(3, 56), st.characters(codec="ascii"))
def test_forged(place: int, character: str) -> None:
    """A token that was changed anywhere says nothing else than before."""
    token = key_token.make(STREAM, ADA, 182)
    forged = token[:place] + character + token[place + 1 :]
    said = (ADA, 182)
    assert key_token.read(STREAM, forged) in ((said,) if place == 56 else (None,)) + (
        (said,) if forged == token else (None,)
    )


@given(st.text(max_size=80))
def test_any_text(text: str) -> None:
    """Whatever is shown as a token raises nothing and opens nothing."""
    assert key_token.read(STREAM, text) is None
    assert key_token.read(STREAM, key_token.PREFIX + text) is None
