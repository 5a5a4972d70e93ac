"""What the mixer says of the rooms' connections, and what becomes of the people behind them."""

from dataclasses import dataclass, replace
from typing import Final, assert_never

from mixer.types import (
    GoneReason,
    Overloaded,
    PeerChanged,
    PeerState,
    PlaneEvent,
    Played,
    RoomId,
    Talking,
)
from server.domain.identity import UserId
from server.domain.people import Person, Status
from server.ports import PlaneLost
from server.rpc.codec import Notification
from server.services.presence import Presence

RESTART_FIRST_MS: Final = 300  # a mixer process is back after about that
RESTART_SPREAD_MS: Final = 20  # from one anchor's offer to the next: a handshake costs about 5 ms
FAILED_RETRY_MS: Final = 1000


@dataclass(frozen=True, slots=True)
class MediaEvents:
    """Takes them one by one; who lost their connection is told when to offer again."""

    presence: Presence

    def handle(self, event: PlaneEvent | PlaneLost) -> None:
        """Take what the mixer says."""
        match event:
            case PlaneLost(rooms):
                self._plane_lost(rooms)
            case Talking(room, levels):
                if self.presence.count(room):
                    told = {str(peer): db for peer, db in levels.items()}
                    self.presence.announcements.talking(room, told)
            case PeerChanged():
                self._peer_changed(event)
            case Played():
                pass  # the announcer's
            case Overloaded():
                pass  # its log and its numbers say so; people hear the calls they are in
            case _:
                assert_never(event)

    def _peer_changed(self, event: PeerChanged) -> None:
        room, user = event.room, UserId(event.peer)
        is_live = event.state is PeerState.LIVE
        person = self.presence.person(room, user)
        if person is not None:
            self._person_changed(room, person, event.state, event.reason)
        elif (line := self.presence.lines(room).people.get(user)) is not None:
            self.presence.note_line(room, line, is_live=is_live)
        elif is_live:
            self.presence.lobby.note_status(room, user, Status.ON_AIR)

    def _person_changed(
        self, room: RoomId, person: Person, state: PeerState, reason: GoneReason | None
    ) -> None:
        if state is PeerState.LIVE:
            self.presence.put(room, replace(person, has_media=True, status=Status.ON_AIR))
        if state is not PeerState.GONE:
            return
        if reason in (GoneReason.REPLACED, GoneReason.REMOVED):
            return  # our own doing, or another connection of theirs lives
        if person.lost_at is not None:
            self.presence.leave(room, person.user)  # neither socket nor media: nothing to resume
            return
        self.presence.put(room, replace(person, has_media=False, status=Status.IDLE))
        if reason is GoneReason.TIMEOUT:
            self._reconnect(room, person.user, "media_lost", 0)
        elif reason is GoneReason.FAILED:
            self._reconnect(room, person.user, "media_failed", FAILED_RETRY_MS)

    def _plane_lost(self, rooms: frozenset[RoomId] | None) -> None:
        for room, line in self.presence.all_lines():
            if rooms is None or room in rooms:
                self.presence.note_line(room, line, is_live=False)
        retry_after_ms = RESTART_FIRST_MS
        for room in self.presence.occupied():
            if rooms is not None and room not in rooms:
                continue
            for person in self.presence.people(room):
                if person.has_media:
                    changed = replace(person, has_media=False, status=Status.IDLE)
                    self.presence.put(room, changed)
                self._reconnect(room, person.user, "media_restarted", retry_after_ms)
                retry_after_ms += RESTART_SPREAD_MS

    def _reconnect(self, room: RoomId, user: UserId, reason: str, retry_after_ms: int) -> None:
        params = {"reason": reason, "retryAfterMs": retry_after_ms}
        self.presence.tell(room, Notification("reconnect", params), user)
