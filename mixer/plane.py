"""The mixer as one object: rooms in, answers and events out."""

import contextlib
import logging
import time

from mixer.engine import Engine
from mixer.errors import SetupError
from mixer.lines import Lines
from mixer.rtc.addresses import detect_addresses
from mixer.rtc.port import WebRtcPort
from mixer.rtc.sockets import BlockSocket, open_socket
from mixer.rtc.streams import Streams, bind_tcp
from mixer.seats import Recordings
from mixer.types import (
    Cancellable,
    Emit,
    Int16Frame,
    PeerId,
    PeerStatistics,
    PlaneSettings,
    PlaneStatistics,
    PlayerSpec,
    RoomId,
    RoomSpec,
    Spawn,
    Tap,
)

_log = logging.getLogger(__name__)


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
        self._tcp_port = 0
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
            "pass-through",
            "agc",
            "music",
            "players",
            "listeners",
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

    @property
    def tcp_port(self) -> int:
        """The bound TCP port, 0 if there is none."""
        return self._tcp_port

    async def start(self) -> None:
        """Bind the ports and start the ticker.

        Raises:
            SetupError: a port cannot be bound, or libopus is missing.
        """
        socket = open_socket(
            self._settings.udp_host, self._settings.udp_port, batched=self._settings.batched_sockets
        )
        self._udp_port = socket.port
        self._addresses = self._settings.advertised or detect_addresses(self._settings.udp_host)
        with contextlib.ExitStack() as opened:  # what is open when the next cannot be
            opened.callback(socket.close)
            self._lines = self._open_lines()
            if self._lines is not None:
                opened.callback(self._lines.port.close)
            streams = self._open_streams()
            opened.pop_all()
        port = WebRtcPort(
            socket, self._engine, clock=time.monotonic, spawn=self._spawn, streams=streams
        )
        self._engine.attach(port, self._lines)
        # Ends in close(), or with the process.
        self._ticker = self._spawn(self._engine.run(), name="ticker")

    def _open_lines(self) -> Lines | None:
        settings = self._settings
        if settings.rtp_port is None:
            return None
        batched = settings.batched_sockets
        participants = open_socket(
            settings.rtp_host, settings.rtp_port, batched=batched, option="--rtp-port"
        )
        # A socket on loopback could not send elsewhere.
        forwarders = open_socket("", 0, batched=batched)
        return Lines(
            participants,
            forwarders,
            emit=self._emit,
            clock=time.monotonic,
            rtcp=self._open_rtcp(participants.port + 1),
        )

    def _open_rtcp(self, port: int) -> BlockSocket | None:
        """Take the port above that of plain RTP, for reports; it may be missing."""
        settings = self._settings
        try:
            return open_socket(settings.rtp_host, port, batched=settings.batched_sockets)
        except (SetupError, OverflowError) as error:
            if settings.rtp_port:
                _log.warning("no RTCP on a port of its own: %s", error)
            return None

    def _open_streams(self) -> Streams | None:
        """Listen on the TCP port; one that nobody asked for by number may be missing."""
        wanted = self._settings.tcp_port
        if wanted == 0:
            return None
        try:
            listener = bind_tcp(self._settings.udp_host, wanted or self._udp_port)
        except SetupError as error:
            if wanted is not None:
                raise
            _log.warning("no WebRTC over TCP: %s", error)
            return None
        streams = Streams(listener)
        self._tcp_port = streams.port
        return streams

    async def close(self) -> None:
        """Say goodbye to every peer and close the port."""
        self.end_recordings()
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
            with contextlib.suppress(OSError):
                await self._engine.port.close()
            if self._lines is not None:
                self._lines.port.close()

    def end_recordings(self) -> None:
        """Hand on what is left of every recording, and record nothing more of these calls."""
        self._engine.end_recordings()

    def apply(self, spec: RoomSpec) -> None:
        """Make a room what the spec says; an older or equal version is ignored.

        Raises:
            ClientMistake: a value of the spec is out of its range.
        """
        self._engine.apply(spec)

    async def accept_offer(
        self, room: RoomId, peer: PeerId, sdp: str, *, listener: bool = False
    ) -> str:
        """Answer an SDP offer of an anchor, or of somebody who only listens, when its turn comes.

        Raises:
            PeerGone: the room's spec does not list the peer, or has no listeners.
            ClientMistake: the offer cannot be accepted.
            NoCapacity: there is no row left.
        """
        async with self._engine.turn():
            return self._engine.accept_offer(
                room,
                peer,
                sdp,
                addresses=self._addresses,
                udp_port=self._udp_port,
                tcp_port=self._tcp_port,
                listener=listener,
            )

    def drop_peer(self, room: RoomId, peer: PeerId) -> None:
        """End a connection, if it is there."""
        self._engine.drop_peer(room, peer)

    def add_candidate(self, room: RoomId, peer: PeerId, candidate: str) -> None:
        """Take a trickled candidate: an ICE-lite agent needs none, the peer's checks tell."""

    def play(self, room: RoomId, spec: PlayerSpec) -> None:
        """Play what will be fed.

        Raises:
            PeerGone: there is no such room.
            ClientMistake: the gain is out of its range.
            NoCapacity: the room plays too much already.
        """
        self._engine.play(room, spec)

    def feed(self, room: RoomId, name: str, pcm: Int16Frame) -> None:
        """Give a player its next frames, int16[n, 960] of 48 kHz mono; n = 0 ends it."""
        self._engine.players.feed(room, name, pcm)

    def stop(self, room: RoomId, name: str) -> None:
        """Fade a player out, if it is there."""
        self._engine.players.stop(room, name)

    def set_volume(self, room: RoomId, name: str, gain_db: float) -> None:
        """Set a player's gain, if it is there. Raises ClientMistake, `bad_gain`."""
        self._engine.players.set_volume(room, name, gain_db)

    def statistics(self) -> PlaneStatistics:
        """Return counters and gauges."""
        return self._engine.statistics()

    def peers(self, room: RoomId) -> tuple[PeerStatistics, ...]:
        """Return how the room's connections are."""
        return self._engine.peers(room)
