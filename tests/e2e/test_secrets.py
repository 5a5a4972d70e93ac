"""Nothing secret is written anywhere but where it is kept, however talkative the server is."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import Program, roomtone, running
from tests.support.room_client import Signalling
from tests.support.webrtc_client import client

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def keys(program: Program, *arguments: str) -> dict[str, Any]:
    """Run `roomtone keys` against the server; return what it says as JSON."""
    options = ("--url", program.url, "--state-dir", str(program.state_dir), "--json")
    done = roomtone("keys", *arguments, *options)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


async def _evening(program: Program) -> set[str]:
    """Do everything that has to do with secrets, right and wrong; return the secrets."""
    first_run = json.loads((program.state_dir / "secrets.json").read_text())["firstRun"]
    room = await program.new_room(roomId="studio", pin="z9y8x7")
    invite = room["links"]["join"].partition("#invite=")[2]
    key = keys(program, "create", "Grafana", "--scope", "rooms:read")["secret"]
    other = keys(program, "create", "gone", "--scope", "people", "--scope", "keys")
    keys(program, "revoke", other["keyId"])
    keys(program, "rotate")
    shown = {"invite": invite, "pin": "z9y8x7"}
    nobody = {"Authorization": ""}
    _, anchor = await program.call("POST", "/api/rooms/studio/users", shown, **nobody)
    _, once = await program.call("POST", "/api/rooms/studio/users", shown | {"oneShot": True})
    _, listener = await program.call("POST", "/api/token", {"roomId": "studio"} | shown, **nobody)
    wrong = {"invite": invite, "pin": "w9y8x7"}
    await program.call("POST", "/api/rooms/studio/users", wrong, **nobody)
    for text in (key, other["secret"], key[:-1] + "~", anchor["token"], listener["token"]):
        bearer = {"Authorization": f"Bearer {text}"}
        await program.call("GET", "/api/rooms", **bearer)
        await program.call("GET", f"/api/rooms/studio?invite={invite}&token={text}", **bearer)
        await program.call("POST", "/api/session", {"secret": text}, **nobody)
        async with program.http.get(f"{program.url}/hls/rooms/studio/enc.key?token={text}") as _:
            pass
    await program.call("POST", "/api/session", {"secret": first_run}, **nobody)
    await program.call("PATCH", "/api/rooms/studio", {"pin": "q1q2q3"})
    jtokens = [await _talk(program, user["token"], "q1q2q3") for user in (anchor, once)]
    async with program.http.get(f"{program.url}/ws?token={once['token']}x") as _:
        pass
    cookies = {cookie.value for cookie in program.http.cookie_jar}
    await program.call("DELETE", f"/api/rooms/studio/users/{anchor['userID']}")
    await program.call("DELETE", "/api/rooms/studio")
    tokens = {user["token"] for user in (anchor, once, listener)}
    return (
        {program.admin_key, first_run, invite, key, other["secret"], "z9y8x7", "w9y8x7", "q1q2q3"}
        | tokens
        | cookies
        | {jtoken for jtoken in jtokens if jtoken}
    )


async def _talk(program: Program, token: str, pin: str) -> str:
    """Join with media, and make a mistake with everything secret there is."""
    async with program.http.ws_connect(f"{program.url}/ws?token={token}") as socket:
        signalling = Signalling(socket)
        me = str(uuid.uuid4())
        for mistake in ({"pin": 5, "jtoken": token}, {"pin": pin, "clientId": token}):
            await socket.send_json(
                {"jsonrpc": "2.0", "id": "x", "method": "join", "params": mistake}
            )
            await socket.receive()
        joined = await signalling.call("join", clientId=me, pin=pin, jtoken=token)
        async with client() as made:
            offer = await made.offer()
            await signalling.call("offer", sdp={"type": "offer", "sdp": offer})
        await signalling.call("leave")
        return str(joined["jtoken"])


async def test_nothing_secret_is_written(tmp_path: Path) -> None:
    """A server at its most talkative logs a whole evening without one secret in it."""
    async with running(tmp_path / "state", "--log-level", "debug") as program:
        secrets = await _evening(program)
        private = (program.state_dir / "signing.json").read_text()
        kept = json.loads((program.state_dir / "secrets.json").read_text())
    secrets |= {kept["resume"], kept["admin"], json.loads(private)["streams"]}
    for key in json.loads(private)["keys"]:
        secrets |= set(key["pem"].splitlines()[1:-1])
    assert "api_key_created" in program.output
    assert "request" in program.output
    assert [secret for secret in secrets if secret in program.output] == []
