"""The in-process Bus beyond its contract."""

from server.state.bus import LocalBus


async def test_dropped_is_counted() -> None:
    """What slow readers lost is counted, also after they are gone."""
    bus = LocalBus(bound=1)
    reader = bus.subscribe("a")
    for _ in range(3):
        await bus.publish("a", b"")
    await reader.aclose()
    assert bus.dropped == 2


async def test_closed_reader_gets_nothing() -> None:
    """A reader that is closed ends, and is not kept."""
    bus = LocalBus()
    reader = bus.subscribe("a")
    await reader.aclose()
    await bus.publish("a", b"1")
    assert [message async for message in reader] == []


async def test_close_ends_readers() -> None:
    """Closing the bus ends its readers after what they have not read yet."""
    bus = LocalBus()
    reader = bus.subscribe("a")
    await bus.publish("a", b"1")
    await bus.close()
    assert [message async for message in reader] == [b"1"]
