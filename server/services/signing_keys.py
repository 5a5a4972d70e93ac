"""The private keys that join and listen tokens are signed with, and the rotation of them."""

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Self

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mixer.types import RoomId
from server.domain.stream import KEY_BYTES
from server.errors import SetupMistake
from server.services.keyring import read_private, write_private
from server.services.verifying import ALGORITHM, SIGNED, Audience, PublicKey, VerifyingKeys

MASTER_BYTES: Final = 32
MOST_KEYS: Final = 32  # of both audiences, retired ones with them: a rotation a week for months
LONGEST_TOKEN_S: Final = 30 * 86_400  # the settings' upper limit


class _StoredKey(BaseModel):
    """One private key; `retiredAt` is Unix seconds, None for the one that signs."""

    model_config = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True)

    kid: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    use: Annotated[Audience, Field(strict=False)]
    pem: str
    retiredAt: int | None = None  # noqa: N815 - the stored name


class _Stored(BaseModel):
    """`signing.json`."""

    model_config = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True)

    version: Annotated[int, Field(le=1)] = 1
    streams: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    keys: Annotated[tuple[_StoredKey, ...], Field(max_length=MOST_KEYS, strict=False)]


class SigningKeys:
    """One key signs for each audience; retired ones stay known until their tokens ran out.

    `streams` is what the keys of broadcasts are derived from. All of it is in one file for this
    user only.
    """

    def __init__(self, path: Path, stored: _Stored, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._stored = stored
        self._private: dict[Audience, tuple[str, ec.EllipticCurvePrivateKey]] = {}
        self.verifying = VerifyingKeys()
        self._read(stored)

    def __repr__(self) -> str:
        return f"SigningKeys({self._path})"  # never the keys

    @classmethod
    def open(cls, folder: Path, clock: Callable[[], float]) -> Self:
        """Read `signing.json` in `folder`, made if it is not there. Raises SetupMistake."""
        path = folder / "signing.json"
        text = read_private(path)
        if text:
            try:
                return cls(path, _Stored.model_validate_json(text), clock)
            except (ValidationError, ValueError, KeyError):
                raise SetupMistake(
                    f"{path} is damaged. Restore it from a backup, or remove it: every token"
                    " given out so far is then worthless"
                ) from None
        stored = _Stored(
            streams=secrets.token_hex(MASTER_BYTES), keys=tuple(_new_key(use) for use in SIGNED)
        )
        _write(path, stored)
        return cls(path, stored, clock)

    def sign(self, audience: Audience, claims: dict[str, object]) -> str:
        """Return a token with these claims, for one of SIGNED."""
        kid, key = self._private[audience]
        return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": kid})

    def rotate(self) -> None:
        """Sign with new keys from now on. Old ones verify as long as a token may live.

        Raises SetupMistake if the file cannot be written; then nothing changes. Blocks.
        """
        now = int(self._clock())
        kept = [
            key if key.retiredAt is not None else key.model_copy(update={"retiredAt": now})
            for key in self._stored.keys
            if key.retiredAt is None or now < key.retiredAt + LONGEST_TOKEN_S
        ]
        # The oldest go first when somebody rotates all day long.
        kept = kept[-(MOST_KEYS - len(SIGNED)) :]
        keys = (*kept, *(_new_key(use) for use in SIGNED))
        stored = self._stored.model_copy(update={"keys": keys})
        _write(self._path, stored)
        self._stored = stored
        self._read(stored)

    def stream_key(self, room: str, epoch: int, salt: str) -> bytes:
        """Return the AES-128 key of a room's broadcast: the same for the same arguments (HKDF)."""
        derived = HKDF(
            algorithm=hashes.SHA256(),
            length=KEY_BYTES,
            salt=hashlib.sha256(salt.encode()).digest(),
            info=f"roomtone stream {room} {epoch}".encode(),
        )
        return derived.derive(bytes.fromhex(self._stored.streams))

    def _read(self, stored: _Stored) -> None:
        public = []
        for key in stored.keys:
            private = serialization.load_pem_private_key(key.pem.encode(), None)
            if not isinstance(private, ec.EllipticCurvePrivateKey):
                raise ValueError("not an EC key")  # noqa: TRY004 - the file's fault, not a caller's
            until = None if key.retiredAt is None else key.retiredAt + LONGEST_TOKEN_S
            public.append(PublicKey(key.kid, key.use, private.public_key(), until))
            if key.retiredAt is None:
                self._private[key.use] = (key.kid, private)
        if set(self._private) != set(SIGNED):
            raise ValueError("a key is missing")
        self.verifying.replace(public)


def _new_key(use: Audience) -> _StoredKey:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return _StoredKey(kid=secrets.token_hex(8), use=use, pem=pem.decode("ascii"))


def _write(path: Path, stored: _Stored) -> None:
    write_private(path, stored.model_dump_json(indent=2) + "\n")


class LocalSigner:
    """Signer with the keys of this process."""

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys

    @property
    def verifying(self) -> VerifyingKeys:
        """The public keys."""
        return self._keys.verifying

    async def sign(self, audience: Audience, claims: dict[str, object]) -> str:
        """Return a token with these claims."""
        return self._keys.sign(audience, claims)

    async def stream_key(self, room: RoomId, epoch: int, salt: str) -> bytes:
        """Return the AES-128 key of a broadcast."""
        return self._keys.stream_key(room, epoch, salt)

    async def rotate(self) -> None:
        """Sign with new keys from now on. Raises SetupMistake."""
        await asyncio.to_thread(self._keys.rotate)
