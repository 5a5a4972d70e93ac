from mixer.types import (
    Overloaded,
    OverloadLevel,
    PeerChanged,
    PeerId,
    PeerState,
    PlaneEvent,
    RoomId,
    Talking,
)
from server.media.events import EventQueue
from server.ports import PlaneLost


def event(number: int) -> PlaneEvent:
    """An event that can be told from others."""
    return PeerChanged(RoomId("room"), PeerId(str(number)), PeerState.LIVE)


async def read_all(queue: EventQueue) -> list[PlaneEvent | PlaneLost]:
    """Everything up to the end."""
    queue.close()
    return [event async for event in queue.read()]


async def test_events_come_in_order() -> None:
    """First in, first out, and what is there at the end is still read."""
    queue = EventQueue()
    queue.put(event(1))
    queue.put(event(2))
    assert await read_all(queue) == [event(1), event(2)]


async def test_a_full_queue_loses_the_oldest() -> None:
    """The bound holds, and every loss is counted."""
    queue = EventQueue(max_events=2)
    for number in range(5):
        queue.put(event(number))
    assert queue.dropped == 3
    assert await read_all(queue) == [event(3), event(4)]


async def test_the_loss_of_the_plane_replaces_what_came_before() -> None:
    """Events of connections that are gone are not told any more."""
    queue = EventQueue()
    queue.put(event(1))
    queue.put_lost()
    queue.put(event(2))
    lost, after = await read_all(queue)
    assert isinstance(lost, PlaneLost)
    assert after == event(2)
    assert queue.dropped == 0


async def test_the_loss_of_some_rooms_leaves_the_others_events() -> None:
    """Another mixer's connections live on, and what is about no room is kept."""
    queue = EventQueue(max_events=3)
    queue.put(event(1))
    queue.put(Talking(RoomId("other"), {}))
    queue.put(Overloaded(OverloadLevel.LEAN))
    queue.put_lost(frozenset({RoomId("other")}))
    queue.put_lost(frozenset({RoomId("another")}))
    assert queue.dropped == 1
    assert await read_all(queue) == [
        Overloaded(OverloadLevel.LEAN),
        PlaneLost(frozenset({RoomId("other")})),
        PlaneLost(frozenset({RoomId("another")})),
    ]


async def test_a_waiting_reader_is_woken() -> None:
    """What is put while the reader waits is read at once."""
    queue = EventQueue()
    reader = queue.read()
    queue.put(event(1))
    assert await anext(reader) == event(1)
    queue.close()
    assert [rest async for rest in reader] == []
