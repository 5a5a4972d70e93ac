"""Redundant audio."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.core.red import MAX_BLOCK_BYTES, MAX_OFFSET, MAX_REDUNDANT, Block, pack_red, split_red

TYPE = 111


@pytest.mark.parametrize("level", [0, 1, 2])
def test_what_is_packed_is_split(level: int) -> None:
    """The blocks come back with their offsets, the primary one last."""
    earlier = [(960 * n, bytes([n]) * 40) for n in range(level, 0, -1)]
    blocks = split_red(pack_red(TYPE, b"primary", earlier))
    assert blocks == (*(Block(TYPE, *each) for each in earlier), Block(TYPE, 0, b"primary"))


def test_the_bytes_are_those_of_the_rfc() -> None:
    """RFC 2198 §3: a bit that another follows, 7 of type, 14 of offset, 10 of length."""
    packed = pack_red(TYPE, b"now", [(960, b"then")])
    assert packed == bytes([0x80 | TYPE, 0x0F, 0x00, 0x04, TYPE]) + b"thennow"


@pytest.mark.parametrize(
    "earlier", [(0, b"x"), (MAX_OFFSET + 1, b"x"), (960, b""), (960, bytes(MAX_BLOCK_BYTES + 1))]
)
def test_what_a_header_cannot_say_is_left_out(earlier: tuple[int, bytes]) -> None:
    """The primary block is sent alone then."""
    assert split_red(pack_red(TYPE, b"now", [earlier])) == (Block(TYPE, 0, b"now"),)


def test_the_largest_block_and_offset_are_carried() -> None:
    """1,023 bytes, 16,383 samples."""
    earlier = (MAX_OFFSET, bytes(MAX_BLOCK_BYTES))
    assert split_red(pack_red(TYPE, b"now", [earlier]))[0] == Block(TYPE, *earlier)


def test_an_empty_redundant_block_says_nothing() -> None:
    """Senders that have no earlier frame yet send one of length 0."""
    payload = bytes([0x80 | TYPE, 0x0F, 0x00, 0x00, TYPE]) + b"now"
    assert split_red(payload) == (Block(TYPE, 0, b"now"),)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        bytes([TYPE]),  # nothing behind the header
        bytes([0x80 | TYPE]),
        bytes([0x80 | TYPE, 0x0F, 0x00]),  # half a header
        bytes([0x80 | TYPE, 0x0F, 0x00, 0x04]),  # no primary header
        bytes([0x80 | TYPE, 0x0F, 0x00, 0x04, TYPE]) + b"the",  # less than it says
        bytes([0x80 | TYPE, 0x0F, 0x00, 0x04, TYPE]) + b"then",  # no primary block
        bytes([0x80 | TYPE, 0x0F, 0x00, 0x00]) * (MAX_REDUNDANT + 1) + bytes([TYPE, 1]),
    ],
)
def test_a_malformed_payload_has_no_blocks(payload: bytes) -> None:
    """Not even the primary one: where it begins is not known."""
    assert split_red(payload) == ()


@given(st.binary(max_size=80))
def test_any_bytes_are_survived(payload: bytes) -> None:
    """Whatever is found is a part of the payload, and no more than it holds."""
    blocks = split_red(payload)
    assert sum(len(block.payload) for block in blocks) <= len(payload)
    assert all(block.payload and block.payload in payload for block in blocks)
    assert all(block.offset <= MAX_OFFSET for block in blocks)
