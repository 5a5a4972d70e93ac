"""A client of WHIP and WHEP, and what a server tells of its people."""

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

from aiohttp.test_utils import TestClient

from mixer.types import RoomId
from tests.support.node import Node

DEMO = RoomId("demo")
SDP, FRAGMENT = "application/sdp", "application/trickle-ice-sdpfrag"
ICE = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n"
OFFER = f"v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n{ICE}a=mid:0\r\na=sendrecv\r\n"
OTHER_ICE = ICE.replace("abcd", "wxyz")
CANDIDATE = "candidate:1 1 udp 1 192.0.2.1 5000 typ host"


class Client:
    """A WHIP or WHEP client; `headers` and `body` are of its last answer."""

    def __init__(self, http: TestClient[Any, Any], kind: str, token: str) -> None:
        self.path = f"/{kind}/demo"
        self.location = ""
        self.tag = ""
        self.headers: Any = {}
        self.body = ""
        self._http = http
        self._token = token

    async def ask(self, method: str, path: str, body: str = "", **headers: str) -> int:
        """Return the status; a header whose value is empty is not sent."""
        told = {"Authorization": f"Bearer {self._token}"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        sent = {name: value for name, value in told.items() if value}
        async with self._http.request(
            method, path, data=body.encode(), headers=sent, skip_auto_headers=["Content-Type"]
        ) as answer:
            self.headers, self.body = answer.headers, await answer.text()
            return answer.status

    async def post(self, offer: str = OFFER, **headers: str) -> int:
        status = await self.ask("POST", self.path, offer, **({"Content_Type": SDP} | headers))
        if status == 201:
            self.location = urlsplit(self.headers["Location"]).path
            self.tag = self.headers["ETag"]
        return status

    async def patch(self, body: str, if_match: str, **headers: str) -> int:
        told = {"Content_Type": FRAGMENT, "If_Match": if_match} | headers
        return await self.ask("PATCH", self.location, body, **told)

    async def delete(self) -> int:
        return await self.ask("DELETE", self.location)

    @property
    def code(self) -> str:
        """The code of the problem that was answered."""
        assert self.headers["Content-Type"].startswith("application/problem+json")
        problem = json.loads(self.body)
        assert problem["type"] == "about:blank"
        assert problem["title"]
        assert problem["detail"] == problem["error"]
        assert problem["success"] is False
        return str(problem["code"])


async def settle() -> None:
    """Let what the mixer told come about."""
    for _ in range(20):
        await asyncio.sleep(0)


def people(node: Node) -> list[dict[str, Any]]:
    """Return who is in the room."""
    return node.presence.listing(DEMO)


def mixed(node: Node) -> list[tuple[bool, bool]]:
    """Return of each connection that the mixer shall have if it is heard, and if it hears."""
    anchors = node.mixer.specs[DEMO].anchors
    return [(bool(one.speaks) and not one.muted, bool(one.hears)) for one in anchors]
