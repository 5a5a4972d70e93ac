"""The server's own secrets, in files only its user may read."""

import hmac
import os
import secrets
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.errors import SetupMistake

SECRET_BYTES = 32  # as long as the hash of HS256 (RFC 7518, 3.2)

_Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Stored(BaseModel):
    """`secrets.json`."""

    model_config = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True)

    version: Annotated[int, Field(le=2)] = 2
    resume: _Hex | None = None  # of version 1, which had `join` and `listen` instead
    admin: _Hex
    firstRun: str | None  # noqa: N815 - the stored name


class Keyring:
    """The secrets of what never leaves this server: resume tokens, admin cookies and their keys.

    Beside them the first-run secret until it is spent.

    The admin key has a file of its own, so that a person can read it there; removing that file
    makes a new key at the next start.
    """

    def __init__(self, folder: Path, stored: _Stored, admin_key: str, *, is_new: bool) -> None:
        self.admin_key_path = folder / "admin.key"
        self.admin_key = admin_key
        self.is_new = is_new
        self._path = folder / "secrets.json"
        self._stored = stored

    def __repr__(self) -> str:
        return f"Keyring({self._path})"  # never the secrets

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read the files in `folder`, making what is missing. Raises SetupMistake."""
        path = folder / "secrets.json"
        stored = _read(path)
        if stored is None or stored.resume is None:
            stored = _Stored(
                resume=secrets.token_hex(SECRET_BYTES),
                admin=secrets.token_hex(SECRET_BYTES) if stored is None else stored.admin,
                firstRun=secrets.token_urlsafe(24) if stored is None else stored.firstRun,
            )
            write_private(path, stored.model_dump_json(indent=2) + "\n")
        admin_path = folder / "admin.key"
        admin_key = read_private(admin_path)
        is_new = not admin_key
        if not admin_key:
            admin_key = secrets.token_urlsafe(24)
            write_private(admin_path, admin_key + "\n")
        return cls(folder, stored, admin_key, is_new=is_new)

    @property
    def resume(self) -> bytes:
        """What resume tokens are sealed with."""
        assert self._stored.resume is not None, "open() makes it"
        return bytes.fromhex(self._stored.resume)

    @property
    def admin(self) -> bytes:
        """What admin cookies are signed with."""
        return bytes.fromhex(self._stored.admin)

    @property
    def first_run(self) -> str | None:
        """The secret of the first-run link; None once somebody has become admin."""
        return self._stored.firstRun

    def spend_first_run(self) -> None:
        """Make the first-run link worthless, for good."""
        if self._stored.firstRun is None:
            return
        self._stored = self._stored.model_copy(update={"firstRun": None})
        write_private(self._path, self._stored.model_dump_json(indent=2) + "\n")


def is_same(shown: str, secret: str) -> bool:
    """Compare in a time that does not tell how much was right."""
    return hmac.compare_digest(shown.encode(errors="replace"), secret.encode())


def write_private(path: Path, text: str) -> None:
    """Write a file for this user only, whole or not at all. Raises SetupMistake."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise SetupMistake(f"{path} cannot be written: {error.strerror}") from None


def read_private(path: Path) -> str:
    """Return what is in such a file, empty if it is not there. Raises SetupMistake."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise SetupMistake(f"{path} cannot be read: {error}") from None


def _read(path: Path) -> _Stored | None:
    text = read_private(path)
    if not text:
        return None
    try:
        return _Stored.model_validate_json(text)
    except ValidationError:
        raise SetupMistake(
            f"{path} is damaged. Restore it from a backup, or remove it: every token and cookie"
            " given out so far is then worthless"
        ) from None
