"""Sound files decoded in processes of their own, one for each: what a file breaks is its own."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from mixer.types import FRAME_SAMPLES
from server.errors import SoundRefused
from server.media.child import program
from server.media.environment import worker_environment
from server.media.log_relay import MAX_LINE_BYTES, relay_log
from server.rpc.codec import Notification, parse
from server.rpc.errors import InvalidRequest, ParseError
from server.rpc.framing import FrameKind
from server.supervise import Supervisor

OPEN_S = 20.0  # a cold start from a slow disk, and ten seconds for the first frame
MAX_CHUNK_FRAMES = 5
_FRAME_BYTES = 2 * FRAME_SAMPLES
_HEAD_BYTES = 5
_MAX_TEXT_BYTES = 4096
_MAX_SENTENCE = 300
_STRANGE = "The decoder said what it should not; the file was given up"


class Opened(BaseModel):
    """The notification `opened`."""

    seconds: Annotated[float, Field(ge=0, le=1e9)] | None = None


class DecoderProcesses:
    """A `SoundDecoder`: a process for each file, ended with its reader at the latest."""

    def __init__(self, supervisor: Supervisor, *, command: Sequence[str] | None = None) -> None:
        self._spawn = supervisor.spawn
        self._command = command or program()

    async def open(self, sound_fd: int, *, is_looped: bool) -> "DecoderProcess":
        """See SoundDecoder."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await self._start(sound_fd, theirs, is_looped=is_looped)
            reader, writer = await asyncio.open_unix_connection(sock=ours)
        except OSError as error:
            ours.close()
            raise SoundRefused(f"The decoder cannot be started: {error.strerror}") from None
        decoding = DecoderProcess(process, reader, writer)
        assert process.stderr is not None, "it was asked for"
        try:
            # Ends with the process.
            _ = self._spawn(relay_log(process.stderr, process="decoder"), name="decoder's log")
            await decoding.wait_opened()
        except BaseException:
            await decoding.close()
            raise
        return decoding

    async def _start(
        self, sound_fd: int, theirs: socket.socket, *, is_looped: bool
    ) -> asyncio.subprocess.Process:
        settings = {"control_fd": theirs.fileno(), "sound_fd": sound_fd, "is_looped": is_looped}
        return await asyncio.create_subprocess_exec(
            *self._command,
            "worker",
            "decoder",
            json.dumps(settings),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=MAX_LINE_BYTES,
            pass_fds=[theirs.fileno(), sound_fd],
            env=worker_environment(),
            start_new_session=True,
        )


class DecoderProcess:
    """One file's process. It is not asked for more than is read: the socket fills, and it waits."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.length_s: float | None = None
        self._process = process
        self._reader = reader
        self._writer = writer

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    async def wait_opened(self) -> None:
        """Wait until it found sound in the file. Raises SoundRefused."""
        try:
            async with asyncio.timeout(OPEN_S):
                said = await self._receive()
        except TimeoutError:
            raise SoundRefused("It takes too long to find sound in this file") from None
        if isinstance(said, bytes) or said.method != "opened":
            raise SoundRefused(_STRANGE)
        with suppress(ValidationError):  # it says it is longer than anything: it does not know
            self.length_s = Opened.model_validate(said.params).seconds

    async def read(self) -> bytes:
        """See Decoding."""
        said = await self._receive()
        if isinstance(said, bytes):
            return said
        if said.method != "over":
            raise SoundRefused(_STRANGE)
        return b""

    async def close(self) -> None:
        """End the process; it has nothing to tidy up."""
        self._writer.close()
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    async def _receive(self) -> bytes | Notification:
        """Return the next chunk or notification; `failed` is raised. Raises SoundRefused."""
        try:
            head = await self._reader.readexactly(_HEAD_BYTES)
            length, kind = int.from_bytes(head[:4], "big"), head[4]
            _check_head(kind, length)
            body = await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError):
            raise SoundRefused(await self._cause_of_death()) from None
        if kind == FrameKind.SOUND:
            return body
        try:
            said = parse(body)
        except (ParseError, InvalidRequest):
            raise SoundRefused(_STRANGE) from None
        if not isinstance(said, Notification):
            raise SoundRefused(_STRANGE)
        if said.method == "failed" and isinstance(said.params, dict):
            raise SoundRefused(str(said.params.get("sentence"))[:_MAX_SENTENCE])
        return said

    async def _cause_of_death(self) -> str:
        status = await self._process.wait()
        if status == -signal.SIGALRM:
            return "The file takes too long to decode"
        if status in {-signal.SIGXCPU, -signal.SIGKILL}:
            return "The file took more computing time than an announcement may have"
        return f"The decoder broke on this file (status {status})"


def _check_head(kind: int, length: int) -> None:
    if kind == FrameKind.SOUND:
        frames, rest = divmod(length, _FRAME_BYTES)
        is_right = 1 <= frames <= MAX_CHUNK_FRAMES and not rest
    else:
        is_right = kind == FrameKind.JSON and length <= _MAX_TEXT_BYTES
    if not is_right:
        raise SoundRefused(_STRANGE)
