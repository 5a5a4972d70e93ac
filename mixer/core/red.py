"""Redundant audio (RFC 2198): a packet that carries earlier frames beside its own.

Chrome offers it as `red/48000/2` and sends one earlier Opus frame with each packet. A block's
header has 14 bits for how much earlier it begins and 10 for its length, which is all it can say.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MAX_OFFSET = 0x3FFF
"""Samples; 341 ms at 48 kHz."""
MAX_BLOCK_BYTES = 0x3FF
MAX_REDUNDANT = 16
"""Blocks we read beside the primary one: 16 of 20 ms are all that an offset can reach."""

_FOLLOWED = 0x80
_HEADER_BYTES = 4


@dataclass(frozen=True, slots=True)
class Block:
    """One encoding of one piece of time."""

    payload_type: int
    offset: int
    """How many timestamp units before the packet's own timestamp it begins; 0 for the primary."""
    payload: bytes


def split_red(payload: bytes) -> tuple[Block, ...]:
    """Return the blocks of a RED payload, the primary one last; none if it is malformed.

    Empty redundant blocks, which senders use to say that they have nothing, are left out. An empty
    primary block, or more than `MAX_REDUNDANT` beside it, is malformed. Never raises (RFC 2198 §3).
    """
    headers: list[tuple[int, int, int]] = []
    at = 0
    while at < len(payload) and payload[at] & _FOLLOWED:
        if at + _HEADER_BYTES > len(payload) or len(headers) == MAX_REDUNDANT:
            return ()
        word = int.from_bytes(payload[at + 1 : at + _HEADER_BYTES], "big")
        headers.append((payload[at] & 0x7F, word >> 10, word & MAX_BLOCK_BYTES))
        at += _HEADER_BYTES
    if at >= len(payload):
        return ()
    primary_type = payload[at]
    at += 1
    blocks = []
    for payload_type, offset, length in headers:
        if length and at + length < len(payload):
            blocks.append(Block(payload_type, offset, payload[at : at + length]))
        at += length
    if at >= len(payload):
        return ()
    return (*blocks, Block(primary_type, 0, payload[at:]))


def pack_red(payload_type: int, primary: bytes, earlier: Sequence[tuple[int, bytes]] = ()) -> bytes:
    """Return the RED payload of a frame and of `earlier` ones: (offset, payload), oldest first.

    What a header cannot describe is left out: an offset outside 1 to `MAX_OFFSET`, a block that is
    empty or longer than `MAX_BLOCK_BYTES`. `payload_type` is that of all blocks, 0 to 127.
    """
    fitting = [
        (offset, block)
        for offset, block in earlier[-MAX_REDUNDANT:]
        if 0 < offset <= MAX_OFFSET and 0 < len(block) <= MAX_BLOCK_BYTES
    ]
    headers = b"".join(
        bytes([_FOLLOWED | payload_type]) + (offset << 10 | len(block)).to_bytes(3, "big")
        for offset, block in fitting
    )
    return b"".join((headers, bytes([payload_type]), *(block for _, block in fitting), primary))
