"""What gets into the log, and what never does."""

import json
import logging

import pytest
import structlog
from aiohttp.http_exceptions import BadHttpMessage

from server.compose.logs import HIDDEN, configure, hide_secrets, is_not_noise
from server.config import Settings

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJyb29tSWQiOiJkZW1vIn0.c2lnbmF0dXJl"


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Away from a terminal every line is JSON, the standard library's too."""
    configure(Settings())
    structlog.get_logger("a").info("hello", room="demo")
    logging.getLogger("b").warning("old %s", "style")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["event"], first["room"], first["level"]) == ("hello", "demo", "info")
    assert (second["event"], second["level"]) == ("old style", "warning")


def test_level(capsys: pytest.CaptureFixture[str]) -> None:
    """What is less important than the setting is left out."""
    configure(Settings(log_level="warning"))
    structlog.get_logger("a").info("quiet")
    logging.getLogger("b").info("quiet")
    assert capsys.readouterr().err == ""


def test_console(capsys: pytest.CaptureFixture[str]) -> None:
    """The console format is for people."""
    configure(Settings(log_format="console"))
    structlog.get_logger("a").info("hello", room="demo")
    assert "room=demo" in capsys.readouterr().err


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_traceback(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    """A traceback is in the log, without the values of variables and without tokens."""
    configure(Settings.model_validate({"log_format": log_format}))
    pin = "in-a-variable".upper()
    try:
        int(f"/ws?token={JWT}")
    except ValueError:
        structlog.get_logger("a").exception("failed")
    text = capsys.readouterr().err
    assert "ValueError" in text
    assert JWT not in text
    assert pin not in text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"GET /ws?token={JWT} x", f"GET /ws?token={HIDDEN} x"),
        ("/join/demo#invite=abc", f"/join/demo#invite={HIDDEN}"),
        ("a?x=1&token=abc&y=2", f"a?x=1&token={HIDDEN}&y=2"),
        ("Authorization: Bearer abc", f"Authorization: Bearer {HIDDEN}"),
        ("key rt_0123456789ab_" + "x" * 43 + "!", f"key rt_0123456789ab_{HIDDEN}!"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_hidden_text(text: str, left: str) -> None:
    """Secrets in addresses, headers and tokens are hidden, the rest is left."""
    assert hide_secrets(None, "info", {"event": text}) == {"event": left}


def test_hidden_jwt() -> None:
    """A token is hidden wherever it stands."""
    event = hide_secrets(None, "info", {"event": f"got {JWT}!", "n": 5})
    assert JWT.split(".")[2] not in str(event["event"])
    assert event["n"] == 5


@pytest.mark.parametrize("key", ["token", "pin", "admin_secret", "jtoken", "Authorization"])
def test_hidden_key(key: str) -> None:
    """What is called a secret is one."""
    assert hide_secrets(None, "info", {key: "abc"}) == {key: HIDDEN}


def test_noise() -> None:
    """Broken HTTP of a stranger leaves no traceback; an error of ours does."""
    record = logging.LogRecord("a", 40, "p", 1, "m", None, (None, BadHttpMessage("x"), None))  # type: ignore[arg-type]
    ours = logging.LogRecord("a", 40, "p", 1, "m", None, (ValueError, ValueError("x"), None))
    assert (is_not_noise(record), is_not_noise(ours)) == (False, True)
