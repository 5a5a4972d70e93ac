"""Opus packets in Ogg, as they came (RFC 3533, RFC 7845).

Written by us, for libavformat neither cuts the end to the sample, nor leaves room for chapters, nor
says when a page is whole: a file must be readable up to the last page at any moment.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence

PRE_SKIP = 312  # samples by which an encoder is behind: 6.5 ms of libopus at 48 kHz
MAX_SEGMENTS = 255  # of a page, and bytes of a segment (RFC 3533 §6)
TAGS_BYTES = 8192  # of the page that is written anew at the end, with chapters: some 150 of them

_PAGE = struct.Struct("<4sBBqIIIB")
_CRC_AT = 22
_FIRST, _LAST = 2, 4
_HEAD = struct.Struct("<8sBBHIhB")
_VENDOR = b"roomtone"

Chapter = tuple[float, str]
"""Seconds from the file's beginning, and a title."""


class OggOpus:
    """One logical stream of Opus packets: pages out, whole ones only.

    A page's position (granule) is the end of its last packet. `seconds` of sound are the samples
    that were pushed; the encoder's delay is taken off by the reader.
    """

    def __init__(self, serial: int, channels: int = 1) -> None:
        self._serial = serial
        self._channels = channels
        self._number = 2  # behind the two of the head
        self._samples = 0
        self._lacing = bytearray()
        self._body = bytearray()

    @property
    def samples(self) -> int:
        """Those pushed so far, the encoder's delay left out."""
        return self._samples

    def head(self, title: str, chapters: Sequence[Chapter] = ()) -> bytes:
        """Return what a file begins with; it has the same length whatever the chapters are."""
        head = _HEAD.pack(b"OpusHead", 1, self._channels, PRE_SKIP, 48_000, 0, 0)
        first = _page((_FIRST, 0, self._serial, 0), _laced(head), head)
        tags = _tags(title, chapters)
        return first + _page((0, 0, self._serial, 1), _laced(tags), tags)

    def push(self, packet: bytes, samples: int) -> bytes:
        """Take the next packet and how long it is; return a page if one is full."""
        lacing = _laced(packet)
        page = self.flush() if len(self._lacing) + len(lacing) > MAX_SEGMENTS else b""
        self._lacing += lacing
        self._body += packet
        self._samples += samples
        return page

    def flush(self) -> bytes:
        """Return a page of what there is, nothing if that is nothing."""
        return self._take(0, self._samples) if self._lacing else b""

    def finish(self) -> bytes:
        """Return the last page, which ends where the last packet does (RFC 7845 §4.4).

        The encoder's delay is behind it: a little silence carries the last sound out.
        """
        end, tail = self._samples + PRE_SKIP, silence(2 * PRE_SKIP // GRAIN * GRAIN)
        page = b"".join(self.push(packet, samples) for packet, samples in tail)
        return page + self._take(_LAST, end)

    def _take(self, flags: int, granule: int) -> bytes:
        page = _page((flags, granule, self._serial, self._number), self._lacing, self._body)
        self._number += 1
        self._lacing.clear()
        self._body.clear()
        return page


def silence(samples: int) -> Iterator[tuple[bytes, int]]:
    """Yield packets of digital silence and how long they are, 2.5 ms being the shortest.

    What is left of `samples` beyond a multiple of that is left out.
    """
    for packet, length in _SILENCE:
        count, samples = divmod(samples, length)
        for _ in range(count):
            yield packet, length


GRAIN = 120  # 2.5 ms, the shortest frame of Opus
# What libopus makes of zeros: one bit says that all is silent (RFC 6716 §4.3). The long one holds
# six frames of 20 ms.
_SILENT = b"\xff\xfe"
_SILENCE = (
    (b"\xfb\x06" + 6 * _SILENT, 5760),
    (b"\xf8" + _SILENT, 960),
    (b"\xf0" + _SILENT, 480),
    (b"\xe8" + _SILENT, 240),
    (b"\xe0" + _SILENT, GRAIN),
)


def _laced(packet: bytes) -> bytes:
    return b"\xff" * (len(packet) // 255) + bytes((len(packet) % 255,))


def _tags(title: str, chapters: Sequence[Chapter]) -> bytes:
    """Return the comment header, as many chapters as find room in it."""
    comments: list[bytes] = []
    left = TAGS_BYTES - 8 - 4 - len(_VENDOR) - 4
    for comment in _comments(title, chapters):
        left -= sum(4 + len(one) for one in comment)
        if left < 0:
            break
        comments += comment
    tags = b"OpusTags" + struct.pack("<I", len(_VENDOR)) + _VENDOR
    tags += struct.pack("<I", len(comments))
    tags += b"".join(struct.pack("<I", len(one)) + one for one in comments)
    return tags.ljust(TAGS_BYTES, b"\0")  # padding (RFC 7845 §5.2)


def _comments(title: str, chapters: Sequence[Chapter]) -> Iterator[tuple[bytes, ...]]:
    yield (f"TITLE={title[:256]}".encode("utf-8", "replace"),)
    for number, (seconds, name) in enumerate(chapters[:1000]):
        hours, rest = divmod(round(1000 * seconds), 3_600_000)
        minutes, ms = divmod(rest, 60_000)
        at = f"{hours:02d}:{minutes:02d}:{ms // 1000:02d}.{ms % 1000:03d}"
        text = name[:256].encode("utf-8", "replace")
        yield f"CHAPTER{number:03d}={at}".encode(), f"CHAPTER{number:03d}NAME=".encode() + text


def _page(
    head: tuple[int, int, int, int], lacing: bytes | bytearray, body: bytes | bytearray
) -> bytes:
    """Return a page; `head` is its flags, granule, serial and sequence number."""
    flags, granule, serial, number = head
    page = bytearray(_PAGE.pack(b"OggS", 0, flags, granule, serial, number, 0, len(lacing)))
    page += lacing
    page += body
    struct.pack_into("<I", page, _CRC_AT, _checksum(page))
    return bytes(page)


def _checksum(page: bytes | bytearray) -> int:
    """Return the CRC of RFC 3533: that of zlib with every byte, the result and the start turned."""
    turned = zlib.crc32(page.translate(_TURNED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(turned.to_bytes(4, "little").translate(_TURNED), "big")


_TURNED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
