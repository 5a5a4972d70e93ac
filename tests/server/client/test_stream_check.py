"""The checker of live streams, against servers that do it right and wrong."""

import asyncio
import time

import pytest

from hls.pipeline import Broadcaster
from hls.types import PlaylistKind
from server.client.errors import ClientError, Exit
from server.client.stream_check import MAX_PLAYLISTS, MAX_TOLD, Checker, Followed
from tests.hls.listener import spec

URL = "http://stream.example/hls/blue/stream.m3u8"
MASTER = "#EXTM3U\n" + "".join(
    f'#EXT-X-STREAM-INF:BANDWIDTH=70000,CODECS="mp4a.40.2"\n{n}/stream.m3u8\n' for n in range(20)
)
CLASSIC = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{}\n{}"
SEGMENT = "#EXTINF:2.000,\n{}.ts\n"


def listed(first: int, count: int) -> str:
    names = "".join(SEGMENT.format(first + n) for n in range(count))
    return CLASSIC.format(first, names)


class Server:
    """Answers each address with these, one after the other, the last for ever."""

    def __init__(self, *answers: str | int, then_over: bool = True) -> None:
        self.asked: list[str] = []
        self._answers = [*answers]
        if then_over and isinstance(answers[-1], str):
            self._answers.append(answers[-1] + "\n#EXT-X-ENDLIST\n")

    async def ask(self, url: str) -> tuple[int, bytes]:
        await asyncio.sleep(0)
        answer = self._answers[min(len(self.asked), len(self._answers) - 1)]
        self.asked.append(url)
        return (answer, b"") if isinstance(answer, int) else (200, answer.encode())


async def check(server: Server, seconds: float = 60.0) -> list[Followed]:
    return await Checker(server.ask, seconds).check(URL)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LEAST_POLL_S", "RETRY_S", "_UNSURE_S"):
        monkeypatch.setattr(f"server.client.stream_check.{name}", 0.0)
    monkeypatch.setattr("server.client.stream_check._poll_s", lambda _: 0.0)


async def test_right() -> None:
    """A window that moves on is followed to its end, and nothing is wrong with it."""
    (found,) = await check(Server(listed(4, 5), listed(4, 5), listed(5, 5), listed(6, 5)))
    assert (found.told, found.is_over) == ([], True)
    assert (found.texts, found.segments, found.deltas, found.blocked) == (4, 7, 0, 0)


async def test_wrong() -> None:
    """A number that falls and a name that changes are told with text, section and rule."""
    other = listed(4, 5).replace("6.ts", "six.ts")
    (found,) = await check(Server(listed(4, 5), listed(4, 5), other, listed(3, 5)))
    told = [str(one) for one in found.told]
    assert any("text 2" in one and "segment 6" in one and "§6.2.1" in one for one in told)
    assert any("text 3" in one and "media-sequence-never-falls" in one for one in told)


async def test_many_findings() -> None:
    """However much is wrong, what is kept is bounded."""
    bad = listed(0, 5) + "#EXT-X-KEY:\n" * 1000
    (found,) = await check(Server(bad))
    assert len(found.told) == MAX_TOLD


async def test_our_own_stream() -> None:
    """Ours is asked for part by part and as delta updates, and is right."""
    broadcaster, tick = Broadcaster(), 1500
    broadcaster.apply(spec(), tick)
    checker: Checker
    asked: list[str] = []

    async def ask(url: str) -> tuple[int, bytes]:
        nonlocal tick
        asked.append(url)
        due = broadcaster.due_tick("blue")
        assert due is not None
        tick = max(tick + 1, due) if "_HLS_msn" in url else tick
        if len(asked) == 20:
            checker.stop()
        skip = "_HLS_skip=YES" in url
        text = broadcaster.playlist("blue", "", PlaylistKind.LOW_LATENCY, tick, skip=skip)
        assert text is not None
        return 200, text.encode()

    checker = Checker(ask, 60.0)
    (found,) = await checker.check(URL + "?token=t")
    assert (found.told, found.texts) == ([], 19)
    assert found.deltas >= 5
    assert asked[5].startswith(f"{URL}?token=t&_HLS_msn=")


async def test_a_server_that_does_not_wait() -> None:
    """Who answers a blocking request with what was there before is told so."""
    control = "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES\n"
    (found,) = await check(Server(*[listed(4, 5) + control] * 3))
    assert {one.finding.section for one in found.told if one.finding.rule == "blocking-reload"} == {
        "6.2.5.2"
    }
    assert found.blocked >= 2


async def test_renditions() -> None:
    """What a multivariant playlist names is followed, each once, and not without end."""
    server = Server(MASTER, listed(4, 5))
    master, *media = await check(server)
    assert master.texts == 1
    assert len(media) == MAX_PLAYLISTS
    assert media[3].url == "http://stream.example/hls/blue/3/stream.m3u8"


async def test_away_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is away and comes back was refused, not wrong; one that stays away ends it."""
    (found,) = await check(Server(listed(4, 5), listed(4, 5), 503, 503, listed(5, 5)))
    assert (found.told, found.refused) == ([], 2)
    monkeypatch.setattr("server.client.stream_check.LOST_S", 0.01)
    began = time.monotonic()
    with pytest.raises(ClientError, match="503"):
        await check(Server(listed(4, 5), listed(4, 5), 503))
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("answer", "exit_status"),
    [
        (404, Exit.NOT_FOUND),
        (401, Exit.NOT_ALLOWED),
        (503, Exit.NOT_NOW),
        (500, Exit.FAILED),
        ("<html>", Exit.MISTAKE),
    ],
)
async def test_no_stream(answer: str | int, exit_status: Exit) -> None:
    """What is no playlist ends it; a token stays out of what is said."""
    with pytest.raises(ClientError) as caught:
        await Checker(Server(answer).ask, 1.0).check(URL + "?token=secret")
    assert caught.value.exit_status is exit_status
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["#EXTM3U", "#EXTM3U\n#EXT-X-SERVER-CONTROL:\x00=,\n", "#EXTM3U\n\n"]
)
async def test_rubbish(text: str) -> None:
    """Whatever comes is a finding, never an accident."""
    (found,) = await check(Server(text))
    assert found.told
