"""RTMP as its server sees it: the handshake, the commands, the sound, and what servers say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls.core import amf
from hls.core.fmp4 import AacFormat
from hls.core.rtmp import HANDSHAKE_BYTES, RtmpError, RtmpPublisher, RtmpState

AUDIO = AacFormat(b"\x11\x88", 1, 128_000)
S1 = bytes(range(256)) * 6
HELLO = b"\x03" + S1 + bytes(HANDSHAKE_BYTES)


def publisher() -> RtmpPublisher:
    return RtmpPublisher("rtmp://example.org/live", "live", "key", bytes(HANDSHAKE_BYTES - 8))


def taken(rtmp: RtmpPublisher) -> bytes:
    data = bytes(rtmp.to_send)
    rtmp.to_send.clear()
    return data


def message(kind: int, body: bytes, *, chunk: int = 128, channel: int = 3, time: int = 0) -> bytes:
    """Return a message in chunks, as a server sends it."""
    extended = time.to_bytes(4, "big") if time >= 0xFFFFFF else b""
    head = min(time, 0xFFFFFF).to_bytes(3, "big") + len(body).to_bytes(3, "big") + bytes([kind])
    data = bytes([channel]) + head + bytes(4) + extended + body[:chunk]
    for at in range(chunk, len(body), chunk):
        data += bytes([0xC0 | channel]) + extended + body[at : at + chunk]
    return data


def command(*values: amf.Value) -> bytes:
    return message(20, amf.encode(*values))


def read(data: bytes) -> list[tuple[int, int, bytes]]:
    """Return the messages (kind, time, body) that were sent, all of them in one chunk."""
    found = []
    while data:
        time, size = int.from_bytes(data[1:4], "big"), int.from_bytes(data[4:7], "big")
        kind, at = data[7], 12
        if time == 0xFFFFFF:
            time, at = int.from_bytes(data[12:16], "big"), 16
        found.append((kind, time, data[at : at + size]))
        data = data[at + size :]
    return found


def commands(data: bytes) -> list[list[amf.Value]]:
    return [amf.decode(body) for kind, _, body in read(data) if kind == 20]


def live() -> RtmpPublisher:
    rtmp = publisher()
    rtmp.receive(HELLO)
    rtmp.receive(command("_result", 1, None, {"code": "NetConnection.Connect.Success"}))
    rtmp.receive(command("_result", 4, None, 7.0))
    rtmp.receive(command("onStatus", 0, None, {"code": "NetStream.Publish.Start"}))
    taken(rtmp)
    return rtmp


def test_handshake_and_connect() -> None:
    """C0 and C1 at once; S1 comes back as C2, then the chunk size and `connect`."""
    rtmp = publisher()
    hello = taken(rtmp)
    assert hello[:9] == b"\x03" + bytes(8)
    assert len(hello) == 1 + HANDSHAKE_BYTES
    for byte in HELLO:
        assert rtmp.state is RtmpState.HANDSHAKE
        rtmp.receive(bytes([byte]))
    answer = taken(rtmp)
    assert answer[:HANDSHAKE_BYTES] == S1
    assert read(answer[HANDSHAKE_BYTES:])[0] == (1, 0, (4096).to_bytes(4, "big"))
    ((name, number, about),) = commands(answer[HANDSHAKE_BYTES:])
    assert (name, number) == ("connect", 1)
    assert isinstance(about, dict)
    assert (about["app"], about["tcUrl"]) == ("live", "rtmp://example.org/live")


def test_publish() -> None:
    """The stream is made, and published under the key on the stream that the server gave."""
    rtmp = publisher()
    rtmp.receive(HELLO)
    taken(rtmp)
    rtmp.receive(command("onBWDone", 0, None, 8192.0))  # some servers measure first
    rtmp.receive(command("_result", 1, None, {}))
    assert [one[0] for one in commands(taken(rtmp))] == [
        *("releaseStream", "FCPublish", "createStream")
    ]
    rtmp.receive(command("_result", 2, None, None))
    rtmp.receive(command("_error", 3, None, {"code": "who cares"}))
    rtmp.receive(command("_result", 4, None, 7.0))
    sent = taken(rtmp)
    assert commands(sent) == [["publish", 5.0, None, "key", "live"]]
    assert sent[8:12] == (7).to_bytes(4, "little")
    rtmp.receive(command("onStatus", 0, None, {"code": "NetStream.Publish.BadName?"}))
    assert rtmp.state.value == "publishing"
    rtmp.receive(message(17, b"\0" + amf.encode("onStatus", 0, None, {"level": "status"})))
    rtmp.receive(command("onStatus", 0, None, {"code": "NetStream.Publish.Start"}))
    assert rtmp.state.value == "live"


def test_sound() -> None:
    """Metadata and the AAC configuration first, then frames with their time in milliseconds."""
    rtmp = live()
    rtmp.begin(AUDIO)
    rtmp.send(0, b"frame")
    rtmp.send(375, b"later")
    data, config, first, later = read(taken(rtmp))
    assert amf.decode(data[2])[:2] == ["@setDataFrame", "onMetaData"]
    assert (config[0], config[2]) == (8, b"\xaf\x00\x11\x88")
    assert first == (8, 0, b"\xaf\x01frame")
    assert later == (8, 8000, b"\xaf\x01later")


def test_long_streams() -> None:
    """Times beyond 4.6 hours stand behind the header; after 49 days they begin again."""
    rtmp = live()
    rtmp.send(786_433, b"x")  # 0xFFFFFF ms are 786,432 frames
    wrap = 2**32 * 48 // 1024
    rtmp.send(wrap + 3, b"y")
    assert [time for _, time, _ in read(taken(rtmp))] == [16_777_237, 64]


def test_long_messages() -> None:
    """What does not fit into a chunk goes on in others, with the long time in each."""
    rtmp = live()
    rtmp.send(786_433, bytes(5000))
    sent = taken(rtmp)
    assert len(sent) == 12 + 4 + 5002 + 1 + 4
    assert sent[16 + 4096 : 16 + 4096 + 5] == b"\xc4" + (16_777_237).to_bytes(4, "big")
    rtmp.send(0, bytes(5000))
    assert len(taken(rtmp)) == 12 + 5002 + 1


def test_servers_chunks() -> None:
    """Chunks of any size, channel and header are put together, other messages are left aside."""
    rtmp = live()
    long = {"code": "x" * 300}
    rtmp.receive(message(20, amf.encode("onStatus", 0, None, long), channel=3, time=0xFFFFFF))
    rtmp.receive(message(1, (4096).to_bytes(4, "big"), channel=2))
    rtmp.receive(message(20, amf.encode("onStatus", 0, None, long), chunk=4096))
    body = amf.encode("onStatus", 0, None, {})
    rtmp.receive(b"\x43" + bytes(3) + len(body).to_bytes(3, "big") + b"\x14" + body)
    rtmp.receive(b"\x83" + bytes(3) + body)
    rtmp.receive(b"\xc3" + body)
    rtmp.receive(b"\x00\x05" + message(9, b"?")[1:])  # a channel of two bytes, and of three
    rtmp.receive(b"\x01\x05\x01" + message(4, b"\0\1....")[1:])
    assert taken(rtmp) == b""


def test_pings_and_windows() -> None:
    """A ping is answered, and what was received acknowledged once a window."""
    rtmp = live()
    rtmp.receive(message(4, b"\0\6time", channel=2))
    assert read(taken(rtmp)) == [(4, 0, b"\0\7time")]
    rtmp.receive(message(5, (10_000).to_bytes(4, "big"), channel=2))
    kinds = [kind for kind, _, _ in read(taken(rtmp))]
    while not kinds:
        rtmp.receive(message(9, bytes(100)))
        kinds = [kind for kind, _, _ in read(taken(rtmp))]
    assert kinds == [3]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (command("_error", 1, None, {"code": "NetConnection.Connect.Rejected"}), "Rejected"),
        (command("_error", 4, None, None), "refuses the stream"),
        (command("onStatus", 0, None, {"level": "error", "code": "bad\nkey"}), "refuses the str"),
        (command("_result", 4, None, "seven"), "does not speak"),
        (command("_result", 4, None, -1.0), "does not speak"),
        (message(20, b"\x0c"), "does not speak"),
        (message(1, b"\0\0"), "does not speak"),
        (b"\xc9", "does not speak"),
        (b"\x03" + bytes(3) + b"\xff\xff\xff\x14" + bytes(4), "more than anybody"),
        (b"\x03" + bytes(5) + b"\x81\x14" + bytes(4 + 128) + b"\x43" + bytes(6) + b"\x14", "more"),
    ],
)
def test_refusals(said: bytes, words: str) -> None:
    """A refusal is told by its code alone, for the rest may hold the key; nonsense ends it."""
    with pytest.raises(RtmpError, match=words):
        live().receive(said)


def test_another_protocol() -> None:
    """Who does not begin with version 3 is no RTMP server."""
    with pytest.raises(RtmpError, match="does not speak"):
        publisher().receive(b"HTTP/1.1 400")


def test_many_channels() -> None:
    """A server may use 64 chunk streams; so what is remembered is bounded."""
    rtmp = live()
    many = [b"\x00" + bytes([number]) + message(9, b"?")[1:] for number in range(70)]
    with pytest.raises(RtmpError):
        rtmp.receive(b"".join(many))


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_anything(pieces: list[bytes]) -> None:
    """Whatever a server says is taken or refused, and never more than one message is kept."""
    rtmp = live()
    for piece in pieces:
        try:
            rtmp.receive(piece)
        except RtmpError:
            return
