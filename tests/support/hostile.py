"""What may come to an open UDP port, and real packets that come again."""

import asyncio
import random
from collections.abc import Sequence

from aioice import stun

from tests.support.webrtc_client import WebRtcClient

SIZES = (0, 1, 2, 11, 12, 19, 20, 1500, 1501, 1601, 9000)


def junk(real: Sequence[bytes], *, seed: int) -> list[bytes]:
    """Return `real` as it was, changed in one bit and cut short; noise of every first byte."""
    dice = random.Random(seed)
    changed = [packet[:-1] + bytes([packet[-1] ^ 1]) for packet in real if packet]
    cut = [packet[: dice.randrange(len(packet))] for packet in real if packet]
    noise = [bytes([first]) + dice.randbytes(60 + first) for first in range(256)]
    sizes = [dice.randbytes(size) for size in SIZES]
    names = {"nobodyhere:caller", *filter(None, map(_user_of, real))}
    return [*real, *changed, *cut, *noise, *sizes, *map(_forged_check, sorted(names))]


def _user_of(datagram: bytes) -> str | None:
    """Return whom a connectivity check names."""
    if datagram[:2] != b"\0\x01":
        return None
    try:
        return str(stun.parse_message(datagram).attributes["USERNAME"])
    except (ValueError, KeyError):
        return None


def _forged_check(user: str) -> bytes:
    """Return a check that is right but for the password."""
    check = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    check.attributes["USERNAME"] = user
    check.add_message_integrity(b"guessed")
    return bytes(check)


class Spy:
    """Keeps what a client sends, and sends more in its name: from its own sockets.

    To be made when the client has offered: then its sockets are there.
    """

    def __init__(self, made: WebRtcClient) -> None:
        self.sent: list[bytes] = []
        self._working: asyncio.DatagramTransport | None = None
        transport = made.connection.getTransceivers()[0].sender.transport.transport
        for protocol in transport.iceGatherer._connection._protocols:
            self._watch(protocol.transport)

    def _watch(self, transport: asyncio.DatagramTransport) -> None:
        send = transport.sendto

        def note(data: bytes, address: tuple[str, int]) -> None:
            self.sent.append(data)
            self._working, self._target, self._sendto = transport, address, send
            send(data, address)

        transport.sendto = note  # type: ignore[method-assign,assignment]

    def send(self, datagram: bytes) -> None:
        """Send a datagram from the client's own address, while it has one."""
        if self._working is not None and not self._working.is_closing():
            self._sendto(datagram, self._target)
