"""G.711 of any packet length, cut to a grid."""

import itertools
import random

import pytest

from mixer.core.reframe import Frame, Reframer


def stream(samples: int, *, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(samples)


def cut(data: bytes, lengths: list[int], *, sequence: int = 0, timestamp: int = 0) -> list[Frame]:
    """The packets of a stream, whose lengths repeat."""
    made: list[Frame] = []
    at = 0
    for number, length in enumerate(itertools.cycle(lengths)):
        if at >= len(data):
            return made
        made.append(
            ((sequence + number) & 0xFFFF, (timestamp + at) & 0xFFFFFFFF, data[at : at + length])
        )
        at += length
    raise AssertionError("cycle never ends")


def run(packets: list[Frame]) -> list[Frame]:
    reframer = Reframer()
    return [frame for packet in packets for frame in reframer.push(*packet)]


@pytest.mark.parametrize(
    "lengths", [[160], [80], [240], [1024], [160] * 6 + [64], [33], [1], [1460, 20]]
)
def test_nothing_is_lost_whatever_the_length(lengths: list[int]) -> None:
    """Frames of 160 bytes, in order, timed and numbered one after the other."""
    data = stream(4800)
    frames = run(cut(data, lengths, sequence=7, timestamp=1000))
    assert b"".join(body for _, _, body in frames) == data
    assert [number for number, _, _ in frames] == list(range(7, 37))
    assert [time for _, time, _ in frames] == list(range(1000, 1000 + 4800, 160))


@pytest.mark.parametrize("lengths", [[160], [100]])
def test_numbers_and_times_wrap(lengths: list[int]) -> None:
    """As they do on the wire."""
    frames = run(cut(stream(1600), lengths, sequence=0xFFFD, timestamp=0xFFFFFFFF - 799))
    assert [number for number, _, _ in frames] == [n & 0xFFFF for n in range(0xFFFD, 0x10007)]
    assert [time for _, time, _ in frames][4:7] == [
        (2**32 - 800 + 160 * n) % 2**32 for n in (4, 5, 6)
    ]


def test_a_loss_leaves_a_gap() -> None:
    """As long as what is missing."""
    packets = cut(stream(3200), [320])
    del packets[3:5]
    assert [n for n, _, _ in run(packets)] == [0, 1, 2, 3, 4, 5, *range(10, 20)]


def test_after_a_loss_the_grid_holds() -> None:
    """What is left of a frame is dropped; all that comes out is in its place."""
    data = stream(3200)
    packets = cut(data, [100])
    del packets[5]
    for number, time, body in run(packets):
        assert body == data[time : time + 160]
        assert number == time // 160


def test_a_pause_leaves_no_gap() -> None:
    """Timestamps went on, sequence numbers did not: silence suppression, not a loss."""
    data = stream(1600)
    before, after = cut(data[:800], [160]), cut(data[800:], [160], sequence=5, timestamp=8000)
    frames = run([*before, *after])
    assert [n for n, _, _ in frames] == list(range(10))
    assert frames[5][1] == 8000


def test_a_late_packet_has_its_place() -> None:
    """And what follows is not taken for a pause."""
    packets = cut(stream(1600), [160])
    packets[3], packets[4] = packets[4], packets[3]
    assert [n for n, _, _ in run(packets)] == [0, 1, 2, 4, 3, 5, 6, 7, 8, 9]


def test_a_packet_that_comes_twice_has_the_same_number() -> None:
    """So that the jitter buffer knows it."""
    packets = cut(stream(800), [160])
    packets.insert(2, packets[1])
    assert [n for n, _, _ in run(packets)] == [0, 1, 1, 2, 3, 4]


@pytest.mark.parametrize("seed", range(20))
def test_noise_makes_frames_or_nothing(seed: int) -> None:
    """Any numbers in any order: what comes out is bounded by what went in."""
    dice = random.Random(seed)
    reframer, put, got = Reframer(), 0, 0
    for _ in range(500):
        body = dice.randbytes(dice.randrange(0, 1500))
        frames = reframer.push(dice.randrange(1 << 16), dice.randrange(1 << 32), body)
        assert all(0 <= n < 1 << 16 and 0 <= t < 1 << 32 and len(b) == 160 for n, t, b in frames)
        put, got = put + len(body), got + 160 * len(frames)
    assert got <= put
