"""SRTP in place, against pylibsrtp's own calls."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pylibsrtp import Policy, Session

from mixer.rtc.block import DatagramBlock
from mixer.rtc.srtp import MAX_PAYLOAD_BYTES, RowPointers, SrtpContext, protect_rows, unprotect_row

KEY = bytes(range(30))
PROFILES = [
    pytest.param(Policy.SRTP_PROFILE_AES128_CM_SHA1_80, id="AES-CM"),
    pytest.param(Policy.SRTP_PROFILE_AEAD_AES_128_GCM, id="AES-GCM"),
]


def session(direction: int, profile: int = Policy.SRTP_PROFILE_AES128_CM_SHA1_80) -> Session:
    return Session(Policy(key=KEY, ssrc_type=direction, srtp_profile=profile))


def packet(sequence: int, payload: bytes = b"payload") -> bytes:
    return struct.pack("!BBHII", 0x80, 111, sequence & 0xFFFF, sequence * 960, 0xABCD) + payload


def filled(*packets: bytes) -> tuple[DatagramBlock, RowPointers]:
    block = DatagramBlock(max(1, len(packets)))
    for row, content in enumerate(packets):
        block.data[row, : len(content)] = np.frombuffer(content, np.uint8)
        block.lengths[row] = len(content)
    return block, RowPointers(block)


def row_bytes(block: DatagramBlock, row: int) -> bytes:
    return block.data[row, : block.lengths[row]].tobytes()


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("size", [0, 1, 80, 240, 1300])
def test_rows_are_protected_as_pylibsrtp_would(profile: int, size: int) -> None:
    """The same bytes and lengths, row by row, over a wrap of the sequence number."""
    packets = [packet(sequence, b"p" * size) for sequence in range(65_533, 65_539)]
    block, pointers = filled(*packets)
    ours = SrtpContext(session(Policy.SSRC_ANY_OUTBOUND, profile))
    assert not protect_rows(pointers, [ours.handle] * len(packets))
    theirs = session(Policy.SSRC_ANY_OUTBOUND, profile)
    expected = [theirs.protect(content) for content in packets]
    assert [row_bytes(block, row) for row in range(len(packets))] == expected


def test_the_longest_payload_comes_back_as_it_was() -> None:
    """Longer than pylibsrtp takes by itself, and the trailer fits the row."""
    content = packet(7, b"p" * MAX_PAYLOAD_BYTES)
    block, pointers = filled(content)
    outbound = SrtpContext(session(Policy.SSRC_ANY_OUTBOUND))
    assert not protect_rows(pointers, [outbound.handle])
    assert unprotect_row(pointers, 0, SrtpContext(session(Policy.SSRC_ANY_INBOUND)))
    assert row_bytes(block, 0) == content


def test_a_row_comes_back_as_it_was() -> None:
    """Unprotecting in place undoes protecting in place."""
    block, pointers = filled(packet(7))
    outbound = SrtpContext(session(Policy.SSRC_ANY_OUTBOUND))
    protect_rows(pointers, [outbound.handle])
    inbound = SrtpContext(session(Policy.SSRC_ANY_INBOUND))
    assert unprotect_row(pointers, 0, inbound)
    assert row_bytes(block, 0) == packet(7)


def test_a_row_without_a_context_fails_alone() -> None:
    """The others are protected; the failed one still holds clear text and says so."""
    block, pointers = filled(packet(1), packet(2), packet(3))
    context = SrtpContext(session(Policy.SSRC_ANY_OUTBOUND))
    assert protect_rows(pointers, [context.handle, None, context.handle]) == [1]
    assert row_bytes(block, 1) == packet(2)


def test_a_row_that_libsrtp_refuses_fails_alone() -> None:
    """A packet shorter than its header."""
    _block, pointers = filled(packet(1)[:8], packet(2))
    context = SrtpContext(session(Policy.SSRC_ANY_OUTBOUND))
    assert protect_rows(pointers, [context.handle] * 2) == [0]


def test_a_replayed_row_is_refused() -> None:
    """Each packet is taken once."""
    protected = session(Policy.SSRC_ANY_OUTBOUND).protect(packet(7))
    _block, pointers = filled(protected, protected)
    inbound = SrtpContext(session(Policy.SSRC_ANY_INBOUND))
    assert [unprotect_row(pointers, row, inbound) for row in (0, 1)] == [True, False]


@given(st.binary(max_size=1500))
def test_any_row_is_refused(junk: bytes) -> None:
    """Bytes that nobody signed neither pass nor crash, and their length stays what it was."""
    block, pointers = filled(junk)
    assert not unprotect_row(pointers, 0, SrtpContext(session(Policy.SSRC_ANY_INBOUND)))
    assert 0 <= block.lengths[0] <= len(junk)


@given(st.binary(max_size=1700))
def test_any_rtcp_is_refused(junk: bytes) -> None:
    """The same for RTCP, of any length."""
    context = SrtpContext(session(Policy.SSRC_ANY_INBOUND))
    assert context.unprotect_rtcp(junk) is None


def test_rtcp_comes_back_as_it_was() -> None:
    """Both ways through a context; what is too long is None."""
    report = b"\x80\xc9\x00\x01\x00\x00\x12\x34"
    protected = SrtpContext(session(Policy.SSRC_ANY_OUTBOUND)).protect_rtcp(report)
    assert protected is not None
    assert SrtpContext(session(Policy.SSRC_ANY_INBOUND)).unprotect_rtcp(protected) == report
    assert SrtpContext(session(Policy.SSRC_ANY_OUTBOUND)).protect_rtcp(report * 200) is None
