"""API keys as they are stored."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from server.domain.api_key import (
    ApiKey,
    Scope,
    decode_api_key,
    encode_api_key,
    id_of,
    missing,
)
from server.errors import BadRecord

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
KEY = ApiKey("0" * 12, "Grafana", frozenset({Scope.METRICS}), "ab" * 32, NOON, NOON, NOON)
TEXT = f"rt_{'0' * 12}_{'x' * 43}"


def test_round_trip() -> None:
    """What is stored is read again."""
    assert decode_api_key(KEY.id, "/keys/x", encode_api_key(KEY)) == KEY


def test_unknown_scopes() -> None:
    """A scope of a newer server gives nothing here."""
    stored = json.loads(encode_api_key(KEY))
    stored["scopes"].append("fly")
    assert decode_api_key(KEY.id, "/keys/x", json.dumps(stored).encode()).scopes == KEY.scopes


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "short"},
        {"version": 2},
        {"scopes": "all"},
        {"createdAt": "2026-01-02T03:04:05"},
        {"expiresAt": "2026-01-02T03:04:05"},
        {"usedAt": "soon"},
        {"name": 5},
    ],
)
def test_bad_records(change: dict[str, Any]) -> None:
    """A record that cannot be is named by its key."""
    stored = json.loads(encode_api_key(KEY)) | change
    with pytest.raises(BadRecord, match="/keys/x"):
        decode_api_key(KEY.id, "/keys/x", json.dumps(stored).encode())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (TEXT, "0" * 12),
        (TEXT + "x", None),
        (TEXT[:-1], None),
        (TEXT.replace("rt_", "RT_"), None),
        (TEXT + "\n", None),
        ("", None),
        ("rt_../../etc_" + "x" * 43, None),
    ],
)
def test_id_of(text: str, found: str | None) -> None:
    """Only the exact form has an id."""
    assert id_of(text) == found


def test_is_over() -> None:
    """A key ends at its time; one without an end never does."""
    assert KEY.is_over(NOON)
    assert not KEY.is_over(NOON - timedelta(seconds=1))
    assert not ApiKey("0" * 12, "", frozenset(), "", NOON).is_over(NOON + timedelta(days=10**5))


def test_missing() -> None:
    """What is wanted and not held is named in the order of the scopes."""
    wanted = [Scope.KEYS, Scope.PEOPLE, Scope.METRICS]
    assert missing(wanted, {Scope.METRICS}) == [Scope.PEOPLE, Scope.KEYS]
