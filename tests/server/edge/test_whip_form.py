"""The form of WHIP and WHEP: candidates, restarts, bodies, types, and whatever else is sent."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixer.errors import ClientMistake
from server.services.standing import Kind
from tests.server.edge.conftest import Edge, Serve
from tests.server.edge.whip_client import (
    CANDIDATE,
    FRAGMENT,
    ICE,
    OFFER,
    OTHER_ICE,
    SDP,
    Client,
    people,
)


@pytest.mark.parametrize("kind", ["whip", "whep"])
async def test_candidates_and_restarts(edge: Edge, kind: str) -> None:
    """RFC 9725: If-Match names the ICE session; a restart is a new one, with an answer."""
    await edge.new_room()
    token = await (edge.join_token() if kind == "whip" else edge.listen_token())
    client = Client(edge.http, kind, token)
    await client.post()
    first = client.tag
    assert await client.patch(f"{ICE}a={CANDIDATE}\r\n", first) == 204
    assert edge.node.mixer.candidates == [CANDIDATE]
    assert (await client.patch(ICE, ""), client.code) == (428, "precondition_required")
    assert (await client.patch(ICE, '"other"'), client.code) == (412, "precondition_failed")
    assert await client.patch(ICE, f"W/{first}") == 412
    assert await client.patch(ICE, f'"other", {first}') == 204
    assert len(edge.node.mixer.offers) == 1
    assert await client.patch(OTHER_ICE, "*") == 200
    assert client.headers["Content-Type"] == FRAGMENT
    assert client.headers["ETag"] != first
    assert client.body.startswith("a=ice-ufrag:")
    (room, peer, _), (again, same, offer) = edge.node.mixer.offers
    assert (room, peer) == (again, same)
    assert OTHER_ICE in offer
    assert await client.patch(OTHER_ICE, first) == 412
    assert await client.patch(OTHER_ICE, "*") == 204


@pytest.mark.parametrize("kind", ["whip", "whep"])
async def test_a_refused_restart_leaves_the_connection(edge: Edge, kind: str) -> None:
    """As it was, with its tag."""
    await edge.new_room()
    client = Client(edge.http, kind, await edge.join_token())
    await client.post()
    edge.node.mixer.refusal = ClientMistake("bad_sdp", "no")
    assert await client.patch(OTHER_ICE, "*") == 400
    edge.node.mixer.refusal = None
    edge.node.mixer.is_away = True
    assert await client.patch(OTHER_ICE, "*") == 503
    edge.node.mixer.is_away = False
    assert await client.patch(ICE, client.tag) == 204
    assert await client.delete() == 200


async def test_bodies_and_types(edge: Edge, whip: Client) -> None:
    """415, 406, 413, 400 and 422, each with its code, and nobody came in."""
    for headers, status, code in (
        ({"Content_Type": "application/json"}, 415, "unsupported_media"),
        ({"Content_Type": ""}, 415, "unsupported_media"),
        ({"Accept": "text/html"}, 406, "not_acceptable"),
        ({"Accept": "application/sdp;q=0, text/html"}, 406, "not_acceptable"),
    ):
        assert (await whip.post(**headers), whip.code) == (status, code)
    assert (await whip.post("x" * 40_000), whip.code) == (413, "too_large")
    assert (await whip.post(OFFER.replace("sendrecv", "recvonly")), whip.code) == (422, "no_audio")
    assert edge.node.mixer.offers == []
    for accept in ("*/*", "text/html, application/*;q=0.5", " "):
        assert await whip.post(Accept=accept) == 201
    for body, status in (("junk", 400), ("", 400), ("x" * 40_000, 413)):
        assert await whip.patch(body, "*") == status
    assert await whip.patch(ICE, "*", Content_Type=SDP) == 415
    for tags in ("junk", '"a', ",", ",".join(['"a"'] * 17)):
        assert await whip.patch(ICE, tags) == 400


async def test_bodies_that_are_no_text(edge: Edge, whep: Client) -> None:
    """Are bad parameters; a listener's offer must take audio."""
    headers = {"Authorization": f"Bearer {await edge.listen_token()}", "Content-Type": SDP}
    status, answer = await edge.ask("POST", "/whep/demo", b"\xff\xfe", headers=headers)
    assert (status, answer["code"], answer["details"]) == (400, "bad_params", None)
    assert await whep.post(OFFER.replace("sendrecv", "sendonly")) == 422


async def test_what_may_be_sent_where(whip: Client) -> None:
    """OPTIONS says so to everybody; GET is no method here."""
    await whip.post()
    assert await whip.ask("OPTIONS", whip.path, Authorization="") == 204
    assert whip.headers["Accept-Post"] == SDP
    assert await whip.ask("OPTIONS", whip.location, Authorization="") == 204
    assert whip.headers["Accept-Patch"] == FRAGMENT
    for method in ("GET", "PUT"):
        assert await whip.ask(method, whip.path) == 405
        assert await whip.ask(method, whip.location) == 405


async def test_ice_servers_are_linked(serve: Serve, tmp_path: Any) -> None:
    """One `Link` for each, with credentials of the client's own."""
    urls = "stun:s.example,turn:t.example"
    edge = await serve(ice_servers=urls, turn_secret_file=tmp_path / "secret")
    await edge.new_room()
    client = Client(edge.http, "whep", await edge.listen_token())
    await client.post()
    stun, turn = client.headers.getall("Link")
    assert stun == '<stun:s.example>; rel="ice-server"'
    ((_, peer),) = edge.node.mixer.listening
    assert f':{peer}"; credential="' in turn


async def test_errors_of_ours_stay_inside(edge: Edge, whip: Client) -> None:
    """A fault is the log's, and still an answer that a page may read."""
    edge.node.mixer.refusal = RuntimeError("secret")
    assert await whip.post() == 500
    assert "secret" not in whip.body
    assert people(edge.node) == []


_LINES = st.sampled_from([*OFFER.split("\r\n"), *OTHER_ICE.split("\r\n"), f"a={CANDIDATE}", "a=x"])
_RIGHT = st.sampled_from([OFFER, ICE, OTHER_ICE])
_BODIES = _RIGHT | st.text(max_size=300) | st.lists(_LINES, max_size=12).map("\r\n".join)
_HEADERS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40).map(str.strip)


async def test_whatever_is_sent_is_answered(edge: Edge, whip: Client) -> None:
    """No 5xx, no listener or person left behind, and nobody else is disturbed."""
    await whip.post()
    fuzzer = Client(edge.http, "whep", await edge.listen_token())
    loop = asyncio.get_running_loop()
    statuses: set[int] = set()

    @settings(
        max_examples=120,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(
        body=_BODIES,
        content=st.just("") | _HEADERS,
        accept=st.just("") | _HEADERS,
        tags=st.just("*") | _HEADERS,
        method=st.sampled_from(["POST", "PATCH", "DELETE"]),
    )
    def attack(body: str, content: str, accept: str, tags: str, method: str) -> None:
        async def once() -> None:
            if not fuzzer.location:
                assert await fuzzer.post() == 201
            path = fuzzer.path if method == "POST" else fuzzer.location
            right = SDP if method == "POST" else FRAGMENT
            told = {"Content_Type": content or right, "Accept": accept, "If_Match": tags}
            text = body.encode(errors="replace").decode()
            status = await fuzzer.ask(method, path, text, **told)
            statuses.add(status)
            if method == "DELETE" and status == 200:
                fuzzer.location = ""
            assert status < 500, fuzzer.body

        asyncio.run_coroutine_threadsafe(once(), loop).result()

    await asyncio.to_thread(attack)
    assert {200, 201, 204, 400, 415} <= statuses
    assert len(people(edge.node)) == 1
    standings = edge.node.services.context.standings
    assert standings.count(Kind.WHEP) == len(edge.node.mixer.listening)
    assert await whip.delete() == 200
