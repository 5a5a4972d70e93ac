"""The mixer as one object: rooms in, answers and events out."""

import contextlib
import time

from mixer.engine import Engine, Recordings
from mixer.errors import SetupError
from mixer.lines import Lines
from mixer.rtc.addresses import detect_addresses
from mixer.rtc.port import WebRtcPort
from mixer.rtc.sockets import open_socket
from mixer.types import (
    Cancellable,
    Emit,
    PeerId,
    PeerStatistics,
    PlaneSettings,
    PlaneStatistics,
    RoomId,
    RoomSpec,
    Spawn,
    Tap,
)


class Plane:
    """A media plane in this process, on the running loop. Everything happens between its awaits."""

    def __init__(
        self,
        settings: PlaneSettings,
        *,
        emit: Emit,
        tap: Tap | None,
        spawn: Spawn,
        recordings: Recordings | None = None,
    ) -> None:
        self._settings = settings
        self._spawn = spawn
        self._emit = emit
        self._engine = Engine(
            emit=emit,
            tap=tap,
            clock=time.monotonic,
            unix_clock=time.time,  # noqa: TID251 - the clock's one birthplace
            recordings=recordings,
        )
        self._lines: Lines | None = None
        self._udp_port = settings.udp_port
        self._addresses = settings.advertised
        self._ticker: Cancellable | None = None

    @property
    def capabilities(self) -> frozenset[str]:
        """What this plane can do beyond mixing."""
        plain = {"plain-rtp"} if self._settings.rtp_port is not None else set()
        mixing = {
            "mix-minus",
            "mute",
            "tap",
            "gains",
            "buses",
            "loudest",
            "automix",
            "agc",
            "music",
        }
        return frozenset(mixing | plain)

    @property
    def udp_port(self) -> int:
        """The bound UDP port."""
        return self._udp_port

    @property
    def rtp_port(self) -> int:
        """The bound UDP port of plain RTP; 0 without."""
        return 0 if self._lines is None else self._lines.port.port

    async def start(self) -> None:
        """Bind the UDP port and start the ticker.

        Raises:
            SetupError: the port cannot be bound, or libopus is missing.
        """
        socket = open_socket(
            self._settings.udp_host, self._settings.udp_port, batched=self._settings.batched_sockets
        )
        self._udp_port = socket.port
        self._addresses = self._settings.advertised or detect_addresses(self._settings.udp_host)
        port = WebRtcPort(socket, self._engine, clock=time.monotonic, spawn=self._spawn)
        if self._settings.rtp_port is not None:
            try:
                self._lines = self._open_lines(self._settings.rtp_port)
            except SetupError:
                socket.close()
                raise
        self._engine.attach(port, self._lines)
        # Ends in close(), or with the process.
        self._ticker = self._spawn(self._engine.run(), name="ticker")

    def _open_lines(self, port: int) -> Lines:
        batched = self._settings.batched_sockets
        return Lines(
            open_socket(self._settings.rtp_host, port, batched=batched, option="--rtp-port"),
            open_socket("", 0, batched=batched),  # a socket on loopback could not send elsewhere
            emit=self._emit,
            clock=time.monotonic,
        )

    async def close(self) -> None:
        """Say goodbye to every peer and close the port."""
        self._engine.end_recordings()
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
            with contextlib.suppress(OSError):
                await self._engine.port.close()
            if self._lines is not None:
                self._lines.port.close()

    def apply(self, spec: RoomSpec) -> None:
        """Make a room what the spec says; an older or equal version is ignored.

        Raises:
            ClientMistake: a value of the spec is out of its range.
        """
        self._engine.apply(spec)

    async def accept_offer(self, room: RoomId, peer: PeerId, sdp: str) -> str:
        """Answer an SDP offer.

        Raises:
            PeerGone: the room's spec does not list the peer.
            ClientMistake: the offer cannot be accepted.
            NoCapacity: there is no row left.
        """
        return self._engine.accept_offer(
            room, peer, sdp, addresses=self._addresses, udp_port=self._udp_port
        )

    def add_candidate(self, room: RoomId, peer: PeerId, candidate: str) -> None:
        """Take a trickled candidate: an ICE-lite agent needs none, the peer's checks tell."""

    def statistics(self) -> PlaneStatistics:
        """Return counters and gauges."""
        return self._engine.statistics()

    def peers(self, room: RoomId) -> tuple[PeerStatistics, ...]:
        """Return how the room's connections are."""
        return self._engine.peers(room)
