"""What the handlers work with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from prometheus_client import CollectorRegistry

from server.config import Settings
from server.ports import BroadcastPlane, MediaPlane, RecordingShelf, StateStore
from server.services.access import Access
from server.services.announcer import Announcer
from server.services.api_keys import ApiKeys
from server.services.arrivals import ArrivalsKeeper
from server.services.audience import Audience
from server.services.auto_rooms import AutoRooms
from server.services.captions import Captions
from server.services.clock import Clock
from server.services.desk import Desk
from server.services.drain import Drain
from server.services.endings import Endings
from server.services.holdmusic import HoldMusic
from server.services.ice import IceServers
from server.services.limits import Limits
from server.services.lines import LineKeeper
from server.services.listening import Listening
from server.services.marks import Marks
from server.services.outputs import Outputs
from server.services.permanent import PermanentRooms
from server.services.presence import Presence
from server.services.radio import Radio
from server.services.recorder import Recorder
from server.services.rooms import Rooms
from server.services.signalling import Signalling
from server.services.sounds import Sounds
from server.services.standing import Standings
from server.services.tokens import Signer
from server.services.uploads import Uploads
from server.services.webhooks import Webhooks


@dataclass(slots=True)
class Context:
    """One server's services, as the edge sees them; a reload replaces the settings."""

    settings: Settings
    static: Path
    clock: Clock
    limits: Limits
    store: StateStore
    rooms: Rooms
    presence: Presence
    access: Access
    listening: Listening
    keys: ApiKeys
    signer: Signer
    signalling: Signalling
    standings: Standings
    ice: IceServers
    lines: LineKeeper
    arrivals: ArrivalsKeeper
    recorder: Recorder
    uploads: Uploads
    shelf: RecordingShelf
    desk: Desk
    announcer: Announcer
    sounds: Sounds
    hold_music: HoldMusic
    webhooks: Webhooks
    endings: Endings
    audience: Audience
    captions: Captions
    radio: Radio
    outputs: Outputs
    permanent: PermanentRooms
    auto_rooms: AutoRooms
    marks: Marks
    mixer: MediaPlane
    broadcast: BroadcastPlane
    registry: CollectorRegistry
    drain: Drain
    is_up: Mapping[str, Callable[[], bool]]  # the processes a call needs, by name


CONTEXT = web.AppKey("context", Context)
