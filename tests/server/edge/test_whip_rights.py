"""Who may open, change and end a connection by WHIP and WHEP."""

import pytest

from tests.server.edge.conftest import Edge
from tests.server.edge.whip_client import ICE, OFFER, SDP, Client


@pytest.mark.parametrize("kind", ["whip", "whep"])
async def test_rights(edge: Edge, kind: str) -> None:
    """Nothing shown is 401; a bad token, or one of another room, is 403."""
    await edge.new_room()
    await edge.new_room("other")
    nobody = Client(edge.http, kind, "")
    assert await nobody.ask("POST", nobody.path, OFFER, Authorization="", Content_Type=SDP) == 401
    assert nobody.headers["WWW-Authenticate"] == "Bearer"
    for token in ("junk", await edge.join_token("other"), await edge.listen_token("other")):
        client = Client(edge.http, kind, token)
        assert (await client.post(), client.code) == (403, "forbidden")
    assert edge.node.mixer.offers == []


async def test_grants(edge: Edge) -> None:
    """Who may not speak does not publish, and who may not listen does not listen."""
    await edge.new_room()
    for wanted, whip, whep in (
        ({"role": "listener"}, 403, 201),
        ({"grants": ["speak"]}, 201, 403),
        ({"role": "guest"}, 201, 201),
    ):
        _, made = await edge.as_admin("POST", "/api/rooms/demo/users", wanted)
        for kind, status in (("whip", whip), ("whep", whep)):
            client = Client(edge.http, kind, made["token"])
            assert await client.post() == status
            assert status == 201 or client.code == "not_granted"


async def test_a_connection_is_its_makers(edge: Edge, whip: Client) -> None:
    """Another's token opens neither PATCH nor DELETE, nor does another kind's or room's address."""
    await edge.new_room("other")
    await whip.post()
    thief = Client(edge.http, "whip", await edge.join_token())
    thief.location = whip.location
    assert (await thief.delete(), await thief.patch(ICE, "*")) == (403, 403)
    assert await whip.ask("DELETE", whip.location.replace("whip", "whep")) == 404
    assert await whip.ask("DELETE", whip.location.replace("demo", "other")) == 404
    assert await whip.delete() == 200


async def test_a_token_that_ran_out_ends_nothing(edge: Edge, whip: Client) -> None:
    """It let them in, and still shows that they are the same."""
    await whip.post()
    edge.node.unix.advance(10**7)
    assert await whip.patch(ICE, "*") == 204
    assert await whip.delete() == 200
