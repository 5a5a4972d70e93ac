"""Settings that change while the server runs."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from hls.types import Container
from mixer.types import RoomId
from server.compose import logs
from server.compose.reload import RELOADABLE, Reloader
from server.config import Settings
from server.domain.air import Studio
from server.domain.configured_room import ConfiguredRoom
from server.edge.proxies import Proxies
from server.errors import PinLocked, SetupMistake, StoreLost, WrongPin
from server.services.rooms import Wanted
from server.sources import Loaded
from tests.support.node import Node, open_node


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    async with open_node(tmp_path, forward_to=("192.0.2.0/24",)) as made:
        yield made


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "configure", lambda _settings: None)


class Tls:
    """Notes whose certificate shall be shown."""

    def __init__(self) -> None:
        self.loaded: list[str] = []

    def follow(self, settings: Settings) -> None:
        self.loaded.append(f"{settings.tls_cert} {settings.tls_key}")


def reloader(node: Node, tls: Tls | None = None, **changes: object) -> Reloader:
    wanted = node.settings.model_copy(update=changes)
    return Reloader(
        node.services, lambda: Loaded(wanted, {}), lambda _: None, (tls or Tls()).follow
    )


async def test_in_force(node: Node) -> None:
    """What can change does, where it is used; what cannot is named and stays."""
    changes: dict[str, Any] = {
        "resume_s": 7,
        "join_token_s": 100,
        "forward_to": ("198.51.100.0/24",),
        "announcement_limit_mb": 3,
        "announcements_dir": node.folder,
        "access_log": True,
        "listen_session_s": 3600,
        "broadcast_key_segments": 30,
        "broadcast_bitrates": (96,),
        "broadcast_window_s": 600,
        "broadcast_container": "ts",
        "broadcast_loudness_lufs": "off",
        "hold_music": node.folder / "jazz.ogg",
        "port": 1,
        "udp_port": 2,
    }
    change = reloader(node, **changes).reload()
    assert change is not None
    kept = {"port", "udp_port", "broadcast_container"}
    assert set(change.kept) == kept
    assert set(change.changed) == set(changes) - kept
    context = node.services.context
    assert context.rooms.studio == Studio(
        15,
        (96_000,),
        600.0,
        Container.FMP4,
        hold=str(node.folder / "jazz.ogg"),
        sounds=str(node.folder),
    )
    assert (context.presence.resume_s, context.access.lifetimes.join_s) == (7, 100)
    assert context.access.lifetimes.session_s == 3600
    assert context.listening.keys.rotation.every == 30
    assert context.lines.policy.forward_to == ("198.51.100.0/24",)
    assert (context.sounds.limit_bytes, context.sounds.folder) == (3_000_000, node.folder)
    assert context.settings.access_log
    assert context.settings.port == node.settings.port


async def test_rooms_of_the_configuration(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are named now are made, and for good; a store that is away is waited for."""
    context = node.services.context
    reloader(node, rooms=(ConfiguredRoom(id="lobby"),)).reload()

    async def fail(*_: object, **__: object) -> None:
        raise StoreLost("the disk is full")

    with monkeypatch.context() as broken, capture_logs() as logs:
        broken.setattr(node.store, "commit", fail)
        await context.permanent.follow(context.settings.rooms)
    assert [line["event"] for line in logs] == ["permanent_rooms_wait"]
    await context.permanent.follow(context.settings.rooms)
    assert context.rooms.permanent == {"lobby"}
    made = context.rooms.get(RoomId("lobby"))
    await context.rooms.change(made.id, lambda room: replace(room, name="By REST"))
    await context.permanent.follow(context.settings.rooms)
    assert context.rooms.get(made.id).name == "By REST"
    reloader(node, rooms=()).reload()
    await context.permanent.follow(context.settings.rooms)
    assert context.rooms.permanent == frozenset()
    assert context.rooms.get(made.id).name == "By REST"


async def test_fewer_tries(node: Node) -> None:
    """`pin_tries` counts for those who tried before, too."""
    room = await node.rooms.create(Wanted(pin="a1b2c3"))
    reloader(node, pin_tries=2).reload()
    for _ in range(2):
        with pytest.raises(WrongPin):
            node.rooms.pins.check(room, "zzzzzz", "192.0.2.1")
    with pytest.raises(PinLocked):
        node.rooms.pins.check(room, "a1b2c3", "192.0.2.1")


async def test_other_proxies(node: Node) -> None:
    """Whom `trusted_proxy` names now is believed, and nobody it named before."""
    proxies = Proxies(lambda: node.services.context.settings)
    reloader(node, trusted_proxy=("192.0.2.0/24",)).reload()
    assert proxies.is_trusted("192.0.2.1")
    reloader(node, trusted_proxy=("198.51.100.0/24",)).reload()
    assert not proxies.is_trusted("192.0.2.1")
    assert proxies.is_trusted("198.51.100.1")


async def test_wrong_settings_change_nothing(node: Node) -> None:
    """Neither what cannot be read nor a certificate that is no good changes anything."""

    def refuse(_settings: object = None) -> Loaded:
        raise SetupMistake("x.toml:3: prot is not a setting")

    def check(_settings: Settings) -> None:
        raise SetupMistake("the key is another's")

    wanted = node.settings.model_copy(update={"resume_s": 1})
    for one in (
        Reloader(node.services, refuse, lambda _: None, Tls().follow),
        Reloader(node.services, lambda: Loaded(wanted, {}), check, Tls().follow),
    ):
        with capture_logs() as logs:
            assert one.reload() is None
        assert [line["event"] for line in logs] == ["settings_kept"]
    assert node.services.context.settings == node.settings
    assert node.presence.resume_s == node.settings.resume_s


async def test_certificates_are_read_anew(tmp_path: Path) -> None:
    """Also where their names stay: they are renewed in place."""
    names = {"tls_cert": Path("/c"), "tls_key": Path("/k")}
    async with open_node(tmp_path, **names) as node:
        tls = Tls()
        reloader(node, tls).reload()
        change = reloader(node, tls, tls_cert=Path("/d")).reload()
    assert tls.loaded == ["/c /k", "/d /k"]
    assert change is not None
    assert change.changed == ("tls_cert",)


async def test_what_has_no_socket(tmp_path: Path) -> None:
    """TLS cannot be turned on, nor a forwarder allowed where no port was opened for one."""
    async with open_node(tmp_path) as node:
        wanted: dict[str, Any] = {
            "tls_cert": Path("/c"),
            "tls_key": Path("/k"),
            "forward_to": ("10.0.0.0/8",),
        }
        change = reloader(node, **wanted).reload()
    assert change is not None
    assert set(change.kept) == set(wanted)
    assert not change.changed


def test_all_are_settings_and_documented() -> None:
    """The list names settings, and the documentation names the list."""
    text = Path("docs/configuration.md").read_text()
    line = next(line for line in text.splitlines() if line.startswith("`forward_to`, "))
    assert set(line.strip(".").replace("`", "").split(", ")) == RELOADABLE
    assert set(Settings.model_fields) >= RELOADABLE
