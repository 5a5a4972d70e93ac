"""A large answer of a server, written to a file as it comes."""

import asyncio
import json
import os
from pathlib import Path
from typing import IO, Final

import aiohttp

from server.client.api import Api, unreachable
from server.client.errors import ClientError, Exit, refused

PIECE_BYTES: Final = 1 << 18
QUIET_S: Final = 30.0  # a server that says nothing for so long is away


async def download(api: Api, address: str, target: Path) -> int:
    """Write what is at an address to a file that is not there yet; return its bytes.

    What could not be fetched whole is removed again. Raises ClientError.
    """
    headers = {"Authorization": f"Bearer {api.target.key}"} if api.target.key else {}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=QUIET_S, sock_read=QUIET_S)
    url = api.target.url.rstrip("/") + address
    try:
        async with api.session.get(
            url, headers=headers, allow_redirects=False, timeout=timeout
        ) as answer:
            if answer.status != 200:
                raise _refused(answer.status, await answer.content.read(PIECE_BYTES))
            file = await asyncio.to_thread(_open_new, target)
            try:
                with file:
                    return await _fill(file, answer)
            except BaseException:
                await asyncio.to_thread(target.unlink, missing_ok=True)
                raise
    except (aiohttp.ClientError, TimeoutError) as error:
        raise unreachable(api.target.url, error) from None


async def _fill(file: IO[bytes], answer: aiohttp.ClientResponse) -> int:
    total = 0
    async for piece in answer.content.iter_chunked(PIECE_BYTES):
        try:
            total += await asyncio.to_thread(file.write, piece)
        except OSError as error:
            raise _unwritten(Path(file.name), error) from None
    return total


def _open_new(target: Path) -> IO[bytes]:
    try:
        return open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")  # noqa: PTH123 - a descriptor
    except FileExistsError:
        raise ClientError(
            f"{target} is there already: choose another name with --out", Exit.MISTAKE
        ) from None
    except OSError as error:
        raise _unwritten(target, error) from None


def _unwritten(target: Path, error: OSError) -> ClientError:
    return ClientError(f"{target} cannot be written: {error.strerror}", Exit.MISTAKE)


def _refused(status: int, content: bytes) -> ClientError:
    try:
        told = json.loads(content)
        return refused(status, str(told.get("code", "")), str(told.get("error", "")))
    except (ValueError, AttributeError, RecursionError):
        return ClientError(f"The server answers {status}")
