import struct
import zlib
from collections.abc import Iterator

from hls.recording.core.ogg import (
    GRAIN,
    PRE_SKIP,
    TAGS_BYTES,
    OggOpus,
    last_page,
    read_pre_skip,
    renew_head,
    silence,
)

CRC = [0] * 256
for _byte in range(256):
    _value = _byte << 24
    for _ in range(8):
        _value = (_value << 1 ^ (0x04C11DB7 if _value & 1 << 31 else 0)) & 0xFFFFFFFF
    CRC[_byte] = _value


def checksum(page: bytes) -> int:
    """The CRC of RFC 3533 as it stands there, bit by bit."""
    crc = 0
    for byte in page[:22] + bytes(4) + page[26:]:
        crc = (crc << 8 & 0xFFFFFFFF) ^ CRC[crc >> 24 ^ byte]
    return crc


def pages(data: bytes) -> Iterator[tuple[int, int, int, list[bytes]]]:
    """Yield (flags, granule, number, packets) of every page, each checked."""
    while data:
        magic, version, flags, granule, _, number, crc, count = struct.unpack_from(
            "<4sBBqIIIB", data
        )
        assert (magic, version) == (b"OggS", 0)
        lacing = data[27 : 27 + count]
        end = 27 + count + sum(lacing)
        assert crc == checksum(data[:end])
        body, packets, packet = data[27 + count : end], [], b""
        for length in lacing:
            packet, body = packet + body[:length], body[length:]
            if length < 255:
                packets.append(packet)
                packet = b""
        assert not packet
        yield flags, granule, number, packets
        data = data[end:]


def test_a_stream_is_whole_pages_with_their_ends() -> None:
    """RFC 3533 §6, RFC 7845 §4: granules are ends, the last one cuts what is too much."""
    ogg = OggOpus(7)
    sent = [bytes((number,)) * (number * 51 % 700 + 1) for number in range(200)]
    data = ogg.head("Monday")
    for number, packet in enumerate(sent):
        data += ogg.push(packet, 960)
        if number == 99:
            data += ogg.flush()
    data += ogg.flush() + ogg.flush()
    assert ogg.samples == 200 * 960
    data += ogg.finish()
    found = list(pages(data))
    assert [number for _, _, number, _ in found] == list(range(len(found)))
    assert [flags for flags, _, _, _ in found] == [2, *[0] * (len(found) - 2), 4]
    packets = [packet for *_, some in found for packet in some]
    assert packets[2:202] == sent
    assert found[0][3][0] == struct.pack("<8sBBHIhB", b"OpusHead", 1, 1, 312, 48_000, 0, 0)
    ends = [granule for _, granule, _, _ in found]
    assert ends[:2] == [0, 0]
    assert ends[-2] == 200 * 960
    assert ends[-1] == 200 * 960 + PRE_SKIP
    assert sorted(ends) == ends


def test_chapters_take_the_place_that_was_kept() -> None:
    """A head with chapters is as long as one without, and holds as many as find room."""
    ogg = OggOpus(7, channels=2, pre_skip=120)
    plain = ogg.head("Möwe")
    chapters = [(1.5 * number, f"Chapter {number}") for number in range(1000)]
    full = ogg.head("Möwe", chapters)
    assert len(full) == len(plain) > TAGS_BYTES
    assert renew_head(plain + b"more", chapters) == full
    assert read_pre_skip(full) == 120
    tags = list(pages(full))[1][3][0]
    assert tags.startswith(b"OpusTags\x08\0\0\0roomtone")
    assert "TITLE=Möwe".encode() in tags
    assert b"CHAPTER041=00:01:01.500" in tags
    (count,) = struct.unpack_from("<I", tags, 20)
    assert 120 < count // 2 < 170
    assert count % 2  # a chapter has its time and its name, or is left out


def test_other_files_have_no_head_of_ours() -> None:
    """What is not ours, or cut off, is not written to."""
    head = OggOpus(7).head("x")
    assert renew_head(b"RIFF" + head[4:], []) is None
    assert renew_head(head[:-1], []) is None
    assert renew_head(b"", []) is None
    assert renew_head(head.replace(b"OpusTags", b"OpusTogs"), []) is None
    assert read_pre_skip(b"") == read_pre_skip(b"\0" * 100) == 0


def test_silence_is_as_long_as_it_should_be() -> None:
    """In the longest packets there are; what is less than 2.5 ms is left out."""
    for samples in (0, 119, GRAIN, 960, 5760 * 3 + 960 * 5 + 480 + 240 + GRAIN + 1):
        made = list(silence(samples))
        assert sum(length for _, length in made) == samples // GRAIN * GRAIN
        assert len(made) <= 3 + 5 + 3


def test_the_last_whole_page_is_found() -> None:
    """Behind it may stand half a page, or what looks like one."""
    ogg = OggOpus(7)
    whole = ogg.head("x") + ogg.push(b"a" * 300, 960) + ogg.flush()
    following = ogg.push(b"b" * 300, 960) + ogg.flush()
    assert last_page(whole) == (len(whole), 960)
    for cut in (3, 20, 27, 28, 100, len(following) - 1):
        assert last_page(whole + following[:cut]) == (len(whole), 960)
    broken = following[:-1] + b"c"
    assert last_page(whole + broken) == (len(whole), 960)
    assert last_page(whole + following) == (len(whole) + len(following), 1920)
    assert last_page(b"nothing") is None
    assert zlib.crc32(b"") == 0
