"""Resume tokens, and what attackers do with them."""

import base64

import pytest

from mixer.types import RoomId
from server.domain.identity import UserId
from server.services.resume import ResumeTokens
from tests.server.services.people import ADA, BOB
from tests.support.clock import FakeClock

DEMO, OTHER = RoomId("demo"), RoomId("other")
TICKET = "0123456789abcdef" * 2


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_700_000_000.0)


@pytest.fixture
def tokens(clock: FakeClock) -> ResumeTokens:
    return ResumeTokens(b"s" * 32, clock, 60)


def test_theirs(tokens: ResumeTokens) -> None:
    """A person's own token gives the ticket back."""
    assert tokens.open(tokens.seal(DEMO, ADA, TICKET), DEMO, ADA) == TICKET


@pytest.mark.parametrize(
    ("room", "user"), [(DEMO, BOB), (OTHER, ADA), (RoomId(f"demo/{ADA}"), UserId(""))]
)
def test_anothers(tokens: ResumeTokens, room: RoomId, user: UserId) -> None:
    """It is worth nothing to another person, in another room, or where the two run together."""
    assert tokens.open(tokens.seal(DEMO, ADA, TICKET), room, user) == ""


def test_expiry(tokens: ResumeTokens, clock: FakeClock) -> None:
    """It is good until its time is over, and no longer."""
    token = tokens.seal(DEMO, ADA, TICKET)
    clock.advance(59)
    assert tokens.open(token, DEMO, ADA) == TICKET
    clock.advance(1)
    assert tokens.open(token, DEMO, ADA) == ""


def test_secrecy(tokens: ResumeTokens) -> None:
    """Nothing can be read from it, and two of the same ticket are not alike."""
    token = tokens.seal(DEMO, ADA, TICKET)
    raw = base64.urlsafe_b64decode(token + "==")
    assert bytes.fromhex(TICKET) not in raw
    assert b"demo" not in raw
    assert tokens.seal(DEMO, ADA, TICKET) != token


def test_every_flipped_bit(tokens: ResumeTokens) -> None:
    """No bit of it can be changed."""
    raw = base64.urlsafe_b64decode(tokens.seal(DEMO, ADA, TICKET) + "==")
    for bit in range(8 * len(raw)):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        token = base64.urlsafe_b64encode(changed).decode().rstrip("=")
        assert tokens.open(token, DEMO, ADA) == ""


@pytest.mark.parametrize("token", ["", "x", "????", "é" * 20, "A" * 257, "A" * 256, "\ud800", "=="])
def test_no_token(tokens: ResumeTokens, token: str) -> None:
    """What is no token is none."""
    assert tokens.open(token, DEMO, ADA) == ""


def test_another_server(tokens: ResumeTokens, clock: FakeClock) -> None:
    """Another server's token is none here."""
    other = ResumeTokens(b"t" * 32, clock, 60)
    assert tokens.open(other.seal(DEMO, ADA, TICKET), DEMO, ADA) == ""
