"""A reader of ISO base media boxes that shares no code with the writer under test."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

_CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"dinf", b"stbl", b"mvex", b"moof", b"traf"}


@dataclass(frozen=True)
class Box:
    path: str
    start: int
    payload: bytes

    def u32(self, offset: int) -> int:
        return int.from_bytes(self.payload[offset : offset + 4], "big")

    def u64(self, offset: int) -> int:
        return int.from_bytes(self.payload[offset : offset + 8], "big")


def boxes(data: bytes) -> dict[str, Box]:
    """Return all boxes by their path ("moov/trak/mdia"); sizes must add up exactly."""
    return {box.path: box for box in _walk(data, 0, "")}


def samples(data: bytes) -> list[bytes]:
    """Return the samples of a media segment or a part, found as a player finds them."""
    frames = []
    for fragment in fragments(data):
        found = boxes(fragment)
        trun, moof = found["moof/traf/trun"], found["moof"]
        count, position = trun.u32(4), moof.start + trun.u32(8)
        for index in range(count):
            size = trun.u32(12 + 4 * index)
            frames.append(fragment[position : position + size])
            position += size
        assert position == len(fragment)
    return frames


def fragments(data: bytes) -> list[bytes]:
    """Return the fragments of a media segment: each ends with its mdat."""
    walked = _walk(data, 0, "")
    cuts = [0, *(box.start + 8 + len(box.payload) for box in walked if box.path == "mdat")]
    assert cuts[-1] == len(data)
    return [data[start:end] for start, end in pairwise(cuts)]


def _walk(data: bytes, base: int, parent: str) -> Iterator[Box]:
    position = 0
    while position < len(data):
        size, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 :][:4]
        assert 8 <= size <= len(data) - position, (parent, kind, size)
        path = f"{parent}/{kind.decode()}".lstrip("/")
        payload = data[position + 8 : position + size]
        yield Box(path, base + position, payload)
        if kind in _CONTAINERS:
            yield from _walk(payload, base + position + 8, path)
        position += size
