"""Listeners whose token is over: they go on, also after a restart."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mixer.types import RoomId
from server.compose.build import Services
from server.errors import BadToken, StoreLost, TokenExpired
from server.services import sessions
from server.services.listeners import GONE_S
from server.services.rooms import Wanted
from server.services.tokens import Grant
from tests.server.services.people import ADA, BOB
from tests.support.node import Node, open_node

DEMO = RoomId("demo")
LISTENS = "/rooms/demo/listening/"


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """A node with a room on air."""
    async with open_node(tmp_path) as made:
        await made.rooms.create(Wanted(id=DEMO, expires_in_s=None))
        yield made


async def stored(node: Node) -> list[str]:
    return [one.key for one in (await node.store.scan(LISTENS)).records]


async def listen(node: Node, token: str, seconds: float) -> None:
    """Ask for a playlist now and then, for so long."""
    listening = node.services.context.listening
    for _ in range(int(seconds / 5)):
        listening.seen(DEMO, token)
        await listening.sessions.settle()
        node.advance(5)


async def restart(node: Node) -> Services:
    """Let another process go on, on the same ground."""
    services = node.services = node.build()
    await services.load()
    return services


async def test_over_a_restart(node: Node) -> None:
    """Who was listening beyond their token's time goes on after a restart, and after another."""
    token = node.listen_token(Grant(DEMO, ADA), ttl_s=60)
    await listen(node, token, 100)
    assert await stored(node) == [LISTENS + ADA]
    for _ in range(2):
        services = await restart(node)
        node.advance(GONE_S - 1)
        await services.context.listening.sessions.settle()
        assert services.context.listening.seen(DEMO, token).user == ADA
        await listen(node, token, 100)


async def test_a_token_that_ends_meanwhile(node: Node) -> None:
    """Good when the server stopped, over when it is there again: they go on."""
    token = node.listen_token(Grant(DEMO, ADA), ttl_s=int(sessions.NEAR_S) - 1)
    await listen(node, token, 5)
    node.advance(sessions.NEAR_S)
    services = await restart(node)
    assert services.context.listening.seen(DEMO, token).user == ADA


async def test_not_for_who_was_gone(node: Node) -> None:
    """Who had left before, came too late, or never listened, needs a new token; nothing is kept."""
    tokens = [node.listen_token(Grant(DEMO, user), ttl_s=60) for user in (ADA, BOB)]
    await listen(node, tokens[0], 65)
    node.advance(GONE_S)
    await node.services.context.listening.sessions.settle()
    assert await stored(node) == []
    services = await restart(node)
    for token in tokens:
        with pytest.raises(TokenExpired):
            services.context.listening.seen(DEMO, token)
    fresh = node.listen_token(Grant(DEMO, ADA), ttl_s=30)
    await listen(node, fresh, 40)
    services = await restart(node)
    node.advance(GONE_S)
    with pytest.raises(TokenExpired):
        services.context.listening.seen(DEMO, fresh)
    await services.context.listening.sessions.settle()
    assert await stored(node) == []


async def test_no_longer_than_a_session(node: Node) -> None:
    """A restart makes no session longer, and opens no other room."""
    node.access.lifetimes = lasting = node.access.lifetimes
    token = node.listen_token(Grant(DEMO, ADA), ttl_s=60)
    await listen(node, token, 65)
    node.advance(lasting.session_s - 66)
    services = await restart(node)
    assert services.context.listening.seen(DEMO, token).user == ADA
    node.advance(2)
    with pytest.raises(TokenExpired):
        services.context.listening.seen(DEMO, token)


async def test_revoked(node: Node) -> None:
    """Who was revoked while the server was there does not go on in the next one."""
    token = node.listen_token(Grant(DEMO, ADA), ttl_s=60)
    await listen(node, token, 65)
    await node.access.remove(DEMO, ADA)
    assert not node.services.context.listening.sessions.is_under_way(DEMO, ADA)
    services = await restart(node)
    with pytest.raises(BadToken, match="revoked"):
        services.context.listening.seen(DEMO, token)
    await services.context.listening.sessions.settle()
    node.advance(GONE_S)
    await services.context.listening.sessions.settle()
    assert await stored(node) == []


async def test_nothing_is_written_for_others(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that is good for long costs no write, one that is over a single one."""
    commits, commit = list[object](), node.store.commit

    async def counted(**wanted: object) -> object:
        commits.append(wanted)
        return await commit(**wanted)  # type: ignore[arg-type]

    node.services.context.listening.sessions._store = node.store
    monkeypatch.setattr(type(node.store), "commit", lambda _self, **wanted: counted(**wanted))
    await listen(node, node.listen_token(Grant(DEMO, ADA), ttl_s=7200), 300)
    assert commits == []
    await listen(node, node.listen_token(Grant(DEMO, BOB), ttl_s=60), 300)
    assert len(commits) == 1


async def test_store_lost(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be stored is stored when the store is there again."""
    listening = node.services.context.listening
    token = node.listen_token(Grant(DEMO, ADA), ttl_s=60)
    listening.seen(DEMO, token)

    async def lost(**_: object) -> object:
        raise StoreLost("gone")

    with monkeypatch.context() as away:
        away.setattr(listening.sessions._store, "commit", lost)
        with pytest.raises(StoreLost):
            await listening.sessions.settle()
    await listening.sessions.settle()
    assert await stored(node) == [LISTENS + ADA]


async def test_many(node: Node) -> None:
    """A crowd is stored in more than one commit, and forgotten with its room."""
    users = [type(ADA)(f"aaaaaaaa-0000-4000-8000-{number:012}") for number in range(250)]
    listening = node.services.context.listening
    for user in users:
        listening.seen(DEMO, node.listen_token(Grant(DEMO, user), ttl_s=60))
    await listening.sessions.settle()
    assert len(await stored(node)) == len(listening.sessions) == 250
    await node.rooms.remove(DEMO)
    assert await stored(node) == []
    await listening.sessions.settle()
    assert len(listening.sessions) == 0
