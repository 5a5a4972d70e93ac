"""WHIP and WHEP clients: aiortc's, a page's, and what both need of the server."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from playwright.async_api import Page

from tests.support.program import Program
from tests.support.webrtc_client import Pcm, WebRtcClient, client, silence

_PAGE = """
async ({ url, token, sends, config }) => {
  const pc = window.pc = new RTCPeerConnection(config);
  if (sends) {
    const context = window.context = new AudioContext({ sampleRate: 48000 });
    const oscillator = new OscillatorNode(context, { frequency: sends });
    const out = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
    oscillator.connect(new GainNode(context, { gain: 0.3 })).connect(out);
    oscillator.start();
    await context.resume();
    pc.addTransceiver(out.stream.getTracks()[0], { direction: "sendonly", streams: [out.stream] });
  } else {
    pc.addTransceiver("audio", { direction: "recvonly" });
    pc.ontrack = ({ track }) => {
      const audio = window.audio = new Audio();
      window.remoteStream = audio.srcObject = new MediaStream([track]);
      audio.play();
    };
  }
  window.candidates = [];
  pc.onicecandidate = ({ candidate }) => candidate && window.candidates.push(candidate.candidate);
  await pc.setLocalDescription(await pc.createOffer());
  const authorization = { Authorization: `Bearer ${token}` };
  const made = await fetch(url, {
    method: "POST",
    headers: { ...authorization, "Content-Type": "application/sdp" },
    body: pc.localDescription.sdp,
  });
  window.answer = await made.text();
  window.resource = {
    status: made.status,
    location: made.headers.get("Location"),
    tag: made.headers.get("ETag"),
    links: made.headers.get("Link"),
  };
  window.authorization = authorization;
  if (made.status === 201) await pc.setRemoteDescription({ type: "answer", sdp: window.answer });
  return window.resource;
}
"""

_PATCH = """
async ({ body, tag }) => {
  const answer = await fetch(window.resource.location, {
    method: "PATCH",
    headers: {
      ...window.authorization,
      "Content-Type": "application/trickle-ice-sdpfrag",
      ...(tag ? { "If-Match": tag } : {}),
    },
    body,
  });
  return { status: answer.status, tag: answer.headers.get("ETag"), body: await answer.text() };
}
"""

_RESTART = """
async () => {
  pc.restartIce();
  await pc.setLocalDescription(await pc.createOffer());
  const sdp = pc.localDescription.sdp;
  const line = (name) => sdp.match(`a=${name}:[^\\r]*`)[0];
  return `${line("ice-ufrag")}\\r\\n${line("ice-pwd")}\\r\\n`;
}
"""

_APPLY = """
async (fragment) => {
  let sdp = window.answer;
  for (const name of ["ice-ufrag", "ice-pwd"])
    sdp = sdp.replace(new RegExp(`a=${name}:[^\\r]*`), fragment.match(`a=${name}:[^\\r]*`)[0]);
  await pc.setRemoteDescription({ type: "answer", sdp });
}
"""

_END = """
async () => {
  const { location } = window.resource;
  const answer = await fetch(location, { method: "DELETE", headers: window.authorization });
  pc.close();
  return answer.status;
}
"""

# The level in dBFS of one frequency in what the page hears.
_LEVEL = """
async ({ hertz, seconds }) => {
  const context = new AudioContext({ sampleRate: 48000 });
  await context.resume();
  const analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0 });
  context.createMediaStreamSource(window.remoteStream).connect(analyser);
  const bins = new Float32Array(analyser.frequencyBinCount);
  const at = Math.round((hertz * analyser.fftSize) / context.sampleRate);
  let power = 0;
  const rounds = Math.ceil(seconds / 0.2);
  for (let round = 0; round < rounds; round += 1) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    analyser.getFloatFrequencyData(bins);
    power += Math.max(...[...bins.slice(at - 1, at + 2)].map((db) => 10 ** (db / 10)));
  }
  await context.close();
  return 10 * Math.log10(Math.max(power / rounds, 1e-15));
}
"""


@dataclass
class Studio:
    """A room of a running server."""

    program: Program
    room: str = "studio"

    async def open(self) -> dict[str, Any]:
        return await self.program.new_room(roomId=self.room, name="Studio")

    async def person(self, name: str) -> tuple[str, str]:
        """Return a new person's id and join token."""
        path = f"/api/rooms/{self.room}/users"
        _, made = await self.program.call("POST", path, {"displayName": name})
        return str(made["userID"]), str(made["token"])

    async def listen_token(self) -> str:
        _, made = await self.program.call("POST", "/api/token", {"roomId": self.room})
        return str(made["token"])

    def url(self, kind: str) -> str:
        return f"{self.program.url}/{kind}/{self.room}"

    async def post(self, kind: str, token: str, sdp: str) -> tuple[str, str, str]:
        """Return the answer, the location and the tag."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
        async with self.program.http.post(self.url(kind), data=sdp, headers=headers) as made:
            assert made.status == 201, await made.text()
            assert made.content_type == "application/sdp"
            return await made.text(), made.headers["Location"], made.headers["ETag"]

    @contextlib.asynccontextmanager
    async def caller(
        self, kind: str, token: str, source: Callable[[int], Pcm] = silence
    ) -> AsyncIterator[tuple[WebRtcClient, str]]:
        """An aiortc client that publishes or listens, and its location."""
        async with client(source) as made:
            direction = "sendonly" if kind == "whip" else "recvonly"
            made.connection.getTransceivers()[0].direction = direction
            answer, location, _ = await self.post(kind, token, await made.offer())
            await made.accept(answer)
            yield made, location

    async def delete(self, location: str, token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        async with self.program.http.delete(location, headers=headers) as answer:
            return answer.status

    @contextlib.asynccontextmanager
    async def person_inside(self) -> AsyncIterator["Inside"]:
        """Somebody with a socket, who is told who is there."""
        _, token = await self.person("Watcher")
        url = f"{self.program.url.replace('http', 'ws')}/ws?token={token}"
        async with self.program.http.ws_connect(url) as socket:
            inside = Inside(socket)
            await inside.join()
            yield inside


class Inside:
    """A person's socket: the newest `roomStatus` and everybody who was heard."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.joined: dict[str, Any] = {}
        self._socket = socket

    async def join(self) -> None:
        params = {"clientId": "cccccccc-0000-4000-8000-000000000003"}
        await self._socket.send_json(
            {"jsonrpc": "2.0", "id": 1, "method": "join", "params": params}
        )
        while (message := await self._socket.receive_json()).get("id") != 1:
            pass
        self.joined = message["result"]

    async def wait_for(self, condition: Callable[[str, Any], bool]) -> Any:
        """Wait for a notification that meets the condition; return its params."""
        while True:
            message = await self._socket.receive_json()
            if "method" in message and condition(message["method"], message["params"]):
                return message["params"]

    async def wait_for_status(self, user: str, status: str | None) -> None:
        """Wait until the person is listed so; None: not at all."""

        def is_so(method: str, params: Any) -> bool:
            if method != "roomStatus":
                return False
            found = [entry["status"] for entry in params if entry["userId"] == user]
            return found == ([] if status is None else [status])

        await self.wait_for(is_so)

    async def wait_until_heard(self, user: str) -> None:
        await self.wait_for(lambda method, told: method == "talking" and user in told["levels"])


async def connect(
    page: Page, url: str, token: str, *, sends: float = 0, config: Any = None
) -> dict[str, Any]:
    """Publish a tone from a page, or listen; return status, location, tag and links."""
    wanted = {"url": url, "token": token, "sends": sends, "config": config or {}}
    return dict(await page.evaluate(_PAGE, wanted))


async def wait_connected(page: Page) -> None:
    await page.wait_for_function("() => pc.connectionState === 'connected'")


async def patch(page: Page, body: str, tag: str = "") -> dict[str, Any]:
    """Send a fragment; return status, tag and body."""
    return dict(await page.evaluate(_PATCH, {"body": body, "tag": tag}))


async def restart_ice(page: Page) -> str:
    """Begin an ICE restart; return the fragment that asks for it."""
    return str(await page.evaluate(_RESTART))


async def apply_fragment(page: Page, fragment: str) -> None:
    await page.evaluate(_APPLY, fragment)


async def end(page: Page) -> int:
    return int(await page.evaluate(_END))


async def level(page: Page, hertz: float, seconds: float = 1.0) -> float:
    """Return the level of a frequency in what the page hears, in dBFS."""
    return float(await page.evaluate(_LEVEL, {"hertz": hertz, "seconds": seconds}))
