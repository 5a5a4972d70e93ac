"""A scripted server for the pages: it speaks docs/protocol.md and fails when told to."""

import asyncio
import json
import secrets
import subprocess
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.typedefs import Handler
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack

from server.domain.output import read_url
from server.errors import BadInput

STATIC = Path(__file__).resolve().parents[2] / "static"
# What the product promises to send with every page.
POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; "
    "media-src 'self' blob: data:; worker-src 'self' blob:; img-src 'self' data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)
ADMIN = "first-run-secret"
INVITE = "an-invite"
SEGMENT_S = 1.92
FIRST_PTS = 126_000  # of FFmpeg's TS muxer, 1.4 s
WINDOW = 5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Recording:
    """An encrypted broadcast made beforehand."""

    key: bytes
    segments: tuple[bytes, ...]


@dataclass
class Script:
    """What the server says; tests change it while a page looks."""

    rooms: list[dict[str, Any]] = field(default_factory=list)
    people: list[dict[str, Any]] = field(default_factory=list)
    participants: list[dict[str, Any]] = field(default_factory=list)
    pin: str = ""
    invite: str = INVITE
    resume: bool = True
    grants: tuple[str, ...] = ()  # with some the page is told of people by changes
    refuse_join: dict[str, Any] | None = None
    refuse_sockets: bool = False
    turn_away_ms: list[int] = field(default_factory=list)  # one for each socket that comes
    expires_in_s: int = 300
    broadcast: Recording | None = None
    on_air_since: float = 0.0
    over_at: float = 0.0  # 0: it goes on
    captions: tuple[str, ...] = ()  # languages
    whep: list[str] = field(default_factory=list)  # what the next ones are refused with
    window: int = WINDOW
    channels: tuple[str, ...] = ()  # languages
    credits: tuple[tuple[str, str, str], ...] = ()  # class, attribute, text
    key_status: int = 200
    playlist_status: int = 200
    sounds: list[dict[str, Any]] = field(default_factory=list)
    refuse_sound: str | None = None
    recordings: list[dict[str, Any]] = field(default_factory=list)
    refuse_recording: str | None = None
    outputs: list[dict[str, Any]] = field(default_factory=list)
    live_listeners: int = 100


def recording(room: str, name: str, state: str, **more: Any) -> dict[str, Any]:
    """A recording as REST tells of it."""
    return {
        "roomId": room,
        "name": name,
        "state": state,
        "mix": "ogg",
        "beganAt": "2026-03-01T12:00:00Z",
        "seconds": 83.0,
        "bytes": 4_200_000,
        "reason": "",
        "files": [],
        **more,
    }


class ScriptedSite:
    """The server in a thread of its own, so that a test may drive a browser synchronously."""

    def __init__(self) -> None:
        self.script = Script()
        self.sockets_at: list[float] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.key_headers: list[str | None] = []
        self.open_headers: list[str | None] = []
        self.asked: list[str] = []  # of a broadcast, by name
        self.url = ""
        self._sockets: set[web.WebSocketResponse] = set()
        self._peers: set[RTCPeerConnection] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner: web.AppRunner | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self.url = self._call(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def notify(self, method: str, params: object) -> None:
        """Send a notification to everybody."""
        self._call(self._notify(method, params))

    def close_sockets(self, code: int) -> None:
        """Close every signalling socket with this code."""
        self._call(self._close_sockets(code))

    def methods(self) -> list[str]:
        """The JSON-RPC methods called so far, in order."""
        return [method for method, _ in self.calls]

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        done: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result(15)

    async def _start(self) -> str:
        app = web.Application(middlewares=[_with_policy])
        add = app.router
        for path, name in (("/", "index"), ("/join/{room}", "join"), ("/listen/{room}", "listen")):
            add.add_get(path, _page(name))
        add.add_static("/static", STATIC)
        add.add_get("/health", self._health)
        add.add_get("/api/session", self._session)
        add.add_post("/api/session", self._sign_in)
        add.add_delete("/api/session", self._sign_out)
        add.add_get("/api/rooms", self._list)
        add.add_post("/api/rooms", self._create)
        add.add_get("/api/rooms/{room}", self._read)
        add.add_delete("/api/rooms/{room}", self._delete)
        add.add_patch("/api/rooms/{room}", self._change)
        add.add_get("/api/rooms/{room}/participants", self._people)
        add.add_patch("/api/rooms/{room}/participants/{user}", self._control)
        add.add_delete("/api/rooms/{room}/participants/{user}", self._kick)
        add.add_post("/api/rooms/{room}/participants/{user}/unmute-request", self._ask)
        add.add_post("/api/rooms/{room}/users", self._mint)
        self._add_links(add)
        add.add_post("/api/rooms/{room}/announcements", self._play)
        add.add_get("/api/rooms/{room}/announcements", self._sounds)
        add.add_patch("/api/rooms/{room}/announcements/{id}", self._turn)
        add.add_delete("/api/rooms/{room}/announcements/{id}", self._silence)
        add.add_post("/api/token", self._token)
        add.add_get("/ws", self._signalling)
        self._add_broadcast(add)
        self._add_recordings(add)
        self._add_outputs(add)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        return f"http://127.0.0.1:{port}"

    def _add_links(self, add: web.UrlDispatcher) -> None:
        add.add_post("/api/rooms/{room}/invites", self._renew)

    def _add_recordings(self, add: web.UrlDispatcher) -> None:
        add.add_get("/api/recordings", self._recorded)
        add.add_get("/api/rooms/{room}/recordings", self._recorded)
        add.add_get("/api/rooms/{room}/recordings/{name}", self._one_recorded)
        add.add_post("/api/rooms/{room}/recordings", self._record)
        add.add_patch("/api/rooms/{room}/recordings/{name}", self._steer)
        add.add_delete("/api/rooms/{room}/recordings/{name}", self._unrecord)

    def _add_outputs(self, add: web.UrlDispatcher) -> None:
        add.add_get("/api/rooms/{room}/outputs", self._published)
        add.add_post("/api/rooms/{room}/outputs", self._publish)
        add.add_delete("/api/rooms/{room}/outputs/{id}", self._unpublish)

    def _add_broadcast(self, add: web.UrlDispatcher) -> None:
        add.add_get("/hls/{room}/master.m3u8", self._master)
        add.add_get("/hls/{room}/classic-master.m3u8", self._master)
        add.add_get("/hls/{room}/stream.m3u8", self._playlist)
        add.add_get("/hls/{room}/classic.m3u8", self._playlist)
        add.add_get("/hls/{room}/{name}", self._segment)
        add.add_get("/hls/{room}/{language}-cc/stream.m3u8", self._read_along)
        add.add_get("/hls/{room}/{language}-cc/classic.m3u8", self._read_along)
        add.add_get("/hls/{room}/{language}-cc/{number}.vtt", self._cues)
        add.add_post("/whep/{room}", self._listen)
        add.add_delete("/whep/{room}/{id}", self._stop_listening)
        add.add_get("/hls/rooms/{room}/enc.key", self._key)

    async def _stop(self) -> None:
        await self._close_sockets(WSCloseCode.GOING_AWAY)
        for peer in self._peers:
            await peer.close()
        assert self._runner is not None, "_start ran"
        await self._runner.cleanup()

    # REST ---------------------------------------------------------------------

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "service": "roomtone", "timestamp": 0})

    async def _session(self, request: web.Request) -> web.Response:
        return web.json_response({"success": True, "admin": _is_admin(request)})

    async def _sign_in(self, request: web.Request) -> web.Response:
        if (await request.json())["secret"] != ADMIN:
            return _refusal(401, "bad_secret")
        answer = web.json_response({"success": True, "admin": True})
        answer.set_cookie("roomtone_admin", ADMIN, httponly=True)
        return answer

    async def _sign_out(self, _: web.Request) -> web.Response:
        answer = web.json_response({"success": True})
        answer.del_cookie("roomtone_admin")
        return answer

    async def _list(self, request: web.Request) -> web.Response:
        if not _is_admin(request):
            return _refusal(401, "unauthorized")
        rooms = [{k: v for k, v in room.items() if k != "links"} for room in self.script.rooms]
        return web.json_response({"success": True, "count": len(rooms), "rooms": rooms})

    async def _create(self, request: web.Request) -> web.Response:
        wishes = await request.json()
        self.calls.append(("create", wishes))
        room = room_named(wishes.get("name", ""))
        self.script.rooms.append(room)
        return web.json_response({"success": True, "room": self._seen(room)}, status=201)

    async def _read(self, request: web.Request) -> web.Response:
        room = self._room(request)
        if room is None:
            return _refusal(404, "room_not_found")
        if _is_admin(request):
            room = self._seen(room)
        elif request.query.get("invite") != self.script.invite:
            return _refusal(401, "unauthorized")
        else:
            room = {k: v for k, v in room.items() if k != "links"}
        return web.json_response(
            {"success": True, "room": room | {"pinRequired": bool(self.script.pin)}}
        )

    async def _delete(self, request: web.Request) -> web.Response:
        room = self._room(request)
        if room is None:
            return _refusal(404, "room_not_found")
        self.script.rooms.remove(room)
        return web.json_response({"success": True, "message": "stopped"})

    async def _change(self, request: web.Request) -> web.Response:
        room = self._room(request)
        assert room is not None, "a room of the list"
        change = await request.json()
        self.calls.append(("change", change))
        room.update(change)
        return web.json_response({"success": True, "room": self._seen(room)})

    def _seen(self, room: dict[str, Any]) -> dict[str, Any]:
        """Return a room with what is worked out of it."""
        own, most = room.get("liveListeners"), self.script.live_listeners
        return room | {"liveListenersMost": most if own is None else min(own, most)}

    async def _renew(self, request: web.Request) -> web.Response:
        room = self._room(request)
        assert room is not None, "a room of the list"
        role = (await request.json())["role"]
        self.calls.append(("renew", {"role": role}))
        room["links"] = {**room["links"], role: f"/{role}/{room['roomId']}#invite=another"}
        return web.json_response({"success": True, "links": room["links"]})

    async def _people(self, _: web.Request) -> web.Response:
        return web.json_response({"success": True, "participants": self.script.participants})

    async def _control(self, request: web.Request) -> web.Response:
        change = await request.json()
        self.calls.append(("control", {"userId": request.match_info["user"], **change}))
        one = next(
            one for one in self.script.participants if one["userId"] == request.match_info["user"]
        )
        one.update(change)
        return web.json_response({"success": True, "participant": one})

    async def _kick(self, request: web.Request) -> web.Response:
        user = request.match_info["user"]
        self.calls.append(("kick", {"userId": user, **request.query}))
        self.script.participants = [p for p in self.script.participants if p["userId"] != user]
        return web.json_response({"success": True})

    async def _ask(self, request: web.Request) -> web.Response:
        self.calls.append(("ask", {"userId": request.match_info["user"]}))
        return web.json_response({"success": True})

    async def _mint(self, request: web.Request) -> web.Response:
        return await self._trade(request, {"userID": "me", "token": "join-token"})

    async def _play(self, request: web.Request) -> web.Response:
        form = await request.post()
        sent = form["file"]
        assert isinstance(sent, web.FileField)
        self.calls.append(("play", {"gainDb": form["gainDb"], "loop": form["loop"]}))
        if self.script.refuse_sound is not None:
            return _refusal(400, "bad_sound", self.script.refuse_sound)
        sound = {
            "announcementId": f"a{len(self.script.sounds)}",
            "name": sent.filename,
            "gainDb": float(str(form["gainDb"])),
            "loop": form["loop"] == "true",
            "state": "playing",
            "position": 12.0,
            "length": 63.0,
            "reason": "",
        }
        self.script.sounds.append(sound)
        return web.json_response({"success": True, "announcement": sound}, status=201)

    async def _sounds(self, _: web.Request) -> web.Response:
        return web.json_response({"success": True, "announcements": self.script.sounds})

    async def _turn(self, request: web.Request) -> web.Response:
        self.calls.append(("turn", await request.json()))
        return web.json_response({"success": True})

    async def _silence(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        self.calls.append(("silence", {"id": name}))
        self.script.sounds = [one for one in self.script.sounds if one["announcementId"] != name]
        return web.json_response({"success": True})

    async def _recorded(self, request: web.Request) -> web.Response:
        room = request.match_info.get("room")
        found = [one for one in self.script.recordings if room in {None, one["roomId"]}]
        return web.json_response({"success": True, "recordings": found, "freeBytes": 5_200_000_000})

    async def _one_recorded(self, request: web.Request) -> web.Response:
        self.calls.append(("recording", {"name": request.match_info["name"]}))
        return web.json_response({"success": True, "recording": self._recording(request)})

    async def _record(self, request: web.Request) -> web.Response:
        self.calls.append(("record", await request.json()))
        if self.script.refuse_recording is not None:
            told = {"success": False, "code": "disk_full", "error": self.script.refuse_recording}
            return web.json_response(told, status=507)
        made = recording(request.match_info["room"], "now", "recording")
        self.script.recordings.append(made)
        return self._steered(made)

    async def _steer(self, request: web.Request) -> web.Response:
        action = (await request.json())["action"]
        self.calls.append((action, {"name": request.match_info["name"]}))
        found = self._recording(request)
        found["state"] = {"pause": "paused", "resume": "recording", "stop": "done"}[action]
        return self._steered(found)

    def _recording(self, request: web.Request) -> dict[str, Any]:
        name = request.match_info["name"]
        return next(one for one in self.script.recordings if one["name"] == name)

    def _steered(self, one: dict[str, Any]) -> web.Response:
        for room in self.script.rooms:
            if room["roomId"] == one["roomId"]:
                room["recording"] = None if one["state"] == "done" else one
        return web.json_response({"success": True, "recording": one})

    async def _unrecord(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.calls.append(("unrecord", {"name": name}))
        self.script.recordings = [one for one in self.script.recordings if one["name"] != name]
        return web.json_response({"success": True})

    async def _published(self, _: web.Request) -> web.Response:
        return web.json_response({"success": True, "outputs": self.script.outputs})

    async def _publish(self, request: web.Request) -> web.Response:
        url = (await request.json())["url"]
        self.calls.append(("publish", {"url": url}))
        try:
            shown = read_url(url).shown
        except BadInput as mistake:
            return _refusal(400, "bad_params", str(mistake))
        made = {"outputId": f"o{len(self.script.outputs)}", "name": "", "url": shown}
        self.script.outputs.append(made | {"state": "connecting", "reason": ""})
        return web.json_response({"success": True, "output": made}, status=201)

    async def _unpublish(self, request: web.Request) -> web.Response:
        gone = request.match_info["id"]
        self.calls.append(("unpublish", {"id": gone}))
        self.script.outputs = [one for one in self.script.outputs if one["outputId"] != gone]
        return web.json_response({"success": True})

    async def _token(self, request: web.Request) -> web.Response:
        return await self._trade(
            request, {"token": "listen-token", "hlsUrl": "/hls/studio/stream.m3u8"}
        )

    async def _trade(self, request: web.Request, right: dict[str, Any]) -> web.Response:
        body = await request.json()
        self.calls.append(("trade", body))
        if self._room(request, body.get("roomId")) is None:
            return _refusal(404, "room_not_found")
        if body.get("invite") != self.script.invite and not _is_admin(request):
            return _refusal(403, "bad_invite")
        if body.get("pin", "") != self.script.pin:
            return _refusal(403, "wrong_pin")
        return web.json_response(right | {"expiresAt": int(time.time()) + self.script.expires_in_s})

    def _room(self, request: web.Request, room_id: str | None = None) -> dict[str, Any] | None:
        wanted = room_id or request.match_info["room"]
        return next((room for room in self.script.rooms if room["roomId"] == wanted), None)

    # Signalling ---------------------------------------------------------------

    async def _signalling(self, request: web.Request) -> web.StreamResponse:
        if self.script.refuse_sockets:
            return _refusal(401, "unauthorized")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets_at.append(time.monotonic())
        if self.script.turn_away_ms:
            wish = json.dumps({"retryAfterMs": self.script.turn_away_ms.pop(0)})
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=wish.encode())
            return socket
        self._sockets.add(socket)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._answer(socket, json.loads(message.data))
        finally:
            self._sockets.discard(socket)
        return socket

    async def _answer(self, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        method, params = message["method"], message.get("params", {})
        self.calls.append((method, params))
        if method == "join" and self.script.refuse_join is not None:
            error = {"code": -32600, "message": "No.", "data": self.script.refuse_join}
            await socket.send_json({"jsonrpc": "2.0", "id": message["id"], "error": error})
            return
        result = await self._result(method, params)
        if "id" in message:
            await socket.send_json({"jsonrpc": "2.0", "id": message["id"], "result": result})
        if method in {"join", "offer", "mute"} and not self.script.grants:
            await self._notify("roomStatus", self.script.people)

    async def _result(self, method: str, params: dict[str, Any]) -> object:
        if method == "join":
            resume = self.script.resume and "jtoken" in params
            room = {"roomId": "studio", "name": "Studio"}
            joined = {"jtoken": "a-jtoken", "resume": resume, "userId": "me", "room": room}
            if not self.script.grants:  # as an older server
                return joined
            told = {"version": 1, "snapshot": list(self.script.people)}
            return joined | {"participants": told, "grants": self.script.grants, "role": "host"}
        if method == "resync":
            told = {"version": 9, "snapshot": list(self.script.people)}
            return told | {"role": "host", "grants": self.script.grants}
        if method == "mute":
            for one in self.script.people:
                if one["userId"] == "me":
                    one["muted"] = params["muted"]
        if method == "offer":
            answer = await self._accept(params["sdp"]["sdp"])
            return {"sdp": {"type": "answer", "sdp": answer}}
        return None

    async def _accept(self, offer: str) -> str:
        peer = RTCPeerConnection()
        self._peers.add(peer)
        peer.addTrack(AudioStreamTrack())
        await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        return str(peer.localDescription.sdp)

    async def _listen(self, request: web.Request) -> web.Response:
        self.calls.append(("whep", {"token": request.headers.get("Authorization")}))
        if self.script.whep:
            code = self.script.whep.pop(0)
            return _refusal({"not_ready": 503, "no_capacity": 503}.get(code, 401), code)
        headers = {"Location": f"/whep/studio/{len(self.calls)}"}
        answer = await self._accept(await request.text())
        return web.Response(
            status=201, text=answer, content_type="application/sdp", headers=headers
        )

    async def _stop_listening(self, _: web.Request) -> web.Response:
        self.calls.append(("unwhep", {}))
        return web.Response()

    async def _notify(self, method: str, params: object) -> None:
        for socket in list(self._sockets):
            await socket.send_json({"jsonrpc": "2.0", "method": method, "params": params})

    async def _close_sockets(self, code: int) -> None:
        for socket in list(self._sockets):
            await socket.close(code=code)

    # Broadcast ----------------------------------------------------------------

    def _refused(self, request: web.Request) -> web.Response | None:
        self.open_headers.append(request.headers.get("Authorization"))
        self.asked.append(request.path.rpartition("/")[2])
        if self._room(request) is None:
            return _refusal(404, "room_not_found")
        if self.script.playlist_status != 200:
            return _refusal(self.script.playlist_status, "media_unavailable")
        return None if self.script.on_air_since else _refusal(503, "not_ready")

    async def _master(self, request: web.Request) -> web.Response:
        if (refused := self._refused(request)) is not None:
            return refused
        media = [
            f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="{name}",LANGUAGE="{name[:2].lower()}",'
            f"AUTOSELECT=YES,DEFAULT={'NO' if number else 'YES'}"
            + (',URI="stream.m3u8"' if number else "")
            for number, name in enumerate(self.script.channels)
        ]
        group = ',AUDIO="a"' if media else ""
        if self.script.captions:
            group += ',SUBTITLES="cc"'
        media += [
            f'#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="cc",NAME="{name}",LANGUAGE="{name}",'
            f'AUTOSELECT=NO,DEFAULT=NO,URI="{name}-cc/stream.m3u8"'
            for name in self.script.captions
        ]
        variant = f'#EXT-X-STREAM-INF:BANDWIDTH=130000,CODECS="mp4a.40.2"{group}'
        lines = ["#EXTM3U", *media, variant, "stream.m3u8"]
        if request.path.endswith("/classic-master.m3u8"):
            lines = [line.replace("stream.m3u8", "classic.m3u8") for line in lines]
        return web.Response(
            text="\n".join(lines) + "\n", content_type="application/vnd.apple.mpegurl"
        )

    async def _playlist(self, request: web.Request) -> web.Response:
        if (refused := self._refused(request)) is not None:
            return refused
        key = f'#EXT-X-KEY:METHOD=AES-128,URI="/hls/rooms/studio/enc.key",IV=0x{0:032x}'
        return self._media(key, "ts")

    async def _read_along(self, request: web.Request) -> web.Response:
        return self._refused(request) or self._media("#EXT-X-KEY:METHOD=NONE", "vtt")

    def _media(self, key: str, suffix: str) -> web.Response:
        now = self.script.over_at or time.time()
        newest = int((now - self.script.on_air_since) / SEGMENT_S)
        first = max(0, newest - self.script.window)
        lines = [
            "#EXTM3U",
            "#EXT-X-VERSION:6",
            "#EXT-X-TARGETDURATION:2",
            f"#EXT-X-MEDIA-SEQUENCE:{first}",
            key,
        ]
        began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.script.on_air_since))
        lines += [
            f'#EXT-X-DATERANGE:ID="{number}",CLASS="org.roomtone.{kind}",START-DATE="{began}",'
            f'X-{attribute}="{text}"'
            for number, (kind, attribute, text) in enumerate(self.script.credits)
        ]
        for number in range(first, newest):
            at = self.script.on_air_since + number * SEGMENT_S
            stamp = (
                time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03}Z"
            )
            lines += [
                f"#EXT-X-PROGRAM-DATE-TIME:{stamp}",
                f"#EXTINF:{SEGMENT_S:.5f},",
                f"{number}.{suffix}",
            ]
        if self.script.over_at:
            lines.append("#EXT-X-ENDLIST")
        return web.Response(
            text="\n".join(lines) + "\n", content_type="application/vnd.apple.mpegurl"
        )

    async def _cues(self, request: web.Request) -> web.Response:
        number, language = int(request.match_info["number"]), request.match_info["language"]
        # Their clock and the sound's (90 kHz) agree where FFmpeg begins to count.
        lines = ["WEBVTT", f"X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:{FIRST_PTS}", ""]
        lines += [f"{_clock(number)} --> {_clock(number + 1)}", f"{language} {number}", ""]
        return web.Response(text="\n".join(lines), content_type="text/vtt")

    async def _segment(self, request: web.Request) -> web.Response:
        self.open_headers.append(request.headers.get("Authorization"))
        assert self.script.broadcast is not None, "the playlist named it"
        number = int(request.match_info["name"].removesuffix(".ts"))
        return web.Response(body=self.script.broadcast.segments[number], content_type="video/mp2t")

    async def _key(self, request: web.Request) -> web.Response:
        shown = request.headers.get("Authorization")
        self.key_headers.append(shown)
        if shown != "Bearer listen-token":
            return _refusal(401, "unauthorized")
        if self.script.key_status != 200:
            return _refusal(self.script.key_status, "forbidden")
        assert self.script.broadcast is not None, "the playlist named it"
        return web.Response(body=self.script.broadcast.key, headers={"Cache-Control": "no-store"})


def room_named(name: str, room_id: str | None = None, anchors: int = 0) -> dict[str, Any]:
    """A room as the wire shows it to an admin."""
    made = room_id or secrets.token_hex(10)
    return {
        "roomId": made,
        "hlsUrl": f"/hls/{made}/stream.m3u8",
        "createdAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "name": name,
        "anchors": anchors,
        "links": {
            "join": f"/join/{made}#invite={INVITE}",
            "listen": f"/listen/{made}#invite={INVITE}",
        },
    }


def participant(user: str, **more: object) -> dict[str, Any]:
    """A person as the wire shows them to those who run the room."""
    return {
        "userId": user,
        "displayName": user.title(),
        "role": "anchor",
        "status": "onair",
        "selfMuted": False,
        "muted": False,
        "gainDb": 0.0,
        "pan": 0.0,
        **more,
    }


def record(folder: Path, length_s: float = 90) -> Recording:
    """Encode and encrypt a 440 Hz tone (as TS: FFmpeg encrypts nothing else)."""
    key = secrets.token_bytes(16)
    (folder / "enc.key").write_bytes(key)
    (folder / "key.info").write_text(f"enc.key\n{folder / 'enc.key'}\n{0:032x}\n")
    command = (
        f"ffmpeg -v error -f lavfi -i sine=frequency=440:sample_rate=48000:duration={length_s} "
        "-c:a aac -b:a 96k -f hls -hls_time 1.92 -hls_list_size 0 -hls_playlist_type vod "
        f"-hls_key_info_file {folder / 'key.info'} -hls_segment_type mpegts "
        f"-hls_segment_filename {folder}/%d.ts {folder}/out.m3u8"
    )
    subprocess.run(command.split(), check=True, timeout=20)
    count = len(list(folder.glob("*.ts")))
    return Recording(key, tuple((folder / f"{n}.ts").read_bytes() for n in range(count)))


def go_on_air(script: Script, recording: Recording, segments: int = 4) -> None:
    """Let the broadcast have begun so many segments ago."""
    script.broadcast = recording
    script.on_air_since = time.time() - SEGMENT_S * segments


def _clock(number: int) -> str:
    """Where a segment begins, as WebVTT writes it."""
    minutes, seconds = divmod(number * SEGMENT_S, 60)
    return f"00:{int(minutes):02}:{seconds:06.3f}"


def _is_admin(request: web.Request) -> bool:
    return request.cookies.get("roomtone_admin") == ADMIN


def _refusal(status: int, code: str, sentence: str = "No.") -> web.Response:
    return web.json_response(
        {"success": False, "error": sentence, "code": code, "retryable": status >= 500},
        status=status,
    )


def _page(name: str) -> Handler:
    async def serve(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(STATIC / f"{name}.html")

    return serve


@web.middleware
async def _with_policy(request: web.Request, handler: Handler) -> web.StreamResponse:
    response = await handler(request)
    if not response.prepared:
        response.headers["Content-Security-Policy"] = POLICY
    return response
