"""What every Bus promises (the bound of the suite is four messages)."""

from server.ports import Bus


async def test_delivery(bus: Bus) -> None:
    """A message reaches every reader of its topic, in order, and no other topic's."""
    one, two, other = bus.subscribe("a"), bus.subscribe("a"), bus.subscribe("b")
    for message in (b"1", b"2"):
        await bus.publish("a", message)
    await bus.publish("b", b"3")
    assert [await anext(one), await anext(one), await anext(two)] == [b"1", b"2", b"1"]
    assert await anext(other) == b"3"


async def test_no_past(bus: Bus) -> None:
    """A reader gets nothing from before it subscribed."""
    await bus.publish("a", b"1")
    reader = bus.subscribe("a")
    await bus.publish("a", b"2")
    assert await anext(reader) == b"2"


async def test_slow_reader(bus: Bus) -> None:
    """A slow reader loses the oldest messages and disturbs nobody."""
    slow, quick = bus.subscribe("a"), bus.subscribe("a")
    for number in range(6):
        await bus.publish("a", bytes([number]))
        await anext(quick)
    assert [await anext(slow) for _ in range(4)] == [b"\2", b"\3", b"\4", b"\5"]
