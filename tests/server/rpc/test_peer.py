"""The contract of `Peer`, the same over every transport."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest
from structlog.testing import capture_logs

from server.rpc.codec import Params
from server.rpc.dispatch import Dispatcher
from server.rpc.errors import RpcError, TransportClosed
from server.rpc.peer import Peer
from tests.server.rpc.transports import PAIRS, ClosableTransport, Pair


@pytest.fixture(params=PAIRS)
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    """Two connected ends of each sort."""
    async with PAIRS[request.param]() as ends:
        yield ends


class Service:
    """Methods to call: `echo`, `refuse`, `wait` (until `release`), `odd`, `note`."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.waiting = asyncio.Semaphore(0)
        self.notes: list[object] = []
        self.noted = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.dispatcher = Dispatcher()
        for method in (self.echo, self.refuse, self.wait, self.odd, self.note):
            self.dispatcher.add(method.__name__, None, method)

    async def echo(self, params: Params) -> object:
        return params

    async def refuse(self, _params: Params) -> object:
        raise RpcError(-32600, "no", {"code": "no"})

    async def wait(self, params: Params) -> object:
        self.waiting.release()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return params

    async def odd(self, _params: Params) -> object:
        return object()

    async def note(self, params: Params) -> object:
        self.notes.append(params)
        if params == ["last"]:
            self.noted.set()
        return None


class Ends:
    """A client, the service it calls, and the tasks of both."""

    def __init__(self, pair: Pair, group: asyncio.TaskGroup, max_in_flight: int = 64) -> None:
        self.near, self.far = pair
        self.service = Service()
        self.client = Peer(self.near, Dispatcher())
        self.server = Peer(self.far, self.service.dispatcher, max_in_flight=max_in_flight)
        self.tasks = [group.create_task(peer.run()) for peer in (self.client, self.server)]

    async def close(self) -> None:
        """End both sides."""
        await self.near.close()
        await asyncio.wait(self.tasks)


async def call(peer: Peer, method: str, params: Params = None) -> object:
    """Call with all the time in the world."""
    return await peer.call(method, params, timeout_s=10)


async def see_closed(waiting: Coroutine[Any, Any, object]) -> None:
    """Fail unless it ends with TransportClosed."""
    with pytest.raises(TransportClosed):
        await waiting


async def test_a_call_returns_the_result(pair: Pair) -> None:
    """What the handler returns comes back, null as well."""
    async with asyncio.TaskGroup() as group:
        ends = Ends(pair, group)
        assert await call(ends.client, "echo", {"text": "é\u2028", "n": 1.5}) == {
            "text": "é\u2028",
            "n": 1.5,
        }
        assert await call(ends.client, "echo") is None
        await ends.close()


async def test_a_refusal_is_raised(pair: Pair) -> None:
    """Code, sentence and data survive the way."""
    async with asyncio.TaskGroup() as group:
        ends = Ends(pair, group)
        with pytest.raises(RpcError, match="no") as caught:
            await call(ends.client, "refuse")
        assert (caught.value.code, caught.value.data) == (-32600, {"code": "no"})
        await ends.close()


async def test_a_result_that_is_no_json_is_our_fault(pair: Pair) -> None:
    """The caller gets an internal error instead of waiting for ever."""
    async with asyncio.TaskGroup() as group:
        ends = Ends(pair, group)
        with capture_logs(), pytest.raises(RpcError, match="internal error"):
            await call(ends.client, "odd")
        await ends.close()


async def test_a_slow_call_blocks_no_other(pair: Pair) -> None:
    """Answers come as they are ready, not in the order of the calls."""
    async with asyncio.TaskGroup() as group:
        ends = Ends(pair, group)
        slow = group.create_task(call(ends.client, "wait", ["slow"]))
        await ends.service.waiting.acquire()
        assert await call(ends.client, "echo", ["fast"]) == ["fast"]
        ends.service.release.set()
        assert await slow == ["slow"]
        await ends.close()


async def test_too_many_calls_are_refused(pair: Pair) -> None:
    """Beyond the bound a request is told to come back; those in flight go on."""
    async with asyncio.TaskGroup() as group:
        ends = Ends(pair, group, max_in_flight=2)
        slow = [group.create_task(call(ends.client, "wait", [n])) for n in range(2)]
        for _ in slow:
            await ends.service.waiting.acquire()
        with pytest.raises(RpcError, match="too many") as caught:
            await call(ends.client, "echo")
        ends.service.release.set()
        assert await asyncio.gather(*slow) == [[0], [1]]
        await ends.close()
    assert caught.value.code == -32603
    assert caught.value.data == {"code": "busy", "retryable": True, "retryAfterMs": 200}
    assert ends.server.counters.refused_busy == 1


async def test_notifications_start_in_order_and_none_is_lost(pair: Pair) -> None:
    """However many come at once, they wait for a free place instead of being dropped."""
    async with asyncio.TaskGroup() as group:
        ends = Ends(pair, group, max_in_flight=2)
        for n in range(100):
            await ends.client.notify("note", [n])
        await ends.client.notify("note", ["last"])
        await ends.service.noted.wait()
        await ends.close()
    assert ends.service.notes == [*([n] for n in range(100)), ["last"]]


async def test_a_call_times_out(pair: Pair) -> None:
    """The caller gets TimeoutError; the answer that comes too late is counted and dropped."""
    async with asyncio.TaskGroup() as group:
        ends = Ends(pair, group)
        with pytest.raises(TimeoutError):
            await ends.client.call("wait", timeout_s=0.01)
        ends.service.release.set()
        assert await call(ends.client, "echo", [1]) == [1]
        await ends.close()
    assert ends.client.counters.unexpected_answers <= 1


@pytest.mark.parametrize("closer", ["near", "far"])
async def test_closing_fails_what_waits(pair: Pair, closer: str) -> None:
    """Whoever closes: waiting calls raise TransportClosed, later ones too, both runs return."""
    async with asyncio.TaskGroup() as group:
        ends = Ends(pair, group)
        slow = group.create_task(see_closed(call(ends.client, "wait")))
        await ends.service.waiting.acquire()
        await (ends.near if closer == "near" else ends.far).close()
        await asyncio.wait([slow, *ends.tasks])
        await see_closed(call(ends.client, "echo"))
        assert ends.service.cancelled.is_set()


async def answers_to(texts: list[str], pair: Pair) -> list[object]:
    """Send texts to a service as they are and return what it answers."""
    near, far = pair
    async with asyncio.TaskGroup() as group:
        task = group.create_task(Peer(far, Service().dispatcher).run())
        answers = [json.loads(await ask(near, text)) for text in texts]
        await near.close()
        await asyncio.wait([task])
    return answers


async def ask(end: ClosableTransport, text: str) -> str:
    """Send and wait for one answer."""
    await end.send(text)
    return await end.receive()


async def test_a_malformed_message_is_answered_and_disturbs_nobody(pair: Pair) -> None:
    """After a parse error and an invalid request the connection works as before."""
    answers = await answers_to(["{", '{"id":7}', '{"id":"8","method":"echo"}'], pair)
    codes = [answer.get("error", {}).get("code") for answer in answers if isinstance(answer, dict)]
    assert codes == [-32700, -32600, None]
    assert answers[2] == {"jsonrpc": "2.0", "id": "8", "result": None}


async def test_answers_nobody_asked_for_are_counted(pair: Pair) -> None:
    """An unknown id, a null id and an id of another type wake nobody."""
    near, far = pair
    peer = Peer(far, Service().dispatcher)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(peer.run())
        await near.send('{"id":99,"result":1}')
        await near.send('{"id":null,"error":{"code":1,"message":"m"}}')
        await ask(near, '{"id":1,"method":"echo"}')
        await near.close()
        await asyncio.wait([task])
    assert peer.counters.unexpected_answers == 2


async def test_an_id_is_its_type_too(pair: Pair) -> None:
    """The answer to "1" does not settle the call 1."""
    near, far = pair
    peer = Peer(far, Dispatcher())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(peer.run())
        waiting = group.create_task(call(peer, "x"))
        assert json.loads(await near.receive())["id"] == 1
        await near.send('{"id":"1","result":"wrong"}')
        await near.send('{"id":1,"result":"right"}')
        assert await waiting == "right"
        await near.close()
        await asyncio.wait([task])


async def test_a_batch_is_answered_together(pair: Pair) -> None:
    """Its calls run one after the other; one with notifications alone is not answered at all."""
    async with asyncio.TaskGroup() as group:
        ends = Ends(pair, group)
        ends.tasks[0].cancel()  # the test reads the answers itself
        await asyncio.wait([ends.tasks[0]])
        note = {"method": "note", "params": ["x"]}
        await ends.near.send(json.dumps([note, note]))
        calls: list[object] = [
            {"id": 1, "method": "echo", "params": [1]},
            {"method": "note", "params": ["last"]},
            {"id": 2, "method": "refuse"},
            {"id": 9, "result": 0},
            0,
        ]
        await ends.near.send(json.dumps(calls))
        answers = json.loads(await ends.near.receive())
        assert [(one["id"], one.get("result")) for one in answers] == [
            (1, [1]),
            (2, None),
            (None, None),
        ]
        assert ends.service.notes == [["x"], ["x"], ["last"]]
        assert (ends.server.counters.malformed, ends.server.counters.unexpected_answers) == (1, 1)
        await ends.close()


async def test_a_batch_ends_with_the_connection(pair: Pair) -> None:
    """What a batch still waits for is cancelled when the connection ends."""
    async with asyncio.TaskGroup() as group:
        ends = Ends(pair, group)
        await ends.near.send(json.dumps([{"id": 1, "method": "wait"}]))
        await ends.service.waiting.acquire()
        await ends.close()
        assert ends.service.cancelled.is_set()
