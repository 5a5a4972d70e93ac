"""Tokens: what is accepted, and how what is not is refused."""

import itertools
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.types import RoomId
from server.domain.grants import DEFAULT_RIGHTS, Right, Role
from server.domain.identity import UserId
from server.errors import BadToken
from server.services.keyring import Keyring
from server.services.tokens import Audience, Grant, Tokens
from tests.support.clock import FakeClock

USER = UserId("11111111-2222-4333-8444-555555555555")
GRANT = Grant(RoomId("demo"), USER, Role.HOST, pin=True, session="s", display_name="Ada")
AUDIENCES = [one for one in Audience if one is not Audience.ADMIN]


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return Keyring.open(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_700_000_000.0)


@pytest.fixture
def tokens(keyring: Keyring, clock: FakeClock) -> Tokens:
    return Tokens(keyring, clock)


@pytest.mark.parametrize("audience", AUDIENCES)
def test_round_trip(tokens: Tokens, audience: Audience) -> None:
    """A token grants what it was minted for."""
    assert tokens.verify(tokens.mint(audience, GRANT, 60).token, audience) == GRANT


def test_explicit_grants(tokens: Tokens) -> None:
    """A token may carry grants of its own, or none at all; without, the role's hold."""
    few = replace(GRANT, explicit=frozenset({Right.KICK}))
    none = replace(GRANT, explicit=frozenset())
    for grant in (few, none):
        assert tokens.verify(tokens.mint(Audience.JOIN, grant, 60).token, Audience.JOIN) == grant
    assert few.rights == {Right.KICK}
    assert not none.rights
    assert GRANT.rights == DEFAULT_RIGHTS[Role.HOST]


def test_admin(tokens: Tokens) -> None:
    """An admin token needs neither room nor person."""
    minted = tokens.mint(Audience.ADMIN, Grant(), 60)
    assert tokens.verify(minted.token, Audience.ADMIN) == Grant()


def test_expiry(tokens: Tokens, clock: FakeClock) -> None:
    """A token is good until its time is over, and then says that it expired."""
    minted = tokens.mint(Audience.JOIN, GRANT, 60)
    clock.advance(59)
    tokens.verify(minted.token, Audience.JOIN)
    clock.advance(1)
    with pytest.raises(BadToken, match="expired"):
        tokens.verify(minted.token, Audience.JOIN)


@pytest.mark.parametrize(("made", "shown"), list(itertools.permutations(Audience, 2)))
def test_other_purpose(tokens: Tokens, made: Audience, shown: Audience) -> None:
    """A token for one purpose is worthless for any other."""
    with pytest.raises(BadToken, match="for something else"):
        tokens.verify(tokens.mint(made, GRANT, 60).token, shown)


def test_other_server(tokens: Tokens, tmp_path: Path, clock: FakeClock) -> None:
    """A token of another server is foreign."""
    foreign = Tokens(Keyring.open(tmp_path), clock).mint(Audience.JOIN, GRANT, 60)
    with pytest.raises(BadToken, match="not made here"):
        tokens.verify(foreign.token, Audience.JOIN)


def test_no_algorithm(tokens: Tokens) -> None:
    """A token that claims to need no signature is refused."""
    claims = {"aud": "join", "exp": 2**40, "iat": 0, "jti": "x", "roomId": "demo", "userId": USER}
    with pytest.raises(BadToken):
        tokens.verify(jwt.encode(claims, "", algorithm="none"), Audience.JOIN)


@pytest.mark.parametrize(
    "change",
    [
        {"exp": None},
        {"exp": "soon"},
        {"exp": 1.5e308},
        {"iat": None},
        {"jti": None},
        {"roomId": "a/b"},
        {"roomId": 5},
        {"userId": "root"},
        {"role": "king"},
        {"pin": "yes"},
        {"grants": "kick"},
    ],
)
def test_wrong_claims(tokens: Tokens, keyring: Keyring, change: dict[str, Any]) -> None:
    """Claims that cannot be are malformed, even with our signature."""
    claims = {"aud": "join", "exp": 2**40, "iat": 0, "jti": "x", "roomId": "demo", "userId": USER}
    claims = {key: value for key, value in (claims | change).items() if value is not None}
    with pytest.raises(BadToken, match="not a token"):
        tokens.verify(jwt.encode(claims, keyring.join, algorithm="HS256"), Audience.JOIN)


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "é.é.é", "x" * 100_000, "..", "\0"])
def test_malformed(tokens: Tokens, text: str) -> None:
    """What is no token says so."""
    with pytest.raises(BadToken, match="not a token"):
        tokens.verify(text, Audience.JOIN)


@given(st.text() | st.from_regex(r"eyJ[\w-]{0,40}\.[\w-]{0,40}\.[\w-]{0,40}"))
def test_any_text(text: str) -> None:
    """Any text is refused by a BadToken and nothing else."""
    with suppress(BadToken):
        _ANY.verify(text, Audience.LISTEN)
        raise AssertionError("accepted")


@given(position=st.integers(0, 10_000), character=st.characters(codec="ascii"))
def test_changed_character(position: int, character: str) -> None:
    """A token with one character changed is refused, or means the same."""
    token = _ANY.mint(Audience.JOIN, GRANT, 60).token
    at = position % len(token)
    with suppress(BadToken):
        assert _ANY.verify(token[:at] + character + token[at + 1 :], Audience.JOIN) == GRANT


class _FixedKeys:
    join = listen = admin = b"k" * 32


_ANY = Tokens(_FixedKeys(), lambda: 1_700_000_000.0)  # type: ignore[arg-type]
