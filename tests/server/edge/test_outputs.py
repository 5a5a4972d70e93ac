"""REST of RTMP outputs."""

from tests.server.edge.conftest import Edge

KEY = "secret-key"
URL = f"rtmp://live.example.org/app/{KEY}"
PATH = "/api/rooms/demo/outputs"


async def test_life(edge: Edge) -> None:
    """Made, listed, changed, deleted; the key is in no answer."""
    await edge.new_room()
    status, made = await edge.as_admin("POST", PATH, {"url": URL, "name": "Ours"})
    assert status == 201
    output = made["output"]
    assert output["url"] == "rtmp://live.example.org/app/\N{HORIZONTAL ELLIPSIS}"
    one = f"{PATH}/{output['outputId']}"
    _, listed = await edge.as_admin("GET", PATH)
    _, changed = await edge.as_admin("PATCH", one, {"enabled": False})
    assert (changed["output"]["state"], changed["output"]["enabled"]) == ("off", False)
    assert [o["name"] for o in listed["outputs"]] == ["Ours"]
    assert KEY not in str([made, listed, changed])
    assert (await edge.as_admin("DELETE", one))[0] == 200
    assert (await edge.as_admin("DELETE", one))[0] == 404
    assert (await edge.as_admin("GET", PATH))[1]["outputs"] == []


async def test_refused(edge: Edge) -> None:
    """A wrong address is refused without being repeated; a room that is not there has none."""
    await edge.new_room()
    status, told = await edge.as_admin("POST", PATH, {"url": f"http://x/{KEY}"})
    assert (status, told["code"]) == (400, "bad_params")
    assert KEY not in str(told)
    assert (await edge.as_admin("GET", "/api/rooms/nowhere/outputs"))[0] == 404
