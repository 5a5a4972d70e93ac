"""What the control process counts of itself, and how it refuses while it drains."""

import uuid

from tests.server.edge.conftest import Edge
from tests.server.edge.test_operations import samples
from tests.support.node import SDP


async def call(edge: Edge, token: str, *calls: tuple[str, object]) -> list[dict[str, object]]:
    answers = []
    async with edge.http.ws_connect(f"/ws?token={token}") as socket:
        for number, (method, params) in enumerate(calls):
            await socket.send_json(
                {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            )
            while (answer := await socket.receive_json()).get("id") != number:
                pass
            answers.append(answer)
    return answers


async def test_joins_by_outcome(edge: Edge) -> None:
    """A join, a refused join and an offer are counted by what came of them."""
    await edge.new_room(pin="abc123")
    token = await edge.join_token()
    join = {"clientId": str(uuid.uuid4())}
    right = join | {"pin": "abc123"}
    offer = {"sdp": {"type": "offer", "sdp": SDP}}
    calls = [("offer", offer), ("join", join), ("join", right), ("join", right), ("offer", offer)]
    await call(edge, token, *calls)
    async with edge.http.get("/metrics") as answer:
        text = await answer.text()
    for line in (
        'roomtone_joins_total{outcome="joined"} 1.0',
        'roomtone_joins_total{outcome="wrong_pin"} 1.0',
        'roomtone_joins_total{outcome="already_joined"} 1.0',
        'roomtone_offers_total{outcome="not_joined"} 1.0',
        'roomtone_offers_total{outcome="answered"} 1.0',
        "roomtone_offer_seconds_count 1.0",
        'roomtone_store_seconds_count{operation="commit"}',
        'roomtone_http_request_seconds_count{route="/api/rooms"}',
    ):
        assert line in text, line


async def test_people_and_memory(edge: Edge) -> None:
    """People are counted by role, memory by process."""
    found = await samples(edge)
    assert found["roomtone_people_anchor", "control"] == 0
    assert found["roomtone_resident_bytes", "control"] > 1e6
    assert found["roomtone_draining", "control"] == 0


async def test_labels_are_ours(edge: Edge) -> None:
    """Paths and methods that strangers make up are one label."""
    for number in range(3):
        await edge.ask("GET", f"/nothing/{number}")
        await edge.http.request(f"METHOD{number}", "/health")
    async with edge.http.get("/metrics") as answer:
        text = await answer.text()
    assert 'roomtone_http_request_seconds_count{route="unknown"} 3.0' in text
    assert "METHOD" not in text
    assert "/nothing" not in text


async def test_draining(edge: Edge) -> None:
    """While the server drains it is not ready, makes no room and lets nobody new in."""
    await edge.new_room()
    token = await edge.join_token()
    edge.node.services.context.drain.begin(5.0)
    assert await edge.ask("GET", "/ready") == (503, {"ready": False, "reasons": ["draining"]})
    status, answer = await edge.as_admin("POST", "/api/rooms", {})
    assert (status, answer["code"], answer["retryable"]) == (503, "draining", True)
    status, answer = await edge.ask("GET", f"/ws?token={token}")
    assert (status, answer["code"]) == (503, "draining")
    assert (await samples(edge))["roomtone_draining", "control"] == 1
