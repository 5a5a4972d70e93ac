"""Who signs: this process with keys of its own, a signing server, or this process as one."""

import asyncio
import secrets
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import structlog

from server.config import Settings, option, variable
from server.edge.signing_client import RemoteSigner, remote_signer
from server.errors import SetupMistake
from server.services.clock import Clock
from server.services.keyring import SECRET_BYTES, read_private, write_private
from server.services.signing_keys import LocalSigner, SigningKeys
from server.services.tokens import Shared, Signer
from server.state.lock import LockFile
from server.supervise import Supervisor

log = structlog.get_logger(__name__)

KEY_FILE: Final = "signing.key"


async def open_signer(
    settings: Settings, clock: Clock, supervisor: Supervisor, stack: AsyncExitStack
) -> Signer:
    """Return who signs for a server of rooms, until the stack is closed. Raises SetupMistake."""
    if not settings.signing_url:
        return await open_keys(settings.state_dir, clock, stack)
    if (settings.state_dir / "signing.json").exists():
        log.warning(
            "private_keys_here",
            path=str(settings.state_dir / "signing.json"),
            what="they are not used: move them to the signing server, or remove them",
        )

    def spawn(signer: RemoteSigner) -> None:
        _ = supervisor.keep_running(signer.run, name="signing keys")

    key_path = settings.signing_key or settings.state_dir / KEY_FILE
    cache = settings.state_dir / "jwks.json"
    return await stack.enter_async_context(
        remote_signer(settings.signing_url, key_path, cache, spawn)
    )


async def open_keys(folder: Path, clock: Clock, stack: AsyncExitStack) -> LocalSigner:
    """Own the private keys in `folder` until the stack is closed. Raises SetupMistake."""
    lock = await asyncio.to_thread(LockFile.acquire, folder / "signing.lock")
    stack.callback(lock.release)
    return LocalSigner(await asyncio.to_thread(SigningKeys.open, folder, clock.unix))


def open_signing_key(folder: Path) -> str:
    """Return what a server of rooms must show, made if there is none. Raises SetupMistake."""
    path = folder / KEY_FILE
    key = read_private(path)
    if not key:
        key = secrets.token_urlsafe(SECRET_BYTES)
        write_private(path, key + "\n")
        log.info("signing_key_made", path=str(path))
    return key


def read_shared(settings: Settings) -> Shared:
    """Return the secrets shared with another system. Raises SetupMistake."""
    return Shared(
        _secret("shared_join_secret", settings.shared_join_secret),
        _secret("shared_listen_secret", settings.shared_listen_secret),
    )


def _secret(key: str, path: Path | None) -> bytes | None:
    if path is None:
        return None
    secret = read_private(path).encode()
    if len(secret) < SECRET_BYTES:
        raise SetupMistake(
            f"{path} must hold {SECRET_BYTES} characters or more (RFC 7518, 3.2), else its tokens"
            f" could be made by trying: see {option(key)} (or {variable(key)})"
        )
    return secret
