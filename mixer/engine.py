"""The ticker: reads the port, ticks every room that has something to say, sends."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from mixer import census
from mixer.core.jitter import Arrival
from mixer.core.lateness import Lateness
from mixer.core.link import MIX_BPS
from mixer.core.speccheck import check_spec
from mixer.effort import Effort
from mixer.errors import ClientMistake, NoCapacity, PeerGone
from mixer.lines import Lines, keep_occupied, with_lines
from mixer.players import REPORT_EVERY_TICKS, Players
from mixer.room.anchor import Anchor
from mixer.room.encoding import MUSIC_BPS
from mixer.rtc.peers import Peer, Wants
from mixer.rtc.port import WebRtcPort
from mixer.rtc.sdp import MUSIC_WISH, WISH, Offer, read_offer
from mixer.seats import Recordings, Seat, make_seat
from mixer.types import (
    FLOOR,
    TICK_S,
    Emit,
    GoneReason,
    Outgoing,
    Overloaded,
    PeerChanged,
    PeerId,
    PeerState,
    PeerStatistics,
    PlaneStatistics,
    PlayerSpec,
    Profile,
    RoomId,
    RoomSpec,
    RtpCodec,
    Talking,
    Tap,
    tick_at,
)

MAX_PEERS = 4096  # rows of the peer table; far above what one core mixes
TALKING_EVERY_TICKS = 10  # at most five `talking` events a second
MAX_CATCH_UP_TICKS = 5  # after a longer stall (a suspended machine) the missed ticks are dropped
HANDSHAKE_POLL_S = 0.002
HOLD_S = (
    2 * HANDSHAKE_POLL_S
)  # before a tick: a step of a handshake takes one, and some wait in line
IDLE_POLL_S = 1.0  # with no peer there is nothing to be late for

_log = logging.getLogger(__name__)


class Engine:
    """All rooms of one process, driven by one 20 ms ticker."""

    def __init__(
        self,
        *,
        emit: Emit,
        tap: Tap | None,
        clock: Callable[[], float],
        unix_clock: Callable[[], float],
        recordings: Recordings | None = None,
    ) -> None:
        self._emit = emit
        self._tap = tap
        self._clock = clock
        self._unix_clock = unix_clock
        self._recordings = recordings
        self.players = Players(emit)
        self._port: WebRtcPort | None = None
        self._lines: Lines | None = None
        self._seats: dict[RoomId, Seat] = {}
        self._occupied: dict[RoomId, Seat] = {}  # with a connection: an empty room costs nothing
        self._anchors: dict[int, tuple[Seat, Anchor]] = {}  # by row of the peer table
        self._wake = asyncio.Event()
        self._counters: Counter[str] = Counter()
        self._failed: set[str] = set()
        self._lateness = Lateness()
        self._effort = Effort(clock())

    def attach(self, port: WebRtcPort, lines: Lines | None = None) -> None:
        """Take the port this engine drives, and its plain RTP."""
        self._port = port
        self._lines = lines

    @property
    def port(self) -> WebRtcPort:
        """The attached port."""
        assert self._port is not None, "attach() comes before everything else"
        return self._port

    # What the control plane wants

    def apply(self, spec: RoomSpec) -> None:
        """Make a room what the spec says; an older or equal version is ignored.

        Raises:
            ClientMistake: a value is out of its range; nothing has changed.
        """
        check_spec(spec)
        seat = self._seats.get(spec.room)
        if seat is not None and spec.version <= seat.spec.version:
            return
        if seat is None:
            if spec.closed:
                return
            seat = self._seats[spec.room] = make_seat(
                spec, self._tap, is_recorded=self._recordings is not None
            )
            seat.room.spend(self._effort.quality)
        seat.spec = spec
        seat.room.configure(with_lines(spec))
        wanted = {} if spec.closed else {anchor.peer: anchor for anchor in spec.anchors}
        may_listen = spec.listeners and not spec.closed
        for peer_id, peer in list(seat.peers.items()):
            if peer_id in seat.listeners:
                if not may_listen or peer_id in wanted:  # who is to speak from now on offers anew
                    self.port.remove(peer, GoneReason.REMOVED)
            elif peer_id not in wanted:
                self.port.remove(peer, GoneReason.REMOVED)
            else:
                self._mute(seat, peer_id, muted=wanted[peer_id].muted)
        if spec.closed:
            self.players.forget(spec.room)
        self._settle(seat)
        self._heed_wish(seat)
        if spec.closed:
            self._count(seat)
            self._failed.discard(f"room {spec.room}")
            del self._seats[spec.room]

    def _settle(self, seat: Seat) -> None:
        """Begin to tick a room, or end it, when its first comes or its last has left.

        Plain RTP lives while the room is ticked.
        """
        spec, room = seat.spec, seat.spec.room
        is_kept = self._lines is not None and not spec.closed and keep_occupied(spec)
        if not (seat.peers or is_kept or self.players.are_in(room)):
            if self._occupied.pop(room, None) is not None:
                self._vacate(seat)
            return
        self._occupy(seat)
        if self._lines is not None and not spec.closed:
            self._lines.apply(seat)

    def _occupy(self, seat: Seat) -> None:
        if seat.spec.room in self._occupied:
            return
        self._occupied[seat.spec.room] = seat
        self._wake.set()
        if self._recordings is not None and self._recordings.limit_bytes:
            self._count(seat)
            seat.counted = Counter(seat.journal.counters())
            self._recordings.begin(seat, self._tap, self._unix_clock())
            seat.room.spend(self._effort.quality)
            seat.room.configure(with_lines(seat.spec))
        seat.wish = None  # each call is a recording of its own
        self._heed_wish(seat)

    def play(self, room: RoomId, spec: PlayerSpec) -> None:
        """Play what will be fed, from the next tick on; the room is ticked for it if need be.

        Raises:
            PeerGone: there is no such room.
            ClientMistake: the gain is out of its range, or there is no such bus.
            NoCapacity: the room plays too much already.
        """
        seat = self._seats.get(room)
        if seat is None:
            raise PeerGone(f"there is no room {room}")
        if spec.bus is not None and spec.bus not in (FLOOR, *seat.spec.buses):
            raise ClientMistake("bad_bus", f"The room has no bus {spec.bus[:32]!r}")
        self._occupy(seat)  # which may begin a recording, with another room
        try:
            self.players.play(seat.room, spec)
        finally:
            self._settle(seat)

    def _heed_wish(self, seat: Seat) -> None:
        if self._recordings is not None and seat.spec.room in self._occupied:
            self._recordings.heed(seat, now=self._clock(), unix_now=self._unix_clock())

    def _vacate(self, seat: Seat) -> None:
        if self._lines is not None:
            self._lines.clear(seat.spec.room)
        seat.journal.end()
        self._count(seat)
        self._say_who_talks(seat)

    def end_recordings(self) -> None:
        """Hand on what is left of every recording."""
        for seat in self._seats.values():
            seat.journal.end()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until an offer may be answered: of many at once some are left for later ticks."""
        self._wake.set()  # where nobody is yet, there are no ticks
        async with self.port.offers.turn():
            yield

    def accept_offer(  # noqa: PLR0913 - whose offer, and what the answer must say of us
        self,
        room: RoomId,
        peer_id: PeerId,
        sdp: str,
        *,
        addresses: tuple[str, ...],
        udp_port: int,
        tcp_port: int = 0,
        listener: bool = False,
    ) -> str:
        """Answer an offer; of a listener, who is not in the room's spec, nothing is heard.

        A further offer of the same RTCPeerConnection goes on with its peer, ICE restart included;
        one of another replaces the person's earlier connection.
        """
        seat = self._seats.get(room)
        wanted = None if seat is None else seat.admit(peer_id, listener=listener)
        if seat is None or wanted is None:
            raise PeerGone(f"{peer_id} is not in room {room}")
        offer = read_offer(sdp)
        if listener:
            offer = offer.unheard()
        peer = seat.peers.get(peer_id)
        if peer is not None and self.port.renegotiate(peer, offer):
            self._hears_now(peer)
        else:
            peer = self._add_peer(seat, peer_id, offer)
            if listener:
                seat.listeners.add(peer_id)
                self.port.table.want(peer, Wants.NONE)
            else:
                self._mute(seat, peer_id, muted=wanted.muted)
        profile = wanted.profile or seat.spec.profile
        return self.port.write_answer(
            peer,
            addresses=addresses,
            port=udp_port,
            tcp_port=tcp_port,
            wish=MUSIC_WISH if profile is Profile.MUSIC else WISH,
        )

    def drop_peer(self, room: RoomId, peer_id: PeerId) -> None:
        """End a connection, if it is there; the person may offer again if the room lets them."""
        seat = self._seats.get(room)
        if seat is not None and (peer := seat.peers.get(peer_id)) is not None:
            self.port.remove(peer, GoneReason.REMOVED)

    def _add_peer(self, seat: Seat, peer_id: PeerId, offer: Offer) -> Peer:
        if self.port.table.count >= MAX_PEERS:
            raise NoCapacity("This server carries as many people as it can.")
        if (earlier := seat.peers.get(peer_id)) is not None:
            self.port.remove(earlier, GoneReason.REPLACED)
        elif self._effort.is_full:
            self._counters["offers_refused"] += 1
            raise NoCapacity("This server has as much to do as it can: try again in a moment.")
        peer = self.port.add_peer(seat.spec.room, peer_id, offer, now=self._clock())
        seat.peers[peer_id] = peer
        self._settle(seat)
        anchor = seat.make_anchor(peer_id, peer.row, RtpCodec.OPUS)
        seat.room.add(anchor)
        self._anchors[peer.row] = (seat, anchor)
        self._wake.set()
        return peer

    def _hears_now(self, peer: Peer) -> None:
        """Begin or cease to send a peer the mix, as its newest offer says."""
        seat, anchor = self._anchors[peer.row]
        if not peer.offer.hears:
            seat.room.disconnect(peer.id)
        elif not anchor.hears and peer.send is not None:
            seat.room.connect(peer.id)

    def _mute(self, seat: Seat, peer_id: PeerId, *, muted: bool) -> None:
        anchor = seat.room.anchors.get(peer_id)
        if anchor is None or anchor.is_muted == muted:
            return
        anchor.mute(muted)
        self.port.table.want(seat.peers[peer_id], Wants.NONE if muted else Wants.ALL)

    # What the port tells

    def arrived(self, peer: Peer, packet: Arrival, level_dbov: int | None, *, voice: bool) -> None:
        """See PortListener."""
        known = self._anchors.get(peer.row)
        if known is None:
            return
        seat, anchor = known
        if anchor.arrived(packet, level_dbov, self._clock(), voice=voice):
            seat.room.wake(anchor)
            self.port.table.want(peer, Wants.ALL)
        elif not anchor.is_muted and level_dbov is not None:
            self.port.table.want(peer, Wants.VOICED)

    def began(self, peer: Peer) -> None:
        """See PortListener."""
        if (known := self._anchors.get(peer.row)) is not None:
            known[1].restart()

    def changed(self, peer: Peer, reason: GoneReason | None) -> None:
        """See PortListener."""
        seat = self._seats.get(peer.room)
        known = self._anchors.get(peer.row)
        if peer.state is PeerState.LIVE and known is not None and peer.offer.hears:
            known[0].room.connect(peer.id)
        if peer.state is PeerState.GONE and known is not None:
            del self._anchors[peer.row]
            self._counters.update(known[1].counters())
            if seat is not None and seat.peers.get(peer.id) is peer:
                del seat.peers[peer.id]
                seat.listeners.discard(peer.id)
                seat.room.remove(peer.id)
                self._settle(seat)
        self._emit(PeerChanged(peer.room, peer.id, peer.state, reason))

    # Time

    async def run(self) -> None:
        """Tick until cancelled."""
        done = tick_at(self._clock())
        while True:
            if not (self.port.table.count or self._occupied or self.port.offers.is_wanted):
                await self._rest()
                done = tick_at(self._clock())
                continue
            await self._sleep_until((done + 1) * TICK_S)
            now = self._clock()
            is_late = self._lateness.note(now - (done + 1) * TICK_S)
            self._counters["ticks_late"] += is_late
            self._effort.ticked(is_late=is_late)
            due = max(done + 1, tick_at(now))  # rounding may put the boundary itself before it
            if due - done > MAX_CATCH_UP_TICKS:
                self._counters["ticks_dropped"] += due - done - MAX_CATCH_UP_TICKS
                done = due - MAX_CATCH_UP_TICKS
            while done < due:
                done += 1
                self._tick(done)
            self._effort.worked(now, self._clock())
            self._judge()

    async def _rest(self) -> None:
        """Wait for a peer; the socket is emptied now and then so that junk is counted."""
        self._wake.clear()
        self._lateness.rest()
        try:
            async with asyncio.timeout(IDLE_POLL_S):
                await self._wake.wait()
        except TimeoutError:
            self._poll(self._clock(), self._unix_clock())
            self._judge()

    async def _sleep_until(self, when: float) -> None:
        """Sleep to the next tick; read the socket often while a handshake runs, half-way when busy.

        Else it is read with the tick: arrival times are the kernel's, and waking up less often
        leaves the caches warm (40 people: a sixth less CPU).
        """
        if when <= self._clock():
            await asyncio.sleep(0)  # however late: handshakes and the control process wait too
        while (left := when - self._clock()) > 0:
            if self.port.is_joining:
                if left <= HOLD_S:
                    self.port.hold_joins()
                await asyncio.sleep(min(HANDSHAKE_POLL_S, left))
            elif self.port.is_busy and left > TICK_S / 2:
                await asyncio.sleep(left - TICK_S / 2)
            else:
                await asyncio.sleep(left)
            if (now := self._clock()) < when:
                self._poll(now, self._unix_clock())
                self._effort.worked(now, self._clock())

    def _tick(self, tick: int) -> None:
        now, unix_now = self._clock(), self._unix_clock()
        self._counters["ticks"] += 1
        self._poll(now, unix_now)
        frames = self._tick_rooms(tick, now)
        if self._lines is not None:
            frames = self._lines.send(frames, tick)
            self._attempt("plain timers", self._lines.port.tick, now=now, unix_now=unix_now)
        if frames:
            self._attempt("sending", self.port.send, frames, tick=tick)
        self._attempt("timers", self.port.tick, tick, now=now, unix_now=unix_now)
        if tick % TALKING_EVERY_TICKS == 0:
            for seat in list(self._occupied.values()):
                self._say_who_talks(seat)
            self._follow_links(now)
        if tick % REPORT_EVERY_TICKS == 0:
            for room in self.players.report():
                self._settle(self._seats[room])

    def _follow_links(self, now: float) -> None:
        """Tell the rooms what suits whose link."""
        for seat in self._occupied.values():
            for peer_id, peer in seat.peers.items():
                mix_bps = MIX_BPS if seat.room.hears_mono(peer_id) else MUSIC_BPS
                if peer.link.is_plain and peer.link.terms.mix_bps == mix_bps:
                    continue  # as nearly everybody is
                delivery = self.port.deliver(peer, mix_bps=mix_bps, now=now)
                if seat.room.anchors[peer_id].delivery != delivery:
                    seat.room.deliver(peer_id, delivery)

    def _poll(self, now: float, unix_now: float) -> None:
        self._attempt("receiving", self.port.poll, now=now, unix_now=unix_now)
        if self._lines is not None:
            self._attempt("plain RTP", self._lines.port.poll, now=now, unix_now=unix_now)

    def _judge(self) -> None:
        """Once a second, do with less or more according to how hard it was."""
        is_other_quality, is_other_level = self._effort.judge(self._clock())
        if is_other_quality:
            for seat in self._seats.values():
                seat.room.spend(self._effort.quality)
        if is_other_level:
            self._emit(Overloaded(self._effort.level))

    def _attempt(self, what: str, step: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        try:
            step(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - a boundary: the next tick goes on
            self._note_failure(what, error)

    def _tick_rooms(self, tick: int, now: float) -> list[Outgoing]:
        frames: list[Outgoing] = []
        for seat in self._occupied.values():
            try:
                frames += seat.room.tick(tick, now)
            except Exception as error:  # noqa: BLE001 - a boundary: other rooms go on
                self._note_failure(f"room {seat.spec.room}", error)
        return frames

    def _note_failure(self, what: str, error: Exception) -> None:
        """Count a failure, and log the first of its kind: the next comes in 20 ms."""
        self._counters["tick_failures"] += 1
        if what not in self._failed:
            self._failed.add(what)
            _log.error("the ticker failed at %s", what, exc_info=error)

    def _say_who_talks(self, seat: Seat) -> None:
        levels = {peer: 3 * round(level / 3) for peer, level in seat.room.talking.items()}
        if levels != seat.said:
            seat.said = levels
            self._emit(Talking(seat.spec.room, levels))

    def statistics(self) -> PlaneStatistics:
        """Return counters and gauges; names are Prometheus names without a prefix."""
        for seat in self._occupied.values():
            self._count(seat)
        counters = Counter(self._counters)
        counters.update(self.port.counters)
        counters.update(self.port.socket_counters)
        counters.update(census.of_anchors(anchor for _, anchor in self._anchors.values()))
        gauges = census.of_rooms(self._occupied.values())
        gauges["rooms"] = float(len(self._seats))
        gauges["players"] = float(len(self.players))
        gauges["tick_busy_share"] = self._effort.busy_share
        gauges["overload_level"] = float(self._effort.level)
        if self._lines is not None:
            counters.update(self._lines.counters())
            gauges |= self._lines.gauges()
        return PlaneStatistics(dict(counters), gauges).joined(census.of_ticks(self._lateness))

    def _count(self, seat: Seat) -> None:
        """Bring the sums up to date with a room: at its end, and of those with people when asked.

        What an empty room has counted stays as it is: a thousand of them cost nothing.
        """
        counted = census.of_room(seat)
        self._counters.update(counted)
        self._counters.subtract(seat.counted)
        seat.counted = counted

    def peers(self, room: RoomId) -> tuple[PeerStatistics, ...]:
        """Return how the anchors' connections are; none if there is no such room."""
        seat = self._seats.get(room)
        if seat is None:
            return ()
        plain = () if self._lines is None else self._lines.peers(room)
        return (*census.of_peers(seat, self.port), *plain)
