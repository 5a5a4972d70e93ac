"""Opus packets in Ogg, as they came (RFC 3533, RFC 7845).

Written by us, for libavformat neither cuts the end to the sample, nor leaves room for chapters, nor
says when a page is whole: a file must be readable up to the last page at any moment.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence

PRE_SKIP = 312  # samples by which a browser's encoder is behind: 6.5 ms of libopus at 48 kHz
MIX_PRE_SKIP = 120  # that of the mix: 2.5 ms, for it is made without any look-ahead
MAX_SEGMENTS = 255  # of a page, and bytes of a segment (RFC 3533 §6)
TAGS_BYTES = 8192  # of the page that is written anew at the end, with chapters: some 140 of them

_PAGE = struct.Struct("<4sBBqIIIB")
_CRC_AT = 22
_FIRST, _LAST = 2, 4
_HEAD = struct.Struct("<8sBBHIhB")
_VENDOR = b"roomtone"

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

_FIRST_BYTES = _PAGE.size + 1 + _HEAD.size
_HEAD_BYTES = _FIRST_BYTES + _PAGE.size + TAGS_BYTES // 255 + 1 + TAGS_BYTES

Chapter = tuple[float, str]
"""Seconds from the file's beginning, and a title."""


class OggOpus:
    """One logical stream of Opus packets: pages out, whole ones only.

    A page's position (granule) is the end of its last packet. Readers take the encoder's delay off
    the beginning.
    """

    def __init__(self, serial: int, channels: int = 1, pre_skip: int = PRE_SKIP) -> None:
        self._serial = serial
        self._pre_skip = pre_skip
        self._channels = channels
        self._number = 2  # behind the two of the head
        self._samples = 0
        self._lacing = bytearray()
        self._body = bytearray()

    @property
    def samples(self) -> int:
        """Those pushed so far."""
        return self._samples

    def head(self, title: str, chapters: Sequence[Chapter] = ()) -> bytes:
        """Return what a file begins with; it has the same length whatever the chapters are."""
        head = _HEAD.pack(b"OpusHead", 1, self._channels, self._pre_skip, 48_000, 0, 0)
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
        end, tail = self._samples + self._pre_skip, silence(2 * PRE_SKIP // GRAIN * GRAIN)
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


def renew_head(head: bytes, chapters: Sequence[Chapter]) -> bytes | None:
    """Return the head of a file of ours with other chapters; None if `head` is none."""
    tags_at = head.find(b"OpusTags", 0, 256)
    first = last_page(head[:_FIRST_BYTES])
    if first is None or first[0] != _FIRST_BYTES or tags_at < 0 or len(head) < _HEAD_BYTES:
        return None
    serial: int = _PAGE.unpack_from(head)[4]
    tags = head[tags_at : tags_at + TAGS_BYTES]
    begin = 8 + 4 + len(_VENDOR) + 4  # behind the number of comments
    length = int.from_bytes(tags[begin : begin + 4], "little")
    title = tags[begin + 4 : begin + 4 + length].decode("utf-8", "replace").removeprefix("TITLE=")
    new = _tags(title, chapters)
    return head[:_FIRST_BYTES] + _page((0, 0, serial, 1), _laced(new), new)


def read_pre_skip(head: bytes) -> int:
    """Return how many samples the reader of a file that begins so leaves out."""
    at = _PAGE.size + 1
    if len(head) < _FIRST_BYTES or head[at : at + 8] != b"OpusHead":
        return 0
    pre_skip: int = _HEAD.unpack_from(head, at)[3]
    return pre_skip


def last_page(tail: bytes) -> tuple[int, int] | None:
    """Return where the last whole page in `tail` ends, and its granule; None if there is none."""
    at = tail.rfind(b"OggS")
    while at >= 0:
        end = _end_of_page(tail, at)
        if end is not None:
            page = bytearray(tail[at:end])
            (checksum,) = struct.unpack_from("<I", page, _CRC_AT)
            page[_CRC_AT : _CRC_AT + 4] = bytes(4)
            if checksum == _checksum(page):
                granule: int = _PAGE.unpack_from(page)[3]
                return end, granule
        at = tail.rfind(b"OggS", 0, at + 3)
    return None


def _end_of_page(data: bytes, at: int) -> int | None:
    body = at + _PAGE.size + (data[at + _PAGE.size - 1] if len(data) >= at + _PAGE.size else 0)
    if len(data) < max(body, at + _PAGE.size):
        return None
    end = body + sum(data[at + _PAGE.size : body])
    return end if end <= len(data) else None


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
