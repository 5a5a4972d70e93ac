"""The services of one server, wired to each other and to what they stand on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry

from hls.types import BroadcastSpec, Container
from mixer.types import RoomId, RoomSpec
from server.compose.housekeeping import Housekeeping
from server.compose.pulse import Pulse, TimedStore
from server.config import Settings
from server.domain.air import Studio, part_frames
from server.domain.identity import UserId
from server.domain.recording import Automatic, Retention
from server.domain.rotation import Rotation
from server.edge.context import Context
from server.edge.hook_sender import HttpHookSender
from server.edge.pages import static_folder
from server.media.archive import Archive
from server.media.recordings import FolderShelf
from server.ports import (
    BroadcastPlane,
    HookSender,
    MixingPlane,
    SoundDecoder,
    SoundProcesses,
    StateStore,
)
from server.services.access import Access, Lifetimes
from server.services.announcer import Announcer
from server.services.api_keys import ApiKeys
from server.services.arrivals import ArrivalsKeeper
from server.services.audience import Audience
from server.services.auto_rooms import AutoPolicy, AutoRooms
from server.services.captions import Captions
from server.services.chat import Chat
from server.services.clock import Clock
from server.services.credits import Credits
from server.services.desk import Desk
from server.services.doorman import Doorman
from server.services.drain import Drain
from server.services.endings import Endings
from server.services.feeds import Feeds
from server.services.holdmusic import HoldMusic
from server.services.ice import IceServers
from server.services.keyring import Keyring
from server.services.kicks import Kicks
from server.services.limits import Limit, Limits
from server.services.lines import LineKeeper, LinePolicy
from server.services.listeners import Listeners
from server.services.listening import Listening
from server.services.marks import Marks
from server.services.media_events import MediaEvents
from server.services.outputs import Outputs
from server.services.permanent import PermanentRooms
from server.services.pins import PinGuard
from server.services.places import Places
from server.services.presence import Presence
from server.services.quality import QualityWatch
from server.services.radio import Radio
from server.services.readers import Readers
from server.services.reconcile import Reconciler
from server.services.recorder import Recorder, RecorderPolicy
from server.services.resume import ResumeTokens
from server.services.rooms import Rooms
from server.services.sessions import Sessions
from server.services.signalling import Signalling
from server.services.sounds import Sounds
from server.services.spent import Spent
from server.services.standing import Standings
from server.services.stream_keys import StreamKeys
from server.services.tokens import Shared, Signer, Tokens
from server.services.uploads import UploadPlane, Uploads
from server.services.webhooks import Webhooks
from server.supervise import Supervisor


@dataclass(frozen=True, slots=True)
class Ground:
    """What the services stand on; all of it is open."""

    store: StateStore
    keyring: Keyring
    signer: Signer
    clock: Clock
    mixer: MixingPlane
    broadcast: BroadcastPlane
    decoder: SoundDecoder
    sound: SoundProcesses
    hook_sender: HookSender = field(default_factory=HttpHookSender)
    is_up: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
    shared: Shared = field(default_factory=Shared)
    static: Path = field(default_factory=static_folder)
    turn_secret: str = ""
    upload: UploadPlane | None = None


@dataclass(frozen=True, slots=True)
class Services:
    """The wired services, and what keeps them going."""

    context: Context
    specs: Reconciler[RoomSpec]
    streams: Reconciler[BroadcastSpec]
    media: MediaEvents

    def keep(self, supervisor: Supervisor) -> None:
        """Start everything that runs by itself; it ends with the supervisor."""
        presence = self.context.presence
        _ = supervisor.keep_running(Pulse(self.context.registry).run, name="pulse")
        self.context.announcer.serve(supervisor.scope("announcer"))
        self.context.webhooks.serve(supervisor.scope("webhooks"))
        self.context.radio.serve(supervisor.scope("radio"))
        self.context.outputs.serve(supervisor.scope("outputs"))
        _ = supervisor.keep_running(self.context.webhooks.run, name="webhooks")
        _ = supervisor.keep_running(self.specs.run, name="room specs")
        _ = supervisor.keep_running(self.streams.run, name="broadcast specs")
        _ = supervisor.keep_running(self.context.listening.keys.run, name="stream keys")
        rooms = self.context.rooms
        credits_ = Credits(self.context.broadcast, rooms, presence)
        self.context.radio.speaking, rooms.when_changed = credits_.of, credits_.look
        rooms.when_gone = _each(rooms.when_gone, credits_.forget_room)
        _ = supervisor.keep_running(credits_.run, name="credits")
        _ = supervisor.keep_running(partial(self._hear, credits_), name="mixer events")
        _ = supervisor.keep_running(presence.announcements.run, name="announcements")
        _ = supervisor.keep_running(
            QualityWatch(self.context.mixer, presence).run, name="quality watch"
        )
        _ = supervisor.keep_running(self.context.recorder.run, name="recordings")
        _ = supervisor.keep_running(self.context.uploads.run, name="uploads")
        Housekeeping(self.context).keep(supervisor)

    async def _hear(self, credits_: Credits) -> None:
        async for event in self.context.mixer.events():
            self.media.handle(event)
            self.context.announcer.handle(event)
            self.context.standings.handle(event)
            credits_.handle(event)

    async def load(self) -> None:
        """Read what the store holds, before anything else. Raises StoreLost."""
        await self.context.keys.load()
        await self.context.signalling.spent.load()
        await self.context.rooms.load()
        await self.context.permanent.follow(self.context.settings.rooms)
        await self.context.listening.sessions.load({room.id for room in self.context.rooms.all()})
        await self.context.recorder.load()
        await self.context.lines.load()
        await self.context.desk.load()
        await self.context.webhooks.load()
        await self.context.outputs.load()


def recordings_folder(settings: Settings) -> Path:
    """Return where recordings of arrivals are kept."""
    return settings.record_arrivals or settings.state_dir / "arrivals"


def archive_folder(settings: Settings) -> Path:
    """Return where recordings are kept."""
    return settings.recordings_dir or settings.state_dir / "recordings"


def upload_folder(settings: Settings) -> Path:
    """Return where it is kept what is known of uploads."""
    return settings.state_dir / "upload"


def _archive(settings: Settings) -> Archive:
    return Archive(archive_folder(settings), upload_folder(settings) / "recordings")


def _auto_policy(settings: Settings) -> AutoPolicy:
    return AutoPolicy(
        pattern=settings.auto_rooms,
        limit=settings.auto_rooms_limit,
        is_open=settings.auto_rooms_open,
        max_anchors=settings.room_anchors,
        lifetime_s=settings.room_lifetime_s or None,
    )


def _uploads(
    settings: Settings, plane: UploadPlane | None, recorder: Recorder, keys: StreamKeys
) -> Uploads:
    """Return what tells the upload of recordings; keys are kept for what is not sent yet."""
    uploads = Uploads(plane, recorder, are_recordings_sent=settings.upload_what != "broadcast")
    if settings.upload_what != "recordings":
        keys.holders.append(uploads.oldest_msn)
    return uploads


def build(settings: Settings, ground: Ground) -> Services:
    """Wire the services; nothing is started, read or written."""
    clock, registry = ground.clock, CollectorRegistry()
    store = TimedStore(ground.store, registry)
    # Above every version of a former life of this process, should a plane have outlived it.
    first_version = int(clock.unix() * 1000)
    specs = Reconciler(ground.mixer.apply, first_version)
    streams = Reconciler(ground.broadcast.apply, first_version)
    presence = Presence(specs, clock.monotonic, settings.resume_s, settings.lobby_s)
    rooms = Rooms(store, presence, specs, streams, clock)
    rooms.pins = PinGuard(settings.pin_tries, clock.monotonic)
    announcer = Announcer(ground.mixer, ground.decoder, presence)
    chat = Chat(rooms, presence, clock)
    rooms.warnings_s, rooms.studio = settings.room_warnings_s, studio_of(settings)
    endings = Endings(ground.broadcast, clock.monotonic)
    rooms.before_end, rooms.when_over = endings.keep, endings.close
    arrivals = ArrivalsKeeper(
        rooms, presence, clock, is_every_room=settings.record_arrivals is not None
    )
    webhooks = Webhooks(store, ground.hook_sender, clock)
    recorder = Recorder(store, rooms, presence, clock, _archive(settings))
    _wire_recorder(recorder, settings, rooms, ground.broadcast)
    for source in (rooms, presence, announcer, arrivals, recorder):
        source.happened = webhooks.happened
    rooms.make_key = ground.signer.stream_key
    tokens = Tokens(ground.keyring, ground.signer, clock.unix, ground.shared)
    spent = Spent.over(store, clock)
    access = Access(ground.keyring, tokens, rooms, presence, lifetimes_of(settings))
    access.ending = endings.get
    keys = StreamKeys(store, rooms, clock, rotation_of(settings))
    listening = _listening(access, keys, store, clock)
    uploads = _uploads(settings, ground.upload, recorder, keys)
    kicks = Kicks(store, clock, settings.join_token_s)
    presence.tickets.kick_mark = kicks.mark
    desk = Desk(store, rooms, presence, kicks, access.refusal_s)
    resume = ResumeTokens(ground.keyring.resume, clock.unix, settings.join_token_s)
    doorman = Doorman(rooms, presence, desk, tokens, resume, settings.join_token_s, recorder.notice)
    presence.when_lobby_ends = doorman.open_doors
    signalling = Signalling(
        rooms,
        presence,
        tokens,
        ground.mixer,
        specs,
        spent,
        resume=resume,
        desk=desk,
        doorman=doorman,
        chat=chat,
        captions=Captions(rooms, ground.broadcast, Readers(presence), clock),
        recorder=recorder,
    )
    feeds = Feeds(ground.broadcast, clock)
    sounds = sounds_of(settings)
    standings = Standings(signalling, clock.monotonic, settings.live_listeners)

    context = Context(
        settings=settings,
        static=ground.static,
        clock=clock,
        limits=Limits(limits_of(settings), clock.monotonic),
        store=store,
        rooms=rooms,
        presence=presence,
        access=access,
        listening=listening,
        keys=ApiKeys(store, clock.now),
        signer=ground.signer,
        signalling=signalling,
        standings=standings,
        ice=IceServers(
            settings.ice_servers, ground.turn_secret, settings.turn_credentials_s, clock.unix
        ),
        lines=LineKeeper(store, rooms, presence, policy_of(settings)),
        arrivals=arrivals,
        recorder=recorder,
        uploads=uploads,
        shelf=FolderShelf(recordings_folder(settings)),
        desk=desk,
        announcer=announcer,
        sounds=sounds,
        hold_music=HoldMusic(sounds, ground.decoder),
        webhooks=webhooks,
        endings=endings,
        audience=Audience(clock.monotonic),
        captions=signalling.captions,
        radio=Radio(rooms, feeds, ground.sound, clock, places_of(settings)),
        outputs=Outputs(store, rooms, feeds, ground.sound, clock),
        auto_rooms=AutoRooms(rooms, _auto_policy(settings)),
        marks=Marks(store),
        permanent=PermanentRooms(store, rooms),
        mixer=ground.mixer,
        broadcast=ground.broadcast,
        registry=registry,
        drain=Drain(presence),
        is_up=ground.is_up,
    )
    rooms.when_gone = _each(
        *(announcer.forget, chat.forget, standings.forget_room, recorder.forget_room),
        *(listening.forget_room, kicks.forget_room, context.audience.forget_room),
        *(context.outputs.forget_room, signalling.captions.readers.forget),
    )
    rooms.when_revoked = partial(_end_hearing, context)
    return Services(context, specs, streams, MediaEvents(presence))


def _listening(access: Access, keys: StreamKeys, store: StateStore, clock: Clock) -> Listening:
    listeners = Listeners(clock)
    return Listening(access, keys, listeners, Sessions(store, clock, listeners))


async def _end_hearing(context: Context, room: RoomId, user: UserId) -> None:
    """End at once whatever a person hears who was taken out."""
    context.listening.listeners.forget(room, user)
    context.radio.revoke(room, user)
    await context.standings.revoke(room, user)


def _each(*told: Callable[[RoomId], None]) -> Callable[[RoomId], None]:
    """Return what tells all of them of a room."""

    def tell(room: RoomId) -> None:
        for one in told:
            one(room)

    return tell


def _wire_recorder(
    recorder: Recorder, settings: Settings, rooms: Rooms, broadcast: BroadcastPlane
) -> None:
    recorder.policy = recorder_policy_of(settings)
    broadcast.reported = recorder.hear
    rooms.recording, rooms.before_removal = recorder.spec, recorder.finish_room
    rooms.when_withheld = recorder.withhold


# Made of settings that may change while the server runs; `reload` makes them anew.


def limits_of(settings: Settings) -> dict[Limit, int]:
    """Return how often a minute each caller may do what."""
    return {limit: getattr(settings, f"limit_{limit.value}") for limit in Limit}


def places_of(settings: Settings) -> Places:
    """Return how many may listen to the radio."""
    return Places(settings.limit_radio_room, settings.limit_radio_address)


def lifetimes_of(settings: Settings) -> Lifetimes:
    """Return how long tokens are good for."""
    return Lifetimes(
        settings.join_token_s,
        settings.listen_token_s,
        settings.admin_cookie_s,
        settings.listen_session_s,
    )


def rotation_of(settings: Settings) -> Rotation:
    """Return when the keys of broadcasts change."""
    return Rotation(settings.broadcast_key_segments)


def studio_of(settings: Settings) -> Studio:
    """Return how broadcasts are made."""
    return Studio(
        part_frames(settings.broadcast_part_ms),
        tuple(1000 * one for one in settings.broadcast_bitrates),
        float(settings.broadcast_window_s),
        Container(settings.broadcast_container),
        None if settings.broadcast_loudness_lufs == "off" else settings.broadcast_loudness_lufs,
        hold=str(settings.hold_music or ""),
        sounds=str(settings.announcements_dir or ""),
    )


def policy_of(settings: Settings) -> LinePolicy:
    """Return what is allowed of plain RTP."""
    return LinePolicy(settings.rtp_port, settings.forward_to)


def recorder_policy_of(settings: Settings) -> RecorderPolicy:
    """Return what the operator decided about recordings."""
    return RecorderPolicy(
        automatic=Automatic(settings.record_default),
        template=settings.recording_name,
        min_free_bytes=settings.recordings_min_free_mb * 1_000_000,
        retention=Retention(
            age_s=settings.recordings_keep_days * 86_400 or None,
            total_bytes=settings.recordings_keep_mb * 1_000_000 or None,
        ),
    )


def sounds_of(settings: Settings) -> Sounds:
    """Return where sound files come from."""
    limit_bytes = settings.announcement_limit_mb * 1_000_000
    return Sounds(settings.state_dir, settings.announcements_dir, limit_bytes)
