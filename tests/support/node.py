"""One server without sockets: real services and store, fake planes and clocks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mixer.types import PlaneEvent
from server.compose.build import Ground, Services, build
from server.config import Settings
from server.edge.hook_sender import HttpHookSender
from server.ports import PlaneLost
from server.services.access import Access
from server.services.clock import Clock
from server.services.keyring import Keyring
from server.services.presence import Farewell, Presence
from server.services.rooms import Rooms
from server.services.signalling import Session
from server.services.signing_keys import LocalSigner, SigningKeys
from server.services.tokens import Audience, Grant
from server.services.verifying import SIGNED
from server.state.sqlite import SqliteStore, open_store
from tests.support.clock import FakeClock
from tests.support.planes import FakeBroadcast, FakeDecoder, FakeMixer, FakeSoundProcesses

NOON = 1_700_000_000.0
SDP = "v=0\r\noffer\r\n"


class FakeClient:
    """A socket that keeps what was sent and why it ended."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.farewell: Farewell | None = None

    def push(self, text: str) -> None:
        self.texts.append(text)

    def end(self, why: Farewell) -> None:
        self.farewell = why


class Node:
    def __init__(self, folder: Path, store: SqliteStore, settings: Settings) -> None:
        self.folder = folder
        self.store = store
        self.settings = settings
        self.monotonic = FakeClock(5000.0)
        self.unix = FakeClock(NOON)
        self.clock = Clock(self.monotonic, self.unix, "boot")
        self.keyring = Keyring.open(folder)
        self.signing = SigningKeys.open(folder, self.unix)
        self.mixer = FakeMixer()
        self.broadcast = FakeBroadcast()
        self.decoder = FakeDecoder()
        self.sound = FakeSoundProcesses()
        self.hook_sender = HttpHookSender(settings.webhook_networks, call_s=0.5)
        self.services = self.build()

    def build(self) -> Services:
        """Wire new services on the same ground, as a restarted process would."""
        ground = Ground(
            self.store,
            self.keyring,
            LocalSigner(self.signing),
            self.clock,
            self.mixer,
            self.broadcast,
            self.decoder,
            self.sound,
            self.hook_sender,
            is_up={"mixer": lambda: not self.mixer.is_away},
        )
        return build(self.settings, ground)

    @property
    def rooms(self) -> Rooms:
        return self.services.context.rooms

    def hear(self, event: PlaneEvent | PlaneLost) -> None:
        """Take what the mixer says."""
        self.services.media.handle(event)

    @property
    def presence(self) -> Presence:
        return self.services.context.presence

    @property
    def access(self) -> Access:
        return self.services.context.access

    def advance(self, seconds: float) -> None:
        self.monotonic.advance(seconds)
        self.unix.advance(seconds)

    async def settle(self) -> None:
        """Give the planes all that is wanted of them."""
        for room in self.services.specs.rooms_due():
            await self.services.specs.settle(room)
        for room in self.services.streams.rooms_due():
            await self.services.streams.settle(room)

    def session(self, grant: Grant) -> tuple[Session, FakeClient]:
        client = FakeClient()
        return Session(self.services.context.signalling, grant, client), client

    def join_token(self, grant: Grant, ttl_s: int = 3600) -> str:
        return self.token(Audience.JOIN, grant, ttl_s)

    def listen_token(self, grant: Grant, ttl_s: int = 3600) -> str:
        return self.token(Audience.LISTEN, grant, ttl_s)

    def token(self, audience: Audience, grant: Grant, ttl_s: int = 3600) -> str:
        """Make a token of any kind without waiting."""
        tokens = self.services.context.signalling.tokens
        if audience in SIGNED:
            return self.signing.sign(audience, tokens._claims(audience, grant, ttl_s)[0])
        return tokens.mint(audience, grant, ttl_s).token


@asynccontextmanager
async def open_node(folder: Path, **options: Any) -> AsyncIterator[Node]:
    """A node whose rooms are loaded; nothing runs by itself."""
    settings = Settings(state_dir=folder, **options)
    async with open_store(folder / "state.db") as store:
        node = Node(folder, store, settings)
        await node.services.load()
        yield node
        await node.hook_sender.close()
