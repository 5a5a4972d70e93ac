"""The file of arrivals: there and back, and whatever a disk or a stranger made of it."""

import contextlib
import io
import random
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.core.jitter import Arrival
from mixer.core.recording import (
    MAGIC,
    MAX_HEADER_BYTES,
    MAX_RECORD_BYTES,
    ROOM,
    BadRecording,
    Call,
    Fed,
    Header,
    Heard,
    Lost,
    Record,
    Seat,
    Sent,
    Tick,
    read_header,
    read_records,
    write_header,
    write_record,
)
from mixer.types import RtpCodec

REDUNDANT = ((1920, b"\xf8two"), (960, b""))
PACKET = Arrival(65_535, 0xFFFFFFFF, b"\xf8voice", 1000.123456789, True, REDUNDANT)
RECORDS: list[Record] = [
    Seat(7, "ann"),
    Seat(1 << 21, "bert ø", RtpCodec.PCMA),
    Call(ROOM, "connect", ("ann",)),
    Call(7, "mute", (True,)),
    Heard(7, PACKET, -20, True, 1000.2),
    Heard(7, Arrival(0, 0, b"", 0.1 + 0.2, silent=False), None, False, 1e9 / 3),
    Tick(1 << 40, 1000.3),
    Sent(bytes(range(32))),
    Lost(3),
]


def parse(data: bytes) -> list[Record]:
    stream = io.BytesIO(data)
    read_header(stream.read)
    return list(read_records(stream.read))


def file(*records: Record) -> bytes:
    return write_header(Header("room")) + b"".join(map(write_record, records))


def test_records_come_back_bit_for_bit() -> None:
    """Each kind, times included."""
    assert parse(file(*RECORDS)) == RECORDS


@given(
    st.builds(
        Heard,
        st.integers(0, 0xFFFFFFFF),
        st.builds(
            Arrival,
            st.integers(0, 0xFFFF),
            st.integers(0, 0xFFFFFFFF),
            st.binary(max_size=1500),
            st.floats(0, 1e9),
            st.booleans(),
            st.lists(st.tuples(st.integers(0, 1 << 14), st.binary(max_size=300)), max_size=3).map(
                tuple
            ),
        ),
        st.none() | st.integers(-127, 0),
        st.booleans(),
        st.floats(0, 1e9),
    )
)
def test_any_packet_comes_back(heard: Heard) -> None:
    """Whatever a peer may send."""
    assert parse(file(heard)) == [heard]


@pytest.mark.parametrize("shape", [(960,), (960, 2)])
def test_a_players_frame_comes_back(shape: tuple[int, ...]) -> None:
    """Mono and stereo, sample for sample."""
    frame = np.random.default_rng(1).integers(-32_768, 32_767, shape, np.int16)
    (record,) = parse(file(Fed("jingle", frame)))
    assert isinstance(record, Fed)
    assert record.name == "jingle"
    assert record.frame.shape == shape
    assert (record.frame == frame).all()


def test_what_is_too_long_is_marked_as_lost() -> None:
    """A record has an end."""
    assert parse(file(Call(ROOM, "configure", ("x" * MAX_RECORD_BYTES,)))) == [Lost(1)]


def test_the_header_names_the_room() -> None:
    """And the version that wrote it."""
    assert read_header(io.BytesIO(file()).read) == Header("room", 1)
    begun_later = Header("room", is_whole=False)
    assert read_header(io.BytesIO(write_header(begun_later)).read) == begun_later


def test_a_header_of_the_first_programs_is_of_a_whole_call() -> None:
    """They knew no other."""
    text = b'{"room": "old"}'
    old = MAGIC + b"\x01\x00" + bytes((len(text),)) + text
    assert read_header(io.BytesIO(old).read) == Header("old")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no recording"),
        (b"RIFF....WAVE", "no recording"),
        (MAGIC, "ends within its header"),
        (MAGIC + b"\x02\x00\x02{}", "version 2"),
        (MAGIC + b"\x01\xff\xff{}", "header is damaged"),
        (MAGIC + b"\x01\x00\x02{}", "header is damaged"),
        (MAGIC + b"\x01\x00\x02[]", "header is damaged"),
        (MAGIC + b"\x01\x00\x09[", "header is damaged"),
        (MAGIC + struct.pack(">BH", 1, MAX_HEADER_BYTES) + b"[" * MAX_HEADER_BYTES, "damaged"),
    ],
)
def test_what_is_no_recording_is_refused_with_a_sentence(data: bytes, words: str) -> None:
    """By its first bytes, its version, or its header."""
    with pytest.raises(BadRecording, match=words):
        parse(data)


@pytest.mark.parametrize(
    "record",
    [
        b"\x00\x00\x00\x00\x00",
        b"\x07\x00\x00\x00\x00",
        b"\x01\x00\x00\x00\x03abc",  # a seat too short
        b"\x01\x00\x00\x00\x05\x00\x00\x00\x01\x09",  # a codec nobody knows
        b"\x01\x00\x00\x00\x06\x00\x00\x00\x01\x00\xff",  # a name that is no text
        b"\x02\x00\x00\x00\x06\x00\x00\x00\x01[]",  # a call of nothing
        b"\x02\x00\x00\x00\x05\x00\x00\x00\x01{",
        b"\x04\x00\x00\x00\x10" + struct.pack(">Qd", 1, float("nan")),
        b"\x04\x00\x00\x00\x10" + struct.pack(">Qd", 1, float("inf")),
        b"\x05\x00\x00\x00\x01a",
        b"\x06\x00\x00\x00\x01a",
        b"\x03\x00\x00\x00\x1e" + struct.pack(">IHIddbBH", 1, 1, 1, 1.0, 1.0, 5, 0, 0),
        b"\x03\x00\x00\x00\x1e" + struct.pack(">IHIddbBH", 1, 1, 1, 1.0, 1.0, 0, 0, 9),
        b"\x03\x00\x00\x00\x24" + struct.pack(">IHIddbBHIH", 1, 1, 1, 1.0, 1.0, 0, 0, 0, 960, 9),
    ],
)
def test_a_damaged_record_is_named_by_its_number(record: bytes) -> None:
    """And those before it were read."""
    with pytest.raises(BadRecording, match="damaged at record 1"):
        parse(file(Lost(1)) + record)


def test_a_file_may_end_anywhere() -> None:
    """Its server was killed: what is whole counts."""
    whole = file(*RECORDS)
    start = len(file())
    counts = [len(parse(whole[:end])) for end in range(start, len(whole) + 1)]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, len(RECORDS))


@pytest.mark.parametrize("seed", range(200))
def test_noise_is_read_or_refused(seed: int) -> None:
    """Nothing but BadRecording comes of flipped bytes."""
    dice = random.Random(seed)
    data = bytearray(file(*RECORDS))
    for _ in range(dice.randrange(1, 8)):
        data[dice.randrange(len(data))] = dice.randrange(256)
    with contextlib.suppress(BadRecording):
        assert len(parse(bytes(data))) <= len(data) // 5
