"""Tokens: what is accepted, and how what is not is refused."""

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import stat
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from mixer.types import RoomId
from server.domain.grants import DEFAULT_RIGHTS, Right, Role
from server.domain.identity import UserId
from server.errors import BadRecord, BadToken, SetupMistake
from server.services.keyring import Keyring
from server.services.signing_keys import LONGEST_TOKEN_S, LocalSigner, SigningKeys
from server.services.tokens import CLOCK_SKEW_S, Audience, Grant, Shared, Tokens
from server.services.verifying import SIGNED, VerifyingKeys, read_jwks
from tests.support.clock import FakeClock

NOON = 1_700_000_000
NOTHING = Shared()
USER = UserId("11111111-2222-4333-8444-555555555555")
GRANT = Grant(RoomId("demo"), USER, Role.HOST, pin=True, display_name="Ada", made="1f")
AUDIENCES = [one for one in Audience if one is not Audience.ADMIN]
CLAIMS: dict[str, Any] = {
    "aud": "join",
    "exp": 2**40,
    "iat": 0,
    "jti": "x",
    "roomId": "demo",
    "userId": USER,
}


class Mint:
    """Tokens with the clock and the keys they were made with."""

    def __init__(self, folder: Path, shared: Shared = NOTHING) -> None:
        self.clock = FakeClock(float(NOON))
        self.keyring = Keyring.open(folder)
        self.signing = SigningKeys.open(folder, self.clock)
        self.tokens = Tokens(self.keyring, LocalSigner(self.signing), self.clock, shared)

    def make(self, audience: Audience, grant: Grant = GRANT, ttl_s: int = 60) -> str:
        if audience in SIGNED:
            return asyncio.run(self.tokens.issue(audience, grant, ttl_s)).token
        return self.tokens.mint(audience, grant, ttl_s).token

    def private(self, audience: Audience) -> tuple[str, ec.EllipticCurvePrivateKey]:
        return self.signing._private[audience]

    def sign(self, claims: dict[str, Any], **headers: Any) -> str:
        """Sign anything for joining with the right key."""
        kid, key = self.private(Audience.JOIN)
        return jwt.encode(claims, key, algorithm="ES256", headers={"kid": kid} | headers)


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture
def mint(shared_folder: Path) -> Mint:
    return Mint(shared_folder)


def forged(header: dict[str, Any], claims: dict[str, Any], secret: bytes) -> str:
    """A token signed by HMAC as an attacker would, who asks no library for leave."""

    def text(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    signed = f"{text(header)}.{text(claims)}"
    signature = hmac.digest(secret, signed.encode(), hashlib.sha256)
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@pytest.mark.parametrize("audience", AUDIENCES)
def test_round_trip(mint: Mint, audience: Audience) -> None:
    """A token grants what it was minted for, and knows its own name and end."""
    grant = mint.tokens.verify(mint.make(audience), audience)
    assert grant == GRANT
    assert (len(grant.jti), grant.expires_at) == (32, NOON + 60)


def test_explicit_grants(mint: Mint) -> None:
    """A token may carry grants of its own, or none at all; without, the role's hold."""
    few = replace(GRANT, explicit=frozenset({Right.KICK}))
    none = replace(GRANT, explicit=frozenset())
    for grant in (few, none):
        assert mint.tokens.verify(mint.make(Audience.JOIN, grant), Audience.JOIN) == grant
    assert few.rights == {Right.KICK}
    assert not none.rights
    assert GRANT.rights == DEFAULT_RIGHTS[Role.HOST]


def test_admin(mint: Mint) -> None:
    """An admin token needs neither room nor person."""
    assert mint.tokens.verify(mint.make(Audience.ADMIN, Grant()), Audience.ADMIN) == Grant()


def test_expiry(mint: Mint) -> None:
    """A token is good until its time is over, and then says that it expired."""
    token = mint.make(Audience.JOIN)
    mint.clock.advance(59)
    mint.tokens.verify(token, Audience.JOIN)
    mint.clock.advance(1)
    with pytest.raises(BadToken, match="expired"):
        mint.tokens.verify(token, Audience.JOIN)


def test_from_the_future(mint: Mint) -> None:
    """A token that was made later than now is refused, but for what clocks differ by."""
    mint.tokens.verify(mint.sign(CLAIMS | {"iat": NOON + CLOCK_SKEW_S}), Audience.JOIN)
    with pytest.raises(BadToken, match="future"):
        mint.tokens.verify(mint.sign(CLAIMS | {"iat": NOON + CLOCK_SKEW_S + 1}), Audience.JOIN)


@pytest.mark.parametrize(("made", "shown"), list(itertools.permutations(Audience, 2)))
def test_other_purpose(mint: Mint, made: Audience, shown: Audience) -> None:
    """A token for one purpose is worthless for any other."""
    with pytest.raises(BadToken, match="for something else"):
        mint.tokens.verify(mint.make(made), shown)


def test_wrong_audience(mint: Mint) -> None:
    """A token that names another audience, or none, is refused with the right key too."""
    for claims in (CLAIMS | {"aud": "listen"}, CLAIMS | {"aud": ["listen", "admin"]}):
        with pytest.raises(BadToken, match="for something else"):
            mint.tokens.verify(mint.sign(claims), Audience.JOIN)
    with pytest.raises(BadToken):
        mint.tokens.verify(
            mint.sign({key: value for key, value in CLAIMS.items() if key != "aud"}), Audience.JOIN
        )


def test_other_server(mint: Mint, tmp_path: Path) -> None:
    """A token of another server is foreign, also under a name that we know."""
    other = Mint(tmp_path)
    kid, _ = mint.private(Audience.JOIN)
    _, key = other.private(Audience.JOIN)
    renamed = jwt.encode(CLAIMS, key, algorithm="ES256", headers={"kid": kid})
    for token in (other.make(Audience.JOIN), renamed):
        with pytest.raises(BadToken, match="not made here"):
            mint.tokens.verify(token, Audience.JOIN)


@pytest.mark.parametrize(
    "kid", ["../../../etc/passwd", "/dev/null", "", "0" * 16, "' or 1=1 --", "\0", 5, None, [], {}]
)
def test_foreign_kid(mint: Mint, kid: Any) -> None:
    """A kid is looked up among those we know and is never a path; any other is refused."""
    header = {"alg": "ES256", "typ": "JWT", "kid": kid}
    if kid is None:
        del header["kid"]
    for secret in (b"", b"\0" * 32):
        with pytest.raises(BadToken):
            mint.tokens.verify(forged(header, CLAIMS, secret), Audience.JOIN)


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c"])
def test_keys_in_the_token(mint: Mint, name: str) -> None:
    """A key that a token brings with it, or says where to fetch, is not used."""
    own = ec.generate_private_key(ec.SECP256R1())
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(own.public_key(), as_dict=True)
    value: Any = {"jwk": jwk, "x5c": ["x"]}.get(name, "http://attacker.invalid/keys")
    kid, _ = mint.private(Audience.JOIN)
    headers = {"kid": kid, name: value}
    token = jwt.encode(CLAIMS, own, algorithm="ES256", headers=headers)
    with pytest.raises(BadToken):
        mint.tokens.verify(token, Audience.JOIN)


@pytest.mark.parametrize("audience", Audience)
@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
def test_no_algorithm(mint: Mint, audience: Audience, algorithm: str) -> None:
    """A token that claims to need no signature is refused."""
    kid = mint.private(Audience.JOIN)[0]
    header = {"alg": algorithm, "typ": "JWT", "kid": kid}
    token = forged(header, CLAIMS | {"aud": audience.value}, b"")
    for text in (token, token.rpartition(".")[0] + "."):
        with pytest.raises(BadToken):
            mint.tokens.verify(text, audience)


@pytest.mark.parametrize("shared", [Shared(), Shared(join=b"s" * 32)])
def test_public_key_as_a_secret(shared_folder: Path, shared: Shared) -> None:
    """The public key, in any form, is no secret that HS256 accepts."""
    mint = Mint(shared_folder, shared)
    kid, private = mint.private(Audience.JOIN)
    public = private.public_key()
    forms = [
        public.public_bytes(encoding, form)
        for encoding, form in (
            (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
            (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
            (serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint),
        )
    ]
    jwk = json.dumps(jwt.algorithms.ECAlgorithm.to_jwk(public, as_dict=True)).encode()
    for secret in (*forms, forms[0].strip(), jwk, kid.encode()):
        for header in ({"alg": "HS256", "kid": kid}, {"alg": "HS256"}):
            with pytest.raises(BadToken):
                mint.tokens.verify(forged(header, CLAIMS, secret), Audience.JOIN)


def test_asymmetric_for_our_own(mint: Mint) -> None:
    """What we sign for ourselves by HS256 cannot be signed by any key pair."""
    _, key = mint.private(Audience.JOIN)
    token = jwt.encode(CLAIMS | {"aud": Audience.ADMIN.value}, key, algorithm="ES256")
    with pytest.raises(BadToken):
        mint.tokens.verify(token, Audience.ADMIN)


@pytest.mark.parametrize(
    "change",
    [
        {"exp": None},
        {"exp": "soon"},
        {"exp": 1.5e308},
        {"iat": None},
        {"jti": None},
        {"jti": "x" * 65},
        {"roomId": "a/b"},
        {"roomId": 5},
        {"userId": "root"},
        {"role": "king"},
        {"pin": "yes"},
        {"grants": "kick"},
        {"once": "no"},
    ],
)
def test_wrong_claims(mint: Mint, change: dict[str, Any]) -> None:
    """Claims that cannot be are malformed, even with our signature."""
    claims = {key: value for key, value in (CLAIMS | change).items() if value is not None}
    with pytest.raises(BadToken, match="not a token"):
        mint.tokens.verify(mint.sign(claims), Audience.JOIN)


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "é.é.é", "x" * 100_000, "..", "\0"])
def test_malformed(mint: Mint, text: str) -> None:
    """What is no token says so."""
    for audience in Audience:
        with pytest.raises(BadToken, match="not a token"):
            mint.tokens.verify(text, audience)


def test_rotation(tmp_path: Path) -> None:
    """After a rotation new tokens have a new kid; old ones are good until they could have ended."""
    mint = Mint(tmp_path)
    old = mint.make(Audience.JOIN, ttl_s=LONGEST_TOKEN_S)
    mint.signing.rotate()
    new = mint.make(Audience.JOIN)
    kids = [jwt.get_unverified_header(token)["kid"] for token in (old, new)]
    assert kids[0] != kids[1]
    for token in (old, new):
        assert mint.tokens.verify(token, Audience.JOIN) == GRANT
    restarted = Mint(tmp_path)
    restarted.clock.advance(LONGEST_TOKEN_S - 1)
    assert restarted.tokens.verify(old, Audience.JOIN) == GRANT
    restarted.clock.advance(1)
    assert restarted.signing.verifying.find(kids[0], Audience.JOIN, restarted.clock()) is None


def test_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A good signature is verified once; time, key and purpose are looked at every time."""
    mint = Mint(tmp_path)
    token = mint.make(Audience.LISTEN, ttl_s=3600)
    mint.tokens.verify(token, Audience.LISTEN)
    decode = jwt.decode
    monkeypatch.setattr(jwt, "decode", None)
    mint.tokens.verify(token, Audience.LISTEN)
    monkeypatch.setattr(jwt, "decode", decode)
    with pytest.raises(BadToken):
        mint.tokens.verify(token, Audience.JOIN)
    mint.clock.advance(3600)
    with pytest.raises(BadToken, match="expired"):
        mint.tokens.verify(token, Audience.LISTEN)


def test_remembered_of_a_key_that_is_gone(tmp_path: Path) -> None:
    """A remembered token is refused once its key is known no more."""
    mint = Mint(tmp_path)
    token = mint.make(Audience.LISTEN)
    mint.tokens.verify(token, Audience.LISTEN)
    mint.signing.verifying.replace([])
    with pytest.raises(BadToken, match="not made here"):
        mint.tokens.verify(token, Audience.LISTEN)


def test_memory_is_bounded(mint: Mint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many are remembered, none of them a bad one; the oldest goes first."""
    monkeypatch.setattr("server.services.tokens.MOST_KNOWN", 3)
    tokens = [mint.make(Audience.JOIN) for _ in range(5)]
    for token in (*tokens, "a.b.c", tokens[0][:-2]):
        with suppress(BadToken):
            mint.tokens.verify(token, Audience.JOIN)
    assert [token for _, token in mint.tokens._known] == tokens[2:]


def test_rotations_are_bounded(tmp_path: Path) -> None:
    """Whoever rotates all day long fills no disk, and can still sign."""
    mint = Mint(tmp_path)
    for _ in range(40):
        mint.signing.rotate()
    assert len(read_jwks(json.dumps(mint.signing.verifying.jwks()))) <= 32
    for audience in SIGNED:
        assert Mint(tmp_path).tokens.verify(mint.make(audience), audience) == GRANT


def test_verified_elsewhere(mint: Mint) -> None:
    """The published keys verify, and hold nothing private."""
    text = json.dumps(mint.signing.verifying.jwks())
    assert '"d"' not in text
    elsewhere = VerifyingKeys(read_jwks(text))
    token = mint.make(Audience.LISTEN)
    found = elsewhere.find(jwt.get_unverified_header(token)["kid"], Audience.LISTEN, NOON)
    assert found is not None
    assert jwt.decode(
        token, found.key, algorithms=["ES256"], audience="listen", options={"verify_exp": False}
    )


@pytest.mark.parametrize("text", ["", "{", "[]", '{"keys":5}', '{"keys":[{}]}', "\0"])
def test_no_public_keys(text: str) -> None:
    """What is no JWK set is refused as such."""
    with pytest.raises(BadRecord):
        read_jwks(text)


@pytest.mark.parametrize(
    "change",
    [{"kty": "RSA"}, {"crv": "P-384"}, {"x": "AAAA"}, {"y": "~"}, {"aud": "admin"}, {"kid": ""}],
)
def test_wrong_public_keys(mint: Mint, change: dict[str, Any]) -> None:
    """A key of another kind, or that is no point of the curve, is refused with the whole set."""
    keys: Any = mint.signing.verifying.jwks()["keys"]
    with pytest.raises(BadRecord):
        read_jwks(json.dumps({"keys": [keys[0] | change, keys[1]]}))


@pytest.mark.parametrize("content", ["{", "[]", '{"version":2}', '{"version":1,"keys":[]}'])
def test_damaged_file(tmp_path: Path, content: str) -> None:
    """A damaged file of private keys is named, with what to do, and is not written over."""
    (tmp_path / "signing.json").write_text(content)
    with pytest.raises(SetupMistake, match=r"signing\.json is damaged"):
        SigningKeys.open(tmp_path, FakeClock(0.0))
    assert (tmp_path / "signing.json").read_text() == content


@pytest.mark.parametrize("lost", ["key", "half", "kind"])
def test_incomplete_file(tmp_path: Path, lost: str) -> None:
    """So is one with a key that is none, or without a key for one of the two purposes."""
    SigningKeys.open(tmp_path, FakeClock(0.0))
    path = tmp_path / "signing.json"
    stored = json.loads(path.read_text())
    if lost == "key":
        stored["keys"][0]["pem"] = "nonsense"
    elif lost == "kind":
        stored["keys"][0]["pem"] = (
            ed25519.Ed25519PrivateKey.generate()
            .private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            .decode()
        )
    else:
        del stored["keys"][0]
    path.write_text(json.dumps(stored))
    with pytest.raises(SetupMistake):
        SigningKeys.open(tmp_path, FakeClock(0.0))


def test_private_file(tmp_path: Path) -> None:
    """Nobody else can read the private keys, and they are in no repr."""
    signing = SigningKeys.open(tmp_path, FakeClock(0.0))
    assert stat.S_IMODE((tmp_path / "signing.json").stat().st_mode) == 0o600
    assert "PRIVATE" not in repr(signing)


SECRET = b"MY-secret-key-change-in-production"


def reference(claims: dict[str, Any], secret: bytes = SECRET) -> str:
    return jwt.encode(claims, secret, algorithm="HS256")


def test_reference_tokens(shared_folder: Path) -> None:
    """With the shared secret, the reference's tokens let in: as an anchor, for ever."""
    tokens = Mint(shared_folder, Shared(join=SECRET)).tokens
    grant = tokens.verify(reference({"userId": USER, "roomId": "demo"}), Audience.JOIN)
    assert grant == Grant(RoomId("demo"), USER, Role.ANCHOR)


@pytest.mark.parametrize(
    "more", [{"role": "host"}, {"pin": True}, {"grants": ["kick"]}, {"displayName": "x"}]
)
def test_reference_tokens_grant_nothing_else(shared_folder: Path, more: dict[str, Any]) -> None:
    """What the other system's tokens do not say is not believed."""
    tokens = Mint(shared_folder, Shared(join=SECRET)).tokens
    claims = {"userId": USER, "roomId": "demo"} | more
    assert tokens.verify(reference(claims), Audience.JOIN) == Grant(RoomId("demo"), USER)


@pytest.mark.parametrize(
    "claims",
    [
        {"userId": USER, "roomId": ""},
        {"userId": "", "roomId": "demo"},
        {"roomId": "demo"},
        {"userId": USER, "roomId": "demo", "exp": NOON},
        {"userId": USER, "roomId": "demo", "exp": "never"},
        {"userId": USER, "roomId": "demo", "nbf": NOON + 3600},
        {"userId": USER, "roomId": "demo", "aud": "listen"},
    ],
)
def test_bad_reference_tokens(shared_folder: Path, claims: dict[str, Any]) -> None:
    """Both claims must be there, and times and an audience hold where they are given."""
    tokens = Mint(shared_folder, Shared(join=SECRET)).tokens
    with pytest.raises(BadToken):
        tokens.verify(reference(claims), Audience.JOIN)


def test_reference_secrets_are_for_one_thing(shared_folder: Path) -> None:
    """A shared secret opens what it is for, and nothing where none is set."""
    token = reference({"userId": USER, "roomId": "demo"})
    for shared in (Shared(), Shared(listen=SECRET), Shared(join=b"x" * 32)):
        with pytest.raises(BadToken):
            Mint(shared_folder, shared).tokens.verify(token, Audience.JOIN)
    for audience in (Audience.LISTEN, Audience.ADMIN):
        with pytest.raises(BadToken):
            Mint(shared_folder, Shared(join=SECRET)).tokens.verify(token, audience)
    assert "MY-secret" not in repr(Shared(join=SECRET))


@pytest.fixture(scope="module")
def any_mint(shared_folder: Path) -> Mint:
    return Mint(shared_folder, Shared(listen=SECRET))


@given(text=st.text() | st.from_regex(r"eyJ[\w-]{0,40}\.[\w-]{0,40}\.[\w-]{0,40}"))
def test_any_text(any_mint: Mint, text: str) -> None:
    """Any text is refused by a BadToken and nothing else."""
    with suppress(BadToken):
        any_mint.tokens.verify(text, Audience.LISTEN)
        raise AssertionError("accepted")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(header=st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64"]), _JSON))
def test_any_header(any_mint: Mint, header: dict[str, Any]) -> None:
    """Any header is refused by a BadToken and nothing else."""
    with suppress(BadToken):
        any_mint.tokens.verify(forged(header, CLAIMS, b"x" * 32), Audience.LISTEN)
        raise AssertionError("accepted")


@given(position=st.integers(0, 10_000), character=st.characters(codec="ascii"))
def test_changed_character(any_mint: Mint, position: int, character: str) -> None:
    """A token with one character changed is refused, or means the same."""
    claims, _ = any_mint.tokens._claims(Audience.JOIN, GRANT, 60)
    token = any_mint.signing.sign(Audience.JOIN, claims)
    at = position % len(token)
    with suppress(BadToken):
        changed = token[:at] + character + token[at + 1 :]
        assert any_mint.tokens.verify(changed, Audience.JOIN) == GRANT
