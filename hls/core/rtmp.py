"""An RTMP client that publishes one stream of AAC, without a socket (Adobe RTMP 1.0, 2012).

It says what is to be sent and takes what was received. The handshake is the plain one (§5.2);
messages go in chunks with whole headers (§5.3.1), the commands are those of §7.2 and what encoders
send beside them.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from hls.core import amf
from hls.core.fmp4 import AacFormat
from hls.core.timeline import AAC_SAMPLES, SAMPLE_RATE

CHUNK_BYTES: Final = 4096  # more than any message of ours
MOST_MESSAGE_BYTES: Final = 65_536  # of a server's commands
MOST_STREAMS: Final = 64  # chunk streams that a server may use
HANDSHAKE_BYTES: Final = 1536
_VERSION: Final = b"\x03"
_SET_CHUNK, _ACK, _CONTROL, _WINDOW, _AUDIO, _DATA, _COMMAND = 1, 3, 4, 5, 8, 18, 20
_COMMAND_3: Final = 17  # AMF3's, which begins with a byte and goes on as AMF0
_PING, _PONG = 6, 7
_FLAT: Final = 0xFFFFFF  # a time that does not fit stands behind the header
_AAC: Final = (
    b"\xaf"  # 10: AAC, and what it says there of rate and channels is nothing (FLV §E.4.2)
)
_CONNECT, _RELEASE, _FC_PUBLISH, _CREATE, _PUBLISH = range(1, 6)


class RtmpError(Exception):
    """The server refused, or does not speak RTMP; the sentence says which and holds no key."""


class RtmpState(Enum):
    """How far it is."""

    HANDSHAKE = "handshake"
    CONNECTING = "connecting"
    PUBLISHING = "publishing"
    LIVE = "live"


@dataclass(slots=True)
class _Incoming:
    """A chunk stream of the server: the header that holds, and what came of a message."""

    time: int = 0
    size: int = 0
    kind: int = 0
    is_extended: bool = False
    body: bytearray = field(default_factory=bytearray)


class RtmpPublisher:
    """One connection. `to_send` is emptied by whoever sends it."""

    def __init__(self, base: str, app: str, key: str, random: bytes) -> None:
        """Publish as `key` of `app`; `base` is the address without key, `random` 1528 bytes."""
        self.state = RtmpState.HANDSHAKE
        self.to_send = bytearray(_VERSION + bytes(8) + random)
        self._base = base
        self._app = app
        self._key = key
        self._received = bytearray()
        self._streams: dict[int, _Incoming] = {}
        self._chunk_bytes = 128  # §5.4.1, until the server says another
        self._stream_id = 0
        self._window = 0
        self._taken = self._acknowledged = 0

    def receive(self, data: bytes) -> None:
        """Take what came. Raises RtmpError."""
        self._received += data
        self._taken += len(data)
        if self.state is RtmpState.HANDSHAKE and not self._shake_hands():
            return
        while self._take_chunk():
            pass
        if self._window and self._taken - self._acknowledged >= self._window:
            self._acknowledged = self._taken
            self._put(_ACK, struct.pack(">I", self._taken & 0xFFFFFFFF))

    def begin(self, audio: AacFormat) -> None:
        """Say what will come: once, when it is live."""
        about: Mapping[str, amf.Value] = {
            "audiocodecid": 10,
            "audiodatarate": audio.bit_rate / 1000,
            "audiosamplerate": audio.sample_rate,
            "audiosamplesize": 16,
            "stereo": audio.channels == 2,
            "encoder": "roomtone",
        }
        body = amf.encode("@setDataFrame", "onMetaData", about)
        self._put(_DATA, body, stream=self._stream_id)
        self._put(_AUDIO, _AAC + b"\0" + audio.config, stream=self._stream_id)

    def send(self, index: int, frame: bytes) -> None:
        """Send AAC frame `index`, counted from the beginning."""
        time_ms = index * AAC_SAMPLES * 1000 // SAMPLE_RATE
        self._put(_AUDIO, _AAC + b"\x01" + frame, stream=self._stream_id, time_ms=time_ms)

    # Out

    def _put(self, kind: int, body: bytes, *, stream: int = 0, time_ms: int = 0) -> None:
        time_ms &= 0xFFFFFFFF  # §5.3.1.3: it wraps after 49 days
        channel = {_AUDIO: 4, _DATA: 4, _COMMAND: 3}.get(kind, 2)
        is_extended = time_ms >= _FLAT
        short = _FLAT if is_extended else time_ms
        self.to_send.append(channel)
        self.to_send += short.to_bytes(3, "big") + len(body).to_bytes(3, "big") + bytes([kind])
        self.to_send += stream.to_bytes(4, "little")
        if is_extended:
            self.to_send += time_ms.to_bytes(4, "big")
        self.to_send += body[:CHUNK_BYTES]
        for at in range(CHUNK_BYTES, len(body), CHUNK_BYTES):
            self.to_send.append(0xC0 | channel)
            if is_extended:
                self.to_send += time_ms.to_bytes(4, "big")
            self.to_send += body[at : at + CHUNK_BYTES]

    def _command(self, name: str, number: int, *values: amf.Value, stream: int = 0) -> None:
        self._put(_COMMAND, amf.encode(name, number, *values), stream=stream)

    # In

    def _shake_hands(self) -> bool:
        if self._received and self._received[:1] != _VERSION:
            raise RtmpError("The server does not speak RTMP")
        if len(self._received) < 1 + 2 * HANDSHAKE_BYTES:
            return False
        self.to_send += self._received[1 : 1 + HANDSHAKE_BYTES]  # §5.2.4: theirs comes back
        del self._received[: 1 + 2 * HANDSHAKE_BYTES]
        self.state = RtmpState.CONNECTING
        self._put(_SET_CHUNK, struct.pack(">I", CHUNK_BYTES))
        about = {
            "app": self._app,
            "type": "nonprivate",
            "flashVer": "FMLE/3.0 (compatible; roomtone)",
            "tcUrl": self._base,
        }
        self._command("connect", _CONNECT, about)
        return True

    def _take_chunk(self) -> bool:
        """Take a whole chunk, if there is one (§5.3.1)."""
        head = self._head()
        if head is None:
            return False
        number, incoming, size, at = head
        wanted = min(self._chunk_bytes, size - len(incoming.body))
        if len(self._received) < at + wanted:
            return False
        self._streams[number] = incoming
        incoming.body += self._received[at : at + wanted]
        del self._received[: at + wanted]
        if len(incoming.body) == incoming.size:
            body, incoming.body = bytes(incoming.body), bytearray()
            self._take_message(incoming.kind, body)
        return True

    def _head(self) -> tuple[int, _Incoming, int, int] | None:
        """Return chunk stream, its new header, the message's size, and where the chunk begins."""
        if not self._received:
            return None
        form, number, at = self._received[0] >> 6, self._received[0] & 0x3F, 1
        at += {0: 1, 1: 2}.get(number, 0)
        rest = (11, 7, 3, 0)[form]
        if len(self._received) < at + rest:
            return None
        if number < 2:
            number = 64 + int.from_bytes(self._received[1:at], "little")
        known = self._streams.get(number)
        if known is None and (form or len(self._streams) >= MOST_STREAMS):
            raise RtmpError("The server does not speak RTMP")
        before = known or _Incoming()
        found = _Incoming(before.time, before.size, before.kind, before.is_extended, before.body)
        if rest:
            found.time = int.from_bytes(self._received[at : at + 3], "big")
            found.is_extended = found.time == _FLAT
        if rest >= 7:
            found.size = int.from_bytes(self._received[at + 3 : at + 6], "big")
            found.kind = self._received[at + 6]
        at += rest + (4 if found.is_extended else 0)
        if found.size > MOST_MESSAGE_BYTES or len(found.body) > found.size:
            raise RtmpError("The server says more than anybody would")
        return number, found, found.size, at

    def _take_message(self, kind: int, body: bytes) -> None:
        if kind in {_SET_CHUNK, _WINDOW}:
            if len(body) < 4:
                raise RtmpError("The server does not speak RTMP")
            value = int.from_bytes(body[:4], "big")
            if kind == _WINDOW:
                self._window = value
            else:
                self._chunk_bytes = min(max(1, value), MOST_MESSAGE_BYTES)
        elif kind == _CONTROL and body[:2] == _PING.to_bytes(2, "big"):
            self._put(_CONTROL, _PONG.to_bytes(2, "big") + body[2:6])
        elif kind in {_COMMAND, _COMMAND_3}:
            try:
                values = amf.decode(body[1:] if kind == _COMMAND_3 else body)
            except amf.BadAmf:
                raise RtmpError("The server does not speak RTMP") from None
            self._take_command([*values, None, None, None, None])

    def _take_command(self, values: list[amf.Value]) -> None:
        name, number, _, about, *_ = values
        if name == "onStatus":
            self._take_status(about)
        elif name == "_error" and number in {_CONNECT, _CREATE}:
            raise RtmpError(_refusal(about))
        elif name == "_result" and number == _CONNECT:
            self._command("releaseStream", _RELEASE, None, self._key)
            self._command("FCPublish", _FC_PUBLISH, None, self._key)
            self._command("createStream", _CREATE, None)
        elif name == "_result" and number == _CREATE:
            if not isinstance(about, float) or not 0 <= about < 2**32:
                raise RtmpError("The server does not speak RTMP")
            self._stream_id = int(about)
            self.state = RtmpState.PUBLISHING
            self._command("publish", _PUBLISH, None, self._key, "live", stream=self._stream_id)

    def _take_status(self, about: amf.Value) -> None:
        status = about if isinstance(about, Mapping) else {}
        if status.get("level") == "error":
            raise RtmpError(_refusal(about))
        if status.get("code") == "NetStream.Publish.Start":
            self.state = RtmpState.LIVE


def _refusal(about: amf.Value) -> str:
    """Return a server's refusal. Its code alone: the description may hold the key."""
    code = about.get("code") if isinstance(about, Mapping) else None
    said = f": {code[:80]}" if isinstance(code, str) and code.isprintable() else ""
    return f"The server refuses the stream{said}"
