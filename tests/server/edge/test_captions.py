"""Captions, by REST."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hls.types import Caption, CaptionFate
from server.domain.captions import A_MINUTE
from server.errors import PlaneUnavailable
from tests.server.edge.conftest import Edge
from tests.server.edge.test_signalling import JOIN, talking

PATH = "/api/rooms/demo/captions"
HELLO: dict[str, Any] = {"language": "en", "text": "Hello", "durationMs": 1500}


async def on_air(edge: Edge, *, broadcast: bool = True) -> float:
    """Put a captioned room on air and return the time on its stream's clock."""
    await edge.new_room(captions=["en", "pt-BR"], broadcast=broadcast)
    await edge.node.settle()
    return edge.node.clock.unix()


async def test_said_now(edge: Edge) -> None:
    """A caption begins now, or so many milliseconds from now, on the clock of the stream."""
    now = await on_air(edge)
    status, answer = await edge.as_admin("POST", PATH, HELLO)
    assert status == 200
    start = datetime.fromtimestamp(now, UTC)
    assert datetime.fromisoformat(answer["caption"].pop("startsAt")) == start
    end = datetime.fromisoformat(answer["caption"].pop("endsAt"))
    assert end == start + timedelta(seconds=1.5)
    assert answer["caption"] == {"language": "en", "text": "Hello", "late": False}
    edge.node.broadcast.caption_fate = CaptionFate.LATE
    _, answer = await edge.as_admin("POST", PATH, HELLO | {"offsetMs": -800, "text": " a\nb "})
    assert answer["caption"]["late"] is True
    assert edge.node.broadcast.captions == [
        ("demo", Caption("en", "Hello", now, now + 1.5)),
        ("demo", Caption("en", "a\nb", now - 0.8, now + 0.7)),
    ]


async def test_said_at_a_time(edge: Edge) -> None:
    """With `startsAt` it begins then; the language may be written otherwise."""
    now = await on_air(edge)
    at = datetime.fromtimestamp(now + 3, UTC).isoformat().replace("+00:00", "Z")
    body = HELLO | {"startsAt": at, "language": "PT-br"}
    assert (await edge.as_admin("POST", PATH, body))[0] == 200
    assert edge.node.broadcast.captions == [("demo", Caption("pt-BR", "Hello", now + 3, now + 4.5))]


async def test_not_final(edge: Edge) -> None:
    """What may still change is checked and goes nowhere, for what is on air stays."""
    await on_air(edge)
    body = HELLO | {"isFinal": False}
    assert await edge.as_admin("POST", PATH, body) == (200, {"success": True, "caption": None})
    assert (await edge.as_admin("POST", PATH, body | {"language": "fr"}))[0] == 400
    assert edge.node.broadcast.captions == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"text": " "}, "Text"),
        ({"text": "x" * 501}, "Text"),
        ({"text": "\x00"}, "Text"),
        ({"text": None}, "Text"),
        ({"language": "fr"}, "Language"),
        ({"language": "../en"}, "Language"),
        ({"durationMs": 99}, "DurationMs"),
        ({"durationMs": 30_001}, "DurationMs"),
        ({"durationMs": "2000"}, "DurationMs"),
        ({"offsetMs": -30_001}, "OffsetMs"),
        ({"offsetMs": 60_001}, "OffsetMs"),
        ({"startsAt": "2020-01-01T00:00:00Z"}, "StartsAt"),
        ({"startsAt": "2999-01-01T00:00:00Z"}, "StartsAt"),
        ({"startsAt": "2023-11-14T22:13:20"}, "StartsAt"),
        ({"startsAt": "soon"}, "StartsAt"),
        ({"startsAt": 1_700_000_000}, "StartsAt"),
        ({"isFinal": 1}, "IsFinal"),
    ],
)
async def test_wrong(edge: Edge, change: dict[str, object], field: str) -> None:
    """What cannot be shown is refused by the name of its field."""
    await on_air(edge)
    status, answer = await edge.as_admin("POST", PATH, HELLO | change)
    assert (status, answer["code"], answer["details"][0]["field"]) == (400, "bad_params", field)
    assert edge.node.broadcast.captions == []


async def test_no_room(edge: Edge) -> None:
    """A room that is not there has none, and one that is not on air cannot show any now."""
    assert (await edge.as_admin("POST", PATH, HELLO))[0] == 404
    await on_air(edge, broadcast=False)
    status, answer = await edge.as_admin("POST", PATH, HELLO)
    assert (status, answer["code"]) == (503, "not_ready")


async def test_the_plane_says_no(edge: Edge) -> None:
    """What the broadcast process does not show is not answered as if it were shown."""
    await on_air(edge)
    for fate, code in ((CaptionFate.FULL, "too_many"), (CaptionFate.UNKNOWN, "not_ready")):
        edge.node.broadcast.caption_fate = fate
        assert (await edge.as_admin("POST", PATH, HELLO))[1]["code"] == code
    edge.node.broadcast.refusal = PlaneUnavailable()
    assert (await edge.as_admin("POST", PATH, HELLO))[1]["code"] == "media_unavailable"


async def test_too_fast(edge: Edge) -> None:
    """A language takes so many a minute; another one of the room is none the worse for it."""
    await on_air(edge)
    for _ in range(A_MINUTE):
        assert (await edge.as_admin("POST", PATH, HELLO))[0] == 200
    status, answer = await edge.as_admin("POST", PATH, HELLO)
    assert (status, answer["code"]) == (429, "too_many_requests")
    assert (await edge.as_admin("POST", PATH, HELLO | {"language": "pt-BR"}))[0] == 200


async def test_sent_twice(edge: Edge) -> None:
    """With an Idempotency-Key a caption that is sent again is shown once."""
    await on_air(edge)
    headers = edge.admin | {"Idempotency-Key": "1"}
    answers = [await edge.ask("POST", PATH, HELLO, headers=headers) for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(edge.node.broadcast.captions) == 1


async def test_told(edge: Edge) -> None:
    """The languages of a room and their playlists can be asked for."""
    await on_air(edge)
    _, answer = await edge.as_admin("GET", "/api/rooms/demo/broadcast")
    url = f"{edge.http.make_url('/')}hls/demo"
    assert answer["broadcast"]["captions"] == [
        {"language": "en", "url": f"{url}/en-cc/stream.m3u8"},
        {"language": "pt-BR", "url": f"{url}/pt-br-cc/stream.m3u8"},
    ]


async def test_a_recorded_room_off_air(edge: Edge) -> None:
    """It needs no listeners to be captioned, and languages that are added reach the recording."""
    await on_air(edge, broadcast=False)
    status, _ = await edge.as_admin("POST", "/api/rooms/demo/recordings", {})
    assert status == 201
    await edge.node.settle()
    assert (await edge.as_admin("POST", PATH, HELLO))[0] == 200
    assert [said.text for _, said in edge.node.broadcast.captions] == ["Hello"]
    assert (await edge.as_admin("PATCH", "/api/rooms/demo", {"captions": ["de"]}))[0] == 200
    await edge.node.settle()
    spec = edge.node.broadcast.specs["demo"]
    assert [one.language for one in spec.captions] == ["de"]
    assert spec.recording is not None


async def test_read_in_the_room(edge: Edge) -> None:
    """Who asks reads in one language, on air or not, until they ask for none or are gone."""
    await on_air(edge, broadcast=False)
    async with talking(edge) as ada, talking(edge) as bob:
        assert (await ada.result("join", JOIN))["room"]["captions"] == ["en", "pt-BR"]
        await bob.result("join", JOIN)
        assert await ada.result("readCaptions", {"language": "EN"}) == {"language": "en"}
        assert await bob.result("readCaptions", {"language": "pt-BR"}) == {"language": "pt-BR"}
        assert (await edge.as_admin("POST", PATH, HELLO | {"offsetMs": -800}))[0] == 200
        ola = HELLO | {"language": "pt-BR", "text": "Olá", "offsetMs": 2000}
        assert (await edge.as_admin("POST", PATH, ola))[0] == 200
        told = {"language": "en", "text": "Hello", "startsInMs": -800, "durationMs": 1500}
        assert await ada.hear("caption") == told
        told = {"language": "pt-BR", "text": "Olá", "startsInMs": 2000, "durationMs": 1500}
        assert await bob.hear("caption") == told
        assert await ada.result("readCaptions") == {"language": None}
        assert "caption" not in {one.get("method") for one in ada.heard}
        assert (await edge.as_admin("POST", PATH, HELLO))[1]["code"] == "not_ready"
        await bob.result("leave")
        assert (await edge.as_admin("POST", PATH, ola))[1]["code"] == "not_ready"
    await edge.as_admin("DELETE", "/api/rooms/demo")
    assert edge.node.services.context.captions.readers._languages == {}


async def test_read_in_the_room_and_on_air(edge: Edge) -> None:
    """What listeners were refused nobody inside reads either; what only they missed is read."""
    await on_air(edge)
    async with talking(edge) as ada:
        await ada.result("join", JOIN)
        await ada.result("readCaptions", {"language": "en"})
        for fate, text, status in (
            (CaptionFate.FULL, "Too many", 409),
            (CaptionFate.UNKNOWN, "Off the air a moment ago", 200),
            (CaptionFate.LATE, "Late", 200),
        ):
            edge.node.broadcast.caption_fate = fate
            assert (await edge.as_admin("POST", PATH, HELLO | {"text": text}))[0] == status
        heard = [(await ada.hear("caption"))["text"] for _ in range(2)]
        assert heard == ["Off the air a moment ago", "Late"]


async def test_who_may_read(edge: Edge) -> None:
    """Who waits to be let in reads nothing, nobody in what the room is not captioned in."""
    await on_air(edge)
    async with talking(edge) as ada:
        assert (await ada.refused("readCaptions", {"language": "en"}))[1] == "not_joined"
        await ada.result("join", JOIN)
        assert (await ada.refused("readCaptions", {"language": "fr"}))[1] == "bad_params"
        assert (await ada.refused("readCaptions", {"language": "../en"}))[1] == "bad_params"
    await edge.as_admin("PATCH", "/api/rooms/demo", {"lobby": True})
    async with talking(edge) as bob:
        assert (await bob.result("join", JOIN))["place"] == "lobby"
        assert (await bob.refused("readCaptions", {"language": "en"}))[1] == "waiting"
