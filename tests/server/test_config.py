"""Settings from options, variables and defaults."""

import os
from pathlib import Path

import pytest

from server.config import Settings, default_state_dir, option, variable
from server.domain.air import Air, AirBus
from server.errors import SetupMistake
from server.sources import load


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in Settings.model_fields:
        monkeypatch.delenv(variable(key), raising=False)


def test_no_arguments() -> None:
    """Without anything given, only this machine is served."""
    settings = load({}, {})
    assert (settings.bind_host, settings.port, settings.udp_port) == ("127.0.0.1", 8080, 10_000)
    assert settings.is_loopback


@pytest.mark.parametrize(("cores", "mixers"), [(1, 1), (2, 2), (8, 8), (64, 8)])
def test_as_many_mixers_as_cores(monkeypatch: pytest.MonkeyPatch, cores: int, mixers: int) -> None:
    """Those this process may use, not those the machine has; and no more than a firewall opens."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(cores)), raising=False)
    settings = load({}, {})
    assert settings.mixers == mixers
    assert settings.udp_ports == range(10_000, 10_000 + mixers)


@pytest.mark.parametrize(("told", "mixers"), [(4, 4), (None, 1)])
def test_mixers_where_nobody_tells_the_affinity(
    monkeypatch: pytest.MonkeyPatch, told: int | None, mixers: int
) -> None:
    """Then all cores count, or one."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: told)
    assert load({}, {}).mixers == mixers


def test_mixers_need_ports() -> None:
    """As many as there are mixers, from the first on."""
    assert load({"udp_port": 65_534, "mixers": 2}, {}).udp_ports[-1] == 65_535
    with pytest.raises(SetupMistake, match="from 65534 to 65536, and 65535 is the last there is"):
        load({"udp_port": 65_534, "mixers": 3}, {})
    with pytest.raises(SetupMistake, match="choose a lower tcp_port or fewer mixers"):
        load({"tcp_port": 65_535, "mixers": 2}, {})


def test_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option beats its variable, which beats the default."""
    monkeypatch.setenv("ROOMTONE_PORT", "9000")
    assert load({}, {}).port == 9000
    assert load({"port": 9001}, {}).port == 9001


def test_empty_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable counts as not set, as compose files write them."""
    monkeypatch.setenv("ROOMTONE_PORT", "")
    assert load({}, {}).port == 8080


@pytest.mark.parametrize(
    ("name", "hint"),
    [("ROOMTONE_PROT", "did you mean ROOMTONE_PORT"), ("ROOMTONE_XYZZY", "ROOMTONE_HOST")],
)
def test_unknown_variable(name: str, hint: str) -> None:
    """An unknown variable is refused, and the nearest one named."""
    with pytest.raises(SetupMistake, match=f"{name} is not a setting.*{hint}"):
        load({}, {name: "1"})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"port": 70_000}, r"--port \(ROOMTONE_PORT\).*70000"),
        ({"public_ip": "1.2.3"}, "'1.2.3' is not an IP address"),
        ({"tls_cert": "/c.pem"}, "give both or neither"),
        ({"tls_cert": "/c", "tls_key": "/k", "tls": "self-signed"}, "leave tls at off"),
        ({"api_open": True, "host": "0.0.0.0"}, "use it with host=127.0.0.1 only"),
        ({"api_open": True, "tls": "self-signed"}, "can be reached from outside"),
        ({"public_url": "example.org/x"}, "--public-url"),
        ({"host": "h", "nonsense": 1}, "--nonsense"),
    ],
)
def test_refused(options: dict[str, object], sentence: str) -> None:
    """A value that cannot be, or two that do not agree, are refused with what to change."""
    with pytest.raises(SetupMistake, match=sentence):
        load(options, {})


def test_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable holds several addresses with commas between them."""
    monkeypatch.setenv("ROOMTONE_PUBLIC_IP", "192.0.2.1, 2001:db8::1")
    assert load({}, {}).public_ip == ("192.0.2.1", "2001:db8::1")


@pytest.mark.parametrize(
    ("options", "host", "loopback"),
    [
        ({"tls": "self-signed"}, "0.0.0.0", False),
        ({"tls": "self-signed", "host": "127.0.0.1"}, "127.0.0.1", True),
        ({"host": "localhost"}, "localhost", True),
        ({"host": "::1"}, "::1", True),
        ({"host": "box.lan"}, "box.lan", False),
    ],
)
def test_bind_host(options: dict[str, object], host: str, loopback: bool) -> None:  # noqa: FBT001
    """A self-made certificate opens all addresses unless a host was given."""
    settings = load(options, {})
    assert (settings.bind_host, settings.is_loopback) == (host, loopback)


def test_state_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """State goes where XDG says; a relative XDG path is ignored, as the rules want."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_state_dir() == tmp_path / "roomtone"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert default_state_dir() == Path.home() / ".local" / "state" / "roomtone"


def test_names() -> None:
    """A key's option and variable follow from its name."""
    assert (option("udp_port"), variable("udp_port")) == ("--udp-port", "ROOMTONE_UDP_PORT")


def test_key_segments() -> None:
    """Keys change every five segments at most, or never."""
    for text in ("0", "5", "150"):
        assert load({"broadcast_key_segments": text}, {}).broadcast_key_segments == int(text)
    for text in ("1", "4", "-1"):
        with pytest.raises(SetupMistake, match=r"at least 5|greater than"):
            load({"broadcast_key_segments": text}, {})


def test_broadcast() -> None:
    """Parts fit a segment; there are one to four bit rates, all of them AAC's."""
    found = load({"broadcast_part_ms": "192", "broadcast_bitrates": "96, 48"}, {})
    assert (found.broadcast_part_ms, found.broadcast_bitrates) == (192, (96, 48))
    for key, text, sentence in [
        ("broadcast_part_ms", "200", "320 or 192"),
        ("broadcast_bitrates", ",", "one to 4"),
        ("broadcast_bitrates", "16,17,18,19,20", "one to 4"),
        ("broadcast_bitrates", "64,64", "one to 4"),
        ("broadcast_bitrates", "15", "16 to 288"),
        ("broadcast_window_s", "14", "greater than or equal to 15"),
    ]:
        with pytest.raises(SetupMistake, match=sentence):
            load({key: text}, {})


def test_loudness() -> None:
    """A loudness, or none."""
    assert load({}, {}).broadcast_loudness_lufs == -16
    assert load({"broadcast_loudness_lufs": "-23"}, {}).broadcast_loudness_lufs == -23
    assert load({"broadcast_loudness_lufs": "off"}, {}).broadcast_loudness_lufs == "off"
    for wrong in ("-5", "-41", "nan", "loud"):
        with pytest.raises(SetupMistake):
            load({"broadcast_loudness_lufs": wrong}, {})


def test_what_a_configured_room_has_on_air() -> None:
    """Only buses that it has, each once, with a language that is one."""
    room = '{"id": "hall", "buses": ["fr"], "dvr_seconds": 600, "broadcast_buses": [%s]}'
    found = load({"rooms": room % '{"bus": "fr", "language": "fr", "label": "Français"}'}, {})
    assert found.rooms[0].air == Air((AirBus("fr", "fr", "Français"),), 600)
    for wrong in (
        '{"bus": "de"}',
        '{"bus": "fr"}, {"bus": "fr"}',
        '{"bus": "fr", "language": "?"}',
    ):
        with pytest.raises(SetupMistake):
            load({"rooms": room % wrong}, {})


def test_ice_servers() -> None:
    """Addresses are checked, and a relay needs the secret its credentials are made from."""
    settings = load({"ice_servers": "stun:s.example, turn:t.example", "turn_secret_file": "x"}, {})
    assert settings.ice_servers == ("stun:s.example", "turn:t.example")
    assert load({"ice_servers": "stun:s.example"}, {}).turn_secret_file is None
    with pytest.raises(SetupMistake, match="'http://t' is no address such as stun:"):
        load({"ice_servers": "http://t"}, {})
    with pytest.raises(SetupMistake, match="turn_secret_file"):
        load({"ice_servers": "turn:t.example"}, {})
