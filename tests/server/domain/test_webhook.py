"""Webhooks as they are stored and signed."""

import base64

import pytest

from server.domain.webhook import (
    OVERLAP_S,
    Kind,
    Message,
    Secret,
    Webhook,
    check_url,
    decode_message,
    decode_webhook,
    encode_message,
    encode_webhook,
    hook_key,
    message_key,
    secret_text,
    signature,
)
from server.errors import BadInput, BadRecord

HOOK = Webhook("aa", "https://example.org/x", (Secret("whsec_AAAA"),), 5.0, frozenset({Kind.LEFT}))


def test_signature() -> None:
    """The example of the Standard Webhooks specification's own libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    made = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_secret() -> None:
    """A secret is base64 behind a mark."""
    assert base64.b64decode(secret_text(b"0" * 32).removeprefix("whsec_")) == b"0" * 32


def test_rotation() -> None:
    """The old secret signs beside the new one for a day, then no more; older ones are gone."""
    once = HOOK.rotated("whsec_BBBB", 1000.0)
    assert [one.until for one in once.secrets] == [None, 1000.0 + OVERLAP_S]
    assert len(once.signatures("m", 1000, b"").split(" ")) == 2
    later = int(1000 + OVERLAP_S)
    assert once.signatures("m", later, b"") == signature("whsec_BBBB", "m", later, b"")
    assert [one.text for one in once.rotated("whsec_CCCC", 2000.0).secrets] == [
        "whsec_CCCC",
        "whsec_BBBB",
    ]


def test_wants() -> None:
    """No kinds are all kinds."""
    assert HOOK.wants(Kind.LEFT)
    assert not HOOK.wants(Kind.JOINED)
    assert Webhook("b", "https://e.org", (Secret("whsec_"),), 0.0).wants(Kind.PING)


@pytest.mark.parametrize(
    "url", ["https://example.org/a?b=c", "http://127.0.0.1:9000", "https://[::1]/"]
)
def test_urls(url: str) -> None:
    """What can be called."""
    check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.org", "ftp://example.org/", "https://", "https://u:p@example.org/"),
        *("https://example.org/#x", "https://example.org:0/", "https://example.org:99999/"),
        *("https://exa mple.org/", "https://ex\u00e4mple.org/", "https://e.org/\r\nX: y"),
        *("file:///etc/passwd", "https://[::1", "https://e.org/" + "x" * 2048),
    ],
)
def test_no_urls(url: str) -> None:
    """What cannot."""
    with pytest.raises(BadInput):
        check_url(url)


def test_records() -> None:
    """What is stored is read as it was."""
    key = hook_key("aa")
    assert decode_webhook("aa", key, encode_webhook(HOOK)) == HOOK
    message = Message(7, "msg_1", "demo", Kind.LEFT, 1.5, b'{"a":1}')
    key = message_key("aa", 7)
    assert decode_message(key, encode_message(message)) == message
    assert message_key("aa", 9) < message_key("aa", 10)


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b'{"url":1}', b"\xff"])
def test_bad_records(value: bytes) -> None:
    """What is damaged is said to be."""
    with pytest.raises(BadRecord):
        decode_webhook("aa", "key", value)
    with pytest.raises(BadRecord):
        decode_message(message_key("aa", 1), value)


def test_newer_record() -> None:
    """A record of a newer version is left alone, and a message has a number."""
    newer = encode_webhook(HOOK).replace(b'"version":1', b'"version":2')
    with pytest.raises(BadRecord, match="version 2"):
        decode_webhook("aa", "key", newer)
    with pytest.raises(BadRecord, match="number"):
        decode_message("/webhooks/aa/waiting/x", b"{}")
