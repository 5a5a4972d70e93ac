import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls.recording.core.heard import Codec, Heard
from mixer.types import PeerId, RoomId, RtpCodec, Tapped, TappedFrame, TappedPacket
from server.media.tapped import MAX_RECORDS, read_tapped, tapped_body
from server.media.wire import WireError
from server.rpc.framing import FrameKind

ROOM = RoomId("gröning")
ANN = PeerId("ann")
PACKET = TappedPacket(ANN, 3, 65535, 2**32 - 1, 1.5, b"opus", is_silent=True, codec=RtpCodec.PCMU)


def test_a_tick_comes_as_it_was_sent() -> None:
    """Packets, sound in both widths and channels, and whose they are."""
    loud = np.full(1920, 2**30, np.int32)
    soft = np.arange(960, dtype=np.int16)
    frames = [TappedFrame(ANN, loud), TappedFrame(None, soft)]
    body = tapped_body(ROOM, 2**40, Tapped(b"mix", soft, [PACKET], frames))
    room, heard = read_tapped(FrameKind.TAPPED, body)
    assert (room, heard.tick, heard.mix_packet) == (ROOM, 2**40, b"mix")
    assert heard.mix_pcm is not None
    assert np.array_equal(heard.mix_pcm[:, 0], soft)
    assert [frame.peer for frame in heard.frames] == ["ann", ""]
    assert np.array_equal(heard.frames[0].pcm, loud.reshape(960, 2))
    (packet,) = heard.packets
    assert (packet.peer, packet.stream, packet.sequence) == ("ann", 3, 65535)
    assert (packet.timestamp, packet.arrival, packet.payload) == (2**32 - 1, 72_000, b"opus")
    assert (packet.is_silent, packet.is_copy, packet.codec) == (True, False, Codec.PCMU)


def test_nothing_but_the_tick_is_no_error() -> None:
    """A tick in which nothing was tapped has no records."""
    _, heard = read_tapped(FrameKind.TAPPED, tapped_body(ROOM, 1, Tapped(b"", None, [], [])))
    assert heard == Heard(1)


GOOD = tapped_body(ROOM, 1, Tapped(b"mix", np.zeros(960, np.int16), [PACKET], []))
HEAD = tapped_body(ROOM, 1, Tapped(b"", None, [], []))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        GOOD[:-1],
        GOOD + b"\0",
        b"\0" * 8 + b"\0" + GOOD[17:],  # no room
        b"\0" * 8 + b"\xff" + GOOD[9:],  # a name beyond the end
        HEAD + b"\x09\0\0\0\0\0",  # no such kind
        HEAD + b"\x01\0\0\0\0\0",  # an empty packet
        HEAD + b"\x04\0\0\0\0\0",  # nobody's sound
        HEAD + b"\x03\x01\0\0\0\0x",  # a packet without a head
        HEAD + b"\x02\0\0\0\0\x02\x03\x02",  # three channels
        HEAD + b"\x02\0\0\0\0\x02\x01\x02",  # no samples
        HEAD + b"\x04\x01\0\0\0\0\xff",  # a name that is no text
        HEAD + (b"\x01\0\0\0\0\x01x") * (MAX_RECORDS + 1),
    ],
)
def test_what_is_nothing_tapped_is_refused(body: bytes) -> None:
    """A body that breaks the form raises, whatever it is."""
    with pytest.raises(WireError):
        read_tapped(FrameKind.TAPPED, body)


def test_another_kind_is_refused() -> None:
    """A frame of another kind is not read."""
    with pytest.raises(WireError, match="AUDIO"):
        read_tapped(FrameKind.AUDIO, GOOD)


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda junk: HEAD + junk))
def test_junk_raises_nothing_else(body: bytes) -> None:
    """Whatever arrives is read or refused."""
    with contextlib.suppress(WireError):
        read_tapped(FrameKind.TAPPED, body)
