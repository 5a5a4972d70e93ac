"""Settings from options, variables, files and defaults."""

import re
from pathlib import Path

import pytest

from server.compose.toml import default_toml
from server.config import Settings, variable
from server.errors import SetupMistake
from server.sources import check_file, default_places, is_secret, read


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for key in Settings.model_fields:
        monkeypatch.delenv(variable(key), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def write(folder: Path, text: str) -> Path:
    path = folder / "roomtone.toml"
    path.write_text(text)
    return path


def test_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An option beats its variable, that the file, that the default; each says who spoke."""
    path = write(tmp_path, "port = 1\nresume_s = 2\nhost = '::1'\n")
    given = {variable("port"): "10", variable("resume_s"): "20"}
    for name, text in given.items():
        monkeypatch.setenv(name, text)
    loaded = read({"port": 100}, given, path)
    settings = loaded.settings
    assert (settings.port, settings.resume_s, settings.host) == (100, 20, "::1")
    assert [loaded.origin(key) for key in ("port", "resume_s", "host", "mixers")] == [
        "--port",
        "ROOMTONE_RESUME_S",
        f"{path}:3",
        "default",
    ]


def test_places(tmp_path: Path) -> None:
    """The file of ROOMTONE_CONFIG is read, else the first of the default places that exists."""
    xdg = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert default_places(xdg)[0] == tmp_path / "roomtone" / "roomtone.toml"
    assert default_places({"XDG_CONFIG_HOME": "relative"})[0].is_relative_to(Path.home())
    (tmp_path / "roomtone").mkdir()
    write(tmp_path / "roomtone", "port = 1")
    assert read({}, xdg).settings.port == 1
    named = write(tmp_path, "port = 2")
    assert read({}, xdg | {"ROOMTONE_CONFIG": str(named)}).settings.port == 2
    with pytest.raises(SetupMistake, match="gone cannot be read: No such file"):
        read({}, {"ROOMTONE_CONFIG": "/gone"})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("# x\n\nprot = 1", r"toml:3: prot is not a setting: did you mean port\?"),
        ("udp-port = 1", r"toml:1: udp-port is not a setting: did you mean udp_port\?"),
        ("[http]\nport = 1", r"toml:1: http is not a setting"),
        ("xyzzy = 1", "`roomtone config` prints all"),
        ("host = 'a'\nport = 70000", r"toml:2: port: .*65535, not 70000"),
        ("port = true", "toml:1: port: it must not be true or false"),
        ("port = \n", "is no TOML: .*line 1"),
        ("port = 1\nport = 2\n\n", "is no TOML: "),
        ("tls_cert = '/c'", "give both or neither"),
        ("a = " + "[" * 5000, "is no TOML"),
        ("#" * ((1 << 20) + 1), "is too large"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, sentence: str) -> None:
    """A file that is wrong is refused with the place, what it is, and what was meant."""
    path = write(tmp_path, text)
    with pytest.raises(SetupMistake, match=sentence):
        read({}, {}, path)
    with pytest.raises(SetupMistake, match=sentence):
        check_file(path)


def test_not_text(tmp_path: Path) -> None:
    """A file that is no UTF-8, or a folder, is refused with a sentence."""
    path = tmp_path / "x.toml"
    path.write_bytes(b"host = '\xff'")
    with pytest.raises(SetupMistake, match="is no TOML"):
        read({}, {}, path)
    with pytest.raises(SetupMistake, match="cannot be read"):
        read({}, {}, tmp_path)


def test_check_is_of_the_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of this shell neither makes a file right nor wrong."""
    monkeypatch.setenv("ROOMTONE_API_OPEN", "true")
    settings = check_file(write(tmp_path, "host = '0.0.0.0'"))
    assert settings.host == "0.0.0.0"
    assert settings.model_fields_set == {"host"}


def test_value_in_a_file(tmp_path: Path) -> None:
    """A variable with _FILE behind it names a file with the value, without its last newline."""
    secret = tmp_path / "secret"
    secret.write_text("https://a.example\n")
    name = "ROOMTONE_PUBLIC_URL_FILE"
    loaded = read({}, {name: str(secret)})
    assert loaded.settings.public_url == "https://a.example"
    assert loaded.origin("public_url") == name
    with pytest.raises(SetupMistake, match="are both set"):
        read({}, {name: str(secret), "ROOMTONE_PUBLIC_URL": "https://b.example"})
    with pytest.raises(SetupMistake, match="_FILE names /gone: No such file"):
        read({}, {name: "/gone"})
    secret.write_bytes(b"\xff")
    with pytest.raises(SetupMistake, match="which is no text"):
        read({}, {name: str(secret)})
    secret.write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(SetupMistake, match="too large"):
        read({}, {name: str(secret)})


def test_empty_is_not_set(tmp_path: Path) -> None:
    """Where a setting may be absent, an empty text in the file says so."""
    assert read({}, {}, write(tmp_path, "tcp_port = ''")).settings.tcp_port is None


def test_other_variables() -> None:
    """What the other verbs read is no unknown setting to the server."""
    read({}, {"ROOMTONE_URL": "http://x", "ROOMTONE_KEY": "k", "ROOMTONE_KEY_FILE": "/k"})
    with pytest.raises(SetupMistake, match="did you mean ROOMTONE_CONFIG"):
        read({}, {"ROOMTONE_CONFIGS": "x"})


def test_default_file_is_the_defaults(tmp_path: Path) -> None:
    """The printed file changes nothing, and with all its lines in force it says the defaults."""
    text = default_toml()
    assert read({}, {}, write(tmp_path, text)).origins == {}
    everything = re.sub(r"^#(\w+ = )", r"\1", text, flags=re.MULTILINE)
    loaded = read({}, {}, write(tmp_path, everything))
    assert loaded.settings == Settings()
    assert set(Settings.model_fields) - set(loaded.origins) <= {
        key
        for key, field in Settings.model_fields.items()
        if field.get_default(call_default_factory=True) is None
    }


@pytest.mark.parametrize("key", Settings.model_fields)
def test_default_file_explains(key: str) -> None:
    """Every setting is in the printed file, with its own words."""
    flat = re.sub(r"\n# ", " ", default_toml())
    assert f"\n#{key} = " in flat
    assert str(Settings.model_fields[key].description) in flat


def test_secrets() -> None:
    """What is named like a secret is one; the address of a key file is none."""
    assert is_secret("turn_secret")
    assert not is_secret("tls_key")
    assert not any(is_secret(key) for key in ("host", "join_token_s"))
