"""The command line's way to a running server: its API, with the key of its state folder."""

import asyncio
import json
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from server.compose.authority import certificate_path
from server.config import Settings
from server.errors import SetupMistake
from server.services.keyring import read_private
from server.sources import load

TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is, and what opens it."""

    url: str
    key: str
    authority: Path | None = None

    def __repr__(self) -> str:
        return f"Server({self.url})"  # never the key

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Call the API. Raises SetupMistake with the server's own sentence."""
        return asyncio.run(self._call(method, path, body))

    async def _call(self, method: str, path: str, body: object) -> dict[str, Any]:
        tls = ssl.create_default_context()
        if self.authority is not None:
            tls.load_verify_locations(self.authority)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        headers = {"Authorization": f"Bearer {self.key}"}
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=headers) as http,
                http.request(
                    method, self.url + path, json=body, ssl=tls, allow_redirects=False
                ) as answer,
            ):
                said = json.loads(await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SetupMistake(
                f"No server answers at {self.url} ({error}): start it, or name it with --url"
            ) from None
        except ValueError:
            raise SetupMistake(f"What answers at {self.url} is no Roomtone") from None
        if not isinstance(said, dict) or answer.status >= 400:
            sentence = said.get("error") if isinstance(said, dict) else None
            raise SetupMistake(f"{self.url} says: {sentence or answer.status}")
        return said


def find_server(url: str | None, key_file: Path | None, state_dir: Path | None) -> Server:
    """Return the server meant by these options and the ROOMTONE_ variables. Raises SetupMistake."""
    settings = load({} if state_dir is None else {"state_dir": state_dir}, os.environ)
    path = key_file or settings.state_dir / "admin.key"
    key = read_private(path)
    if not key:
        raise SetupMistake(
            f"There is no key in {path}: name the folder of the server with --state-dir,"
            " or a file with an API key with --key-file"
        )
    authority = certificate_path(settings.state_dir)
    return Server((url or _own_url(settings)).rstrip("/"), key, _if_there(authority))


def _own_url(settings: Settings) -> str:
    scheme = "https" if settings.is_tls else "http"
    host = settings.bind_host
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _if_there(path: Path) -> Path | None:
    return path if path.is_file() else None
