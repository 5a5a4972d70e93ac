"""Chat over sockets."""

from typing import Any

import pytest

from tests.server.edge.conftest import Edge
from tests.server.edge.test_door import token
from tests.server.edge.test_participants import NOBODY, member
from tests.server.edge.test_signalling import JOIN, Talk, talking


async def test_everybody_reads(edge: Edge) -> None:
    """What one writes all get, in order, and who comes later gets the last of it."""
    await edge.new_room(chatHistory=2)
    async with talking(edge) as ada, talking(edge) as bob:
        user = (await ada.result("join", JOIN))["userId"]
        await bob.result("join", JOIN)
        for text in ("one", "two"):
            await ada.result("chat", {"text": f"  {text} "})
        sent = await ada.result("chat", {"text": "three\nlines\n"})
        heard = [await bob.hear("chat") for _ in range(3)]
        assert [(one["id"], one["text"]) for one in heard] == [
            (1, "one"),
            (2, "two"),
            (3, "three\nlines"),
        ]
        assert heard[2] == {
            "id": sent["id"],
            "at": sent["at"],
            "userId": user,
            "displayName": "Ada",
            "text": "three\nlines",
            "to": None,
        }
        async with talking(edge) as cyd:
            await cyd.result("join", JOIN)
            assert (await cyd.result("chatHistory"))["messages"] == heard[1:]
            assert (await cyd.result("chatHistory", {"after": 2}))["messages"] == heard[2:]
        await edge.as_admin("DELETE", "/api/rooms/demo")
        assert edge.node.services.context.signalling.chat._logs == {}


async def test_to_one(edge: Edge) -> None:
    """What is for one person only they and the author get, and nobody later."""
    await edge.new_room()
    async with talking(edge) as ada, talking(edge) as bob, talking(edge) as cyd:
        users = [(await one.result("join", JOIN))["userId"] for one in (ada, bob, cyd)]
        await ada.result("chat", {"text": "psst", "to": users[1]})
        await ada.result("chat", {"text": "all"})
        assert (await bob.hear("chat"))["to"] == users[1]
        assert (await ada.hear("chat"))["text"] == "psst"
        assert (await cyd.hear("chat"))["text"] == "all"
        assert [one["text"] for one in (await cyd.result("chatHistory"))["messages"]] == ["all"]
        assert await ada.refused("chat", {"text": "x", "to": NOBODY}) == (-32600, "not_found")


async def test_off(edge: Edge) -> None:
    """A host switches it off, and who may not write cannot read either."""
    await edge.new_room()
    async with member(edge, "host") as host, member(edge) as ada:
        await host.call("changeRoom", chat=False)
        for method, params in (("chat", {"text": "x"}), ("chatHistory", {})):
            assert await ada.call(method, **params) == "chat_off"


@pytest.mark.parametrize("listeners", [False, True])
async def test_listeners(edge: Edge, listeners: bool) -> None:  # noqa: FBT001 - a parameter
    """Listeners write and read if the room lets them; who waits never does."""
    await edge.new_room(chatListeners=listeners, lobby=True)
    (_, lena), (_, wanda) = await token(edge, "listener"), await token(edge, "anchor")
    async with (
        member(edge, "host") as host,
        talking(edge, lena) as listener,
        talking(edge, wanda) as waiter,
    ):
        await listener.result("join", JOIN)
        await waiter.result("join", JOIN)
        assert await code(waiter, "chat", {"text": "x"}) == "not_granted"
        assert await code(waiter, "chatHistory") == "not_granted"
        expected = None if listeners else "not_granted"
        assert await code(listener, "chat", {"text": "hello"}) == expected
        assert await code(listener, "chatHistory") == expected
        await host.call("chat", text="from the stage")
        await host.call("changeRoom", name="done")
        heard = []
        while (message := await listener.read()).get("method") != "roomChanged":
            heard.append(message["params"]["text"])
        assert heard == (["from the stage"] if listeners else [])


async def test_flood(edge: Edge) -> None:
    """Who writes too fast is told how long to wait, and nobody gets it."""
    await edge.new_room()
    async with talking(edge) as ada:
        await ada.result("join", JOIN)
        answers = [await ada.call("chat", {"text": "x"}) for _ in range(8)]
        assert all("result" in answer for answer in answers[:5])
        why = answers[-1]["error"]["data"]
        assert (why["code"], 0 < why["retryAfterMs"] <= 1000) == ("chat_too_fast", True)
        assert len((await ada.result("chatHistory"))["messages"]) < 8


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"text": ""},
        {"text": " \n "},
        {"text": "x" * 2001},
        {"text": "bell\u0007"},
        {"text": "x", "to": "bob"},
        {"text": 7},
    ],
)
async def test_wrong_messages(edge: Edge, params: dict[str, Any]) -> None:
    """What is no message is refused, and who has not joined cannot write at all."""
    await edge.new_room()
    async with talking(edge) as ada:
        assert await code(ada, "chat", {"text": "x"}) == "not_joined"
        await ada.result("join", JOIN)
        assert await code(ada, "chat", params) == "bad_params"


async def code(talk: Talk, method: str, params: object = None) -> str | None:
    """Return the code a call is refused with, None if it is not."""
    error = (await talk.call(method, params)).get("error")
    return None if error is None else str(error["data"]["code"])
