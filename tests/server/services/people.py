"""People for the tests of the services."""

import json
from typing import Any

from server.domain.grants import Role
from server.domain.identity import UserId
from server.domain.room import Room
from server.services.presence import Arrival
from tests.support.node import FakeClient, Node

ADA = UserId("aaaaaaaa-0000-4000-8000-000000000001")
BOB = UserId("bbbbbbbb-0000-4000-8000-000000000002")


def enter(node: Node, room: Room, user: UserId, *, resumes: str = "") -> FakeClient:
    """Let somebody in and return their socket."""
    client = FakeClient()
    node.presence.enter(room, Arrival(user, Role.ANCHOR, user[:3], resumes), client)
    return client


def told(client: FakeClient, method: str) -> list[Any]:
    """Return the params of every such notification a socket got."""
    messages = [json.loads(text) for text in client.texts]
    return [message["params"] for message in messages if message["method"] == method]
