"""No secret of anybody's gets into the log."""

from typing import Any

import pytest

from tests.server.edge.conftest import Edge
from tests.server.edge.test_signalling import JOIN, OFFER, talking


async def test_nothing_is_logged(edge: Edge, capsys: pytest.CaptureFixture[str]) -> None:
    """A whole evening, with every kind of mistake, leaves no secret in the log."""
    secrets = {edge.node.keyring.admin_key, str(edge.node.keyring.first_run)}
    room = await edge.new_room(pin="z9y8x7")
    invite = room["links"]["join"].partition("#invite=")[2]
    shown: dict[str, Any] = {"invite": invite, "pin": "z9y8x7"}
    _, anchor = await edge.ask("POST", "/api/rooms/demo/users", shown)
    _, listener = await edge.ask("POST", "/api/token", {"roomId": "demo", **shown})
    await edge.ask("POST", "/api/rooms/demo/users", shown | {"pin": "w9y8x7"})
    await edge.ask("POST", "/api/session", {"secret": edge.node.keyring.first_run})
    await edge.ask("GET", f"/api/rooms/demo?invite={invite}")
    await edge.ask("GET", f"/api/rooms/demo?invite={invite}x")
    await edge.ask("GET", f"/hls/demo/stream.m3u8?token={listener['token']}")
    await edge.ask("GET", f"/hls/demo/stream.m3u8?token={listener['token']}x")
    await edge.ask("GET", f"/hls/rooms/demo/9/enc.key?token={listener['token']}")
    async with talking(edge, anchor["token"]) as talk:
        await talk.refused("join", {**JOIN, "pin": 5, "jtoken": anchor["token"]})
        jtoken = (await talk.result("join", {**JOIN, "jtoken": anchor["token"]}))["jtoken"]
        await talk.result("offer", OFFER)
        edge.node.mixer.refusal = RuntimeError("our own fault")
        await talk.refused("offer", OFFER)
    await edge.ask("DELETE", f"/api/rooms/demo/users/{anchor['userID']}")
    secrets |= {"z9y8x7", "w9y8x7", invite, anchor["token"], listener["token"], jtoken}
    logged = "".join(capsys.readouterr())
    assert "our own fault" in logged
    assert [secret for secret in secrets if secret in logged] == []
