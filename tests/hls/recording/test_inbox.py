"""What waits for a recording's thread."""

import tracemalloc

import pytest

from hls.recording import inbox as module
from hls.recording.core.heard import Heard
from hls.recording.inbox import Allowance, Gap, Inbox
from hls.recording.recording import _size
from tests.hls.recording.room import tick_of


def nothing() -> None:
    pass


def test_steps_come_in_their_order() -> None:
    """Those of a size up to so many bytes; what is put comes whatever it is."""
    inbox, done = Inbox(10, Allowance(0)), list[int]()
    assert inbox.offer(lambda: done.append(1), 10)
    assert not inbox.offer(lambda: done.append(2), 1)
    inbox.put(lambda: done.append(3))
    inbox.take()()
    assert inbox.offer(lambda: done.append(4), 10)
    inbox.take()()
    inbox.take()()
    assert done == [1, 3, 4]


def test_all_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond what each has for itself, which no other can take."""
    monkeypatch.setattr(module, "OWN_BYTES", 5)
    allowance = Allowance(10)
    first, second = Inbox(100, allowance), Inbox(100, allowance)
    assert first.offer(nothing, 8)
    assert first.offer(nothing, 7)
    assert not first.offer(nothing, 1)
    assert second.offer(nothing, 5)
    assert not second.offer(nothing, 1)
    first.take()
    assert second.offer(nothing, 8)
    assert not second.offer(nothing, 1)


def test_what_nobody_takes_any_more_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bytes are the others' again, and what comes is no loss."""
    monkeypatch.setattr(module, "OWN_BYTES", 5)
    allowance = Allowance(10)
    closed, other = Inbox(100, allowance), Inbox(100, allowance)
    assert closed.offer(nothing, 15)
    closed.close()
    assert closed.offer(nothing, 1000)
    closed.put(nothing)
    assert not closed._waiting
    assert other.offer(nothing, 15)


def test_a_gap_counts_until_it_is_noted() -> None:
    """What is lost later is another."""
    gap = Gap()
    assert gap.grow()
    assert gap.note() == 2
    assert not gap.grow()
    assert gap.note() == 2


@pytest.mark.parametrize("speakers", [(), ("ann",), ("ann", "bob", "cem")])
def test_a_tick_takes_no_more_than_is_counted(speakers: tuple[str, ...]) -> None:
    """By the interpreter's own account of its memory."""
    tick_of(0, *speakers)  # the tones are made once
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        held = [_fresh(tick_of(tick, *speakers)) for tick in range(1000, 1200)]
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken <= sum(map(_size, held)) <= 2.5 * taken


def _fresh(heard: Heard) -> Heard:
    """Return a tick whose sound is its own, as it comes from the wire."""
    heard.packets = [
        packet._replace(
            peer=packet.peer + " ", payload=bytes(bytearray(packet.payload)), stream=1 << 20
        )
        for packet in heard.packets
    ]
    heard.frames = [frame._replace(pcm=frame.pcm.copy()) for frame in heard.frames]
    heard.mix_packet = bytes(bytearray(heard.mix_packet))
    return heard
