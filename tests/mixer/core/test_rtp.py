"""The RTP plane over blocks."""

import struct

import aioice.stun
import numpy as np
import pytest
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensionsMap, RtpPacket
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mixer.core.rtp import (
    MAX_DATAGRAM,
    NO_LEVEL,
    Headers,
    Kind,
    classify,
    header_length,
    parse_headers,
    payload,
    write_headers,
)

WIDTH = 1600
LEVEL_ID = 3
MID_ID = 5

EXTENSIONS = HeaderExtensionsMap()
EXTENSIONS.configure(
    RTCRtpParameters(
        headerExtensions=[
            RTCRtpHeaderExtensionParameters(
                id=LEVEL_ID, uri="urn:ietf:params:rtp-hdrext:ssrc-audio-level"
            ),
            RTCRtpHeaderExtensionParameters(id=MID_ID, uri="urn:ietf:params:rtp-hdrext:sdes:mid"),
        ]
    )
)


def block_of(*datagrams: bytes, width: int = WIDTH) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Lay datagrams into a block whose left-over bytes are noise that looks like headers."""
    block = np.full((len(datagrams), width), 0x90, np.uint8)
    for row, datagram in zip(block, datagrams, strict=True):
        row[: min(width, len(datagram))] = np.frombuffer(datagram, np.uint8)[:width]
    return block, np.array([len(datagram) for datagram in datagrams], np.int32)


def kind_of(datagram: bytes, width: int = WIDTH) -> Kind:
    """Classify one datagram."""
    return Kind(classify(*block_of(datagram, width=width))[0])


def parse(*datagrams: bytes, level_id: int = LEVEL_ID) -> Headers:
    """Parse the headers of these datagrams."""
    block, lengths = block_of(*datagrams)
    count = len(datagrams)
    return parse_headers(block, lengths, np.arange(count), np.full(count, level_id, np.uint8))


def extended(profile: int, elements: bytes, csrcs: int = 0) -> bytes:
    """Return a packet with these extension elements and the payload `b"opus"`."""
    elements += bytes(-len(elements) % 4)
    fixed = struct.pack("!BBHLL", 0x90 | csrcs, 0x80 | 111, 7, 8, 9)
    head = struct.pack("!HH", profile, len(elements) // 4)
    return fixed + bytes(4 * csrcs) + head + elements + b"opus"


STUN = bytes(
    aioice.stun.Message(
        aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST, transaction_id=bytes(12)
    )
)
DTLS = bytes([22, 254, 253]) + bytes(10)
RTP = struct.pack("!BBHLL", 0x80, 111, 1, 2, 3)
RTCP = struct.pack("!BBHL", 0x80, 201, 1, 3)


@pytest.mark.parametrize(
    ("datagram", "kind"),
    [(STUN, Kind.STUN), (DTLS, Kind.DTLS), (RTP, Kind.RTP), (RTCP, Kind.RTCP)],
)
def test_every_protocol_is_told_from_its_shortest_datagram(datagram: bytes, kind: Kind) -> None:
    """A datagram as short as its protocol allows is of its kind, one byte less is junk."""
    assert kind_of(datagram) is kind
    assert kind_of(datagram[:-1]) is Kind.JUNK
    assert kind_of(datagram + bytes(200)) is kind


@pytest.mark.parametrize("first", range(256))
def test_the_first_byte_decides(first: int) -> None:
    """RFC 7983's ranges, without the protocols we do not speak (ZRTP, TURN channels)."""
    expected = {
        **dict.fromkeys(range(4), Kind.STUN),
        **dict.fromkeys(range(20, 64), Kind.DTLS),
        **dict.fromkeys(range(128, 192), Kind.RTP),
    }
    datagram = bytes([first]) + STUN[1:] + bytes(20)
    assert kind_of(datagram) is expected.get(first, Kind.JUNK)


@pytest.mark.parametrize("second", range(256))
def test_the_second_byte_tells_rtcp_from_rtp(second: int) -> None:
    """RFC 5761 §4: packet types 192 to 223 are RTCP."""
    kind = Kind.RTCP if 192 <= second <= 223 else Kind.RTP
    assert kind_of(bytes([0x80, second]) + bytes(10)) is kind


def test_stun_needs_its_cookie() -> None:
    """A datagram with STUN's first byte and another cookie is junk."""
    assert kind_of(STUN[:4] + b"\x21\x12\xa4\x43" + STUN[8:]) is Kind.JUNK


@pytest.mark.parametrize(
    ("length", "width", "kind"),
    [
        (MAX_DATAGRAM, WIDTH, Kind.RTP),
        (MAX_DATAGRAM + 1, WIDTH, Kind.JUNK),
        (400, 400, Kind.RTP),
        (401, 400, Kind.JUNK),
    ],
)
def test_an_oversized_or_truncated_datagram_is_junk(length: int, width: int, kind: Kind) -> None:
    """Nothing longer than an Ethernet frame or than its row is looked at."""
    assert kind_of(RTP + bytes(length - 12), width) is kind


@pytest.mark.parametrize("length", [0, -1])
def test_nothing_received_is_junk(length: int) -> None:
    """An empty datagram is junk, whatever an earlier one left in its row."""
    block, _ = block_of(RTP)
    assert classify(block, np.array([length], np.int32))[0] == Kind.JUNK


@given(st.lists(st.binary(max_size=1700), min_size=1, max_size=8))
def test_classifying_survives_anything(datagrams: list[bytes]) -> None:
    """Any datagrams are classified, each as if it were alone."""
    kinds = classify(*block_of(*datagrams))
    assert [Kind(kind) for kind in kinds] == [kind_of(datagram) for datagram in datagrams]


def test_no_rows_make_no_headers() -> None:
    """An empty batch is read, written and classified without complaint."""
    nothing = np.zeros(0, np.intp)
    empty = np.zeros(0, np.uint8)
    block, lengths = block_of(RTP)
    assert parse_headers(block, lengths, nothing, empty).valid.size == 0
    assert classify(block[:0], lengths[:0]).size == 0
    write_headers(
        block,
        nothing,
        payload_type=1,
        marker=False,
        sequence=empty.astype(np.uint16),
        timestamp=empty.astype(np.uint32),
        ssrc=empty.astype(np.uint32),
        level_id=empty,
        level_dbov=empty.astype(np.int16),
    )


PACKETS = st.builds(
    RtpPacket,
    payload_type=st.integers(0, 127),
    marker=st.integers(0, 1),
    sequence_number=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 2**32 - 1),
    ssrc=st.integers(0, 2**32 - 1),
    payload=st.binary(max_size=60),
)


@given(
    PACKETS,
    st.lists(st.integers(0, 2**32 - 1), max_size=15),
    st.none() | st.tuples(st.booleans(), st.integers(0, 127)),
    st.none() | st.text("abc0", min_size=1, max_size=20),
    st.integers(0, 255),
)
def test_headers_agree_with_aiortc(
    packet: RtpPacket,
    csrcs: list[int],
    level: tuple[bool, int] | None,
    mid: str | None,
    padding: int,
) -> None:
    """What aiortc writes, we read: fields, CSRCs, one- and two-byte extensions, padding."""
    packet.csrc = csrcs
    packet.extensions.audio_level = level
    packet.extensions.mid = mid
    packet.padding_size = padding
    data = packet.serialize(EXTENSIONS)
    headers = parse(data)
    assert headers.valid[0]
    assert headers.payload_type[0] == packet.payload_type
    assert headers.marker[0] == bool(packet.marker)
    assert headers.sequence[0] == packet.sequence_number
    assert headers.timestamp[0] == packet.timestamp
    assert headers.ssrc[0] == packet.ssrc
    assert headers.level_dbov[0] == (NO_LEVEL if level is None else -level[1])
    assert headers.voice[0] == (level is not None and level[0])
    row = np.frombuffer(data, np.uint8)
    assert payload(row, int(headers.payload_offset[0]), len(data)) == packet.payload


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=6), st.integers(0, 255))
def test_parsing_survives_anything(tails: list[bytes], level_id: int) -> None:
    """Random packets are valid only if their payload begins inside them; rows do not interact."""
    datagrams = [b"\x90" + tail for tail in tails]
    headers = parse(*datagrams, level_id=level_id)
    for index, datagram in enumerate(datagrams):
        alone = parse(datagram, level_id=level_id)
        assert alone.valid[0] == headers.valid[index]
        assert alone.level_dbov[0] == headers.level_dbov[index]
        if alone.valid[0]:
            assert 12 <= headers.payload_offset[index] <= len(datagram)


@given(st.sampled_from([0xBEDE, 0x1000, 0x1005, 0x1234]), st.binary(max_size=60))
def test_extensions_survive_anything(profile: int, elements: bytes) -> None:
    """Random elements give a level, none, or an invalid row; the header stays readable."""
    headers = parse(extended(profile, elements))
    assert headers.sequence[0] == 7
    assert -127 <= headers.level_dbov[0] <= 0 or headers.level_dbov[0] == NO_LEVEL


ONE, TWO = 0xBEDE, 0x1000


@pytest.mark.parametrize(
    ("profile", "elements", "level"),
    [
        (ONE, b"\x30\x94", -20),
        (ONE, b"\x51ab\x30\x94", -20),
        (ONE, b"\x00\x00\x30\x94", -20),
        (ONE, b"\x51ab\x00\x00\x00\x00\x30\x94", -20),
        (ONE, b"\x50a", NO_LEVEL),
        (ONE, b"\xf0\x00\x30\x94", NO_LEVEL),  # id 15 ends the extension
        (ONE, b"\x01ab\x30\x94", NO_LEVEL),  # id 0 with a length does too
        (ONE, bytes(20) + b"\x30\x94", NO_LEVEL),  # farther in than anybody puts it
        (ONE, b"", NO_LEVEL),
        (TWO, b"\x03\x01\x94", -20),
        (TWO, b"\x05\x00\x00\x03\x01\x94", -20),
        (TWO | 7, b"\x05\x02ab\x03\x01\x94", -20),
        (TWO, b"\x03\x00", NO_LEVEL),
        (0x1234, b"\x30\x94", NO_LEVEL),
    ],
)
def test_the_level_is_found_among_elements(profile: int, elements: bytes, level: int) -> None:
    """RFC 8285's one- and two-byte elements are walked to the level, padding included."""
    headers = parse(extended(profile, elements, csrcs=2))
    assert headers.valid[0]
    assert headers.level_dbov[0] == level
    assert headers.voice[0] == (level != NO_LEVEL)


@pytest.mark.parametrize(
    "datagram",
    [
        b"\x40" + RTP[1:],  # version 1
        b"\x8f" + RTP[1:] + bytes(59),  # CSRCs cut off
        b"\x90" + RTP[1:] + b"\xbe\xde\x00",  # extension header cut off
        b"\x90" + RTP[1:] + b"\xbe\xde\x00\x02" + bytes(7),  # extension cut off
        b"\x90" + RTP[1:] + b"\xbe\xde\xff\xff" + bytes(40),
        extended(ONE, b"\x00\x00\x00\x5f"),  # element reaches out of the extension
        extended(TWO, b"\x00\x00\x00\x05"),
        extended(TWO, b"\x00\x00\x05\x01"),
        RTP + bytes(WIDTH),
    ],
)
def test_what_points_outside_the_datagram_is_invalid(datagram: bytes) -> None:
    """A length inside a packet never reaches into what lies behind it."""
    assert not parse(datagram).valid[0]


def test_without_a_negotiated_id_no_level_is_read() -> None:
    """Elements of a peer that did not negotiate the level are left alone."""
    headers = parse(extended(ONE, b"\x30\x94"), level_id=0)
    assert headers.valid[0]
    assert headers.level_dbov[0] == NO_LEVEL


def test_rows_may_be_any_of_the_block() -> None:
    """Headers come in the order of `rows`, with each row's own level id."""
    block, lengths = block_of(RTP, extended(ONE, b"\x30\x94"), extended(ONE, b"\x70\x05"))
    headers = parse_headers(block, lengths, np.array([2, 0, 1]), np.array([7, 7, 3], np.uint8))
    assert headers.level_dbov.tolist() == [-5, NO_LEVEL, -20]
    assert headers.payload_offset.tolist() == [20, 12, 20]


@pytest.mark.parametrize(
    ("padding", "expected"),
    [(b"\x01", b"opus"), (b"xx\x03", b"opus"), (b"\x05", b""), (b"\x06", None), (b"\x00", None)],
)
def test_padding_is_stripped_or_refused(padding: bytes, expected: bytes | None) -> None:
    """RFC 3550 §5.1: the last byte counts itself and must not reach into the header."""
    data = b"\xa0" + RTP[1:] + b"opus" + padding
    assert payload(np.frombuffer(data, np.uint8), 12, len(data)) == expected


@pytest.mark.parametrize(("offset", "length"), [(13, 12), (0, 12), (12, 13), (-5, 12), (12, -1)])
def test_a_payload_outside_the_row_is_none(offset: int, length: int) -> None:
    """Offsets that do not fit the row give nothing, not somebody else's bytes."""
    assert payload(np.frombuffer(RTP, np.uint8), offset, length) is None


SENT = st.lists(
    st.tuples(
        st.integers(0, 127),
        st.booleans(),
        st.integers(0, 0xFFFF),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**32 - 1),
        st.sampled_from([0, LEVEL_ID]),
        st.integers(-127, 0),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@given(SENT)
def test_written_headers_agree_with_aiortc(sent: list[tuple[int, ...]]) -> None:
    """What we write, aiortc reads; a row without a level has 12 bytes, with one 20."""
    block = np.full((len(sent) + 3, 64), 0xEE, np.uint8)
    rows = np.arange(len(sent))[::-1] + 3
    types, markers, sequences, timestamps, ssrcs, ids, levels, voices = zip(*sent, strict=True)
    write_headers(
        block,
        rows,
        payload_type=np.array(types, np.uint8),
        marker=np.array(markers),
        sequence=np.array(sequences, np.uint16),
        timestamp=np.array(timestamps, np.uint32),
        ssrc=np.array(ssrcs, np.uint32),
        level_id=np.array(ids, np.uint8),
        level_dbov=np.array(levels, np.int16),
        voice=np.array(voices),
    )
    assert (block[:3] == 0xEE).all()
    for row, expected in zip(rows, sent, strict=True):
        length = header_length(level=bool(expected[5]))
        assert (block[row, length:] == 0xEE).all()
        packet = RtpPacket.parse(block[row, :length].tobytes(), EXTENSIONS)
        level = packet.extensions.audio_level
        assert level == ((expected[7], -expected[6]) if expected[5] else None)
        assert (
            packet.payload_type,
            packet.marker,
            packet.sequence_number,
            packet.timestamp,
            packet.ssrc,
        ) == expected[:5]
