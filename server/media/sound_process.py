"""Processes that are fed with a room's sound: MP3 encoders and RTMP publishers."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from hls.core.soundpart import SoundPart
from server.domain.output import Target
from server.domain.reach import Reach
from server.errors import Forbidden, OutputFailed
from server.media import wire
from server.media.child import program
from server.media.environment import worker_environment
from server.media.log_relay import MAX_LINE_BYTES, relay_log
from server.rpc.codec import Notification, encode, parse
from server.rpc.errors import InvalidRequest, ParseError
from server.rpc.framing import FrameError, FrameKind, FrameReader, frame_head
from server.supervise import Supervisor

MOST_BEHIND_BYTES: Final = 65_536  # four seconds of 128 kb/s that it has not taken
LOOK_UP_S: Final = 10.0
_MAX_ANSWER_BYTES: Final = 65_536
_MAX_SENTENCE: Final = 300
_READ_BYTES: Final = 65_536
_STRANGE: Final = "Its process said what it should not"
_NOT_ALLOWED: Final = (
    "is no address that outputs may go to: name its network in the setting output_networks"
)


class WorkerSoundProcesses:
    """A `SoundProcesses`: each is a process of its own, ended with who reads it."""

    def __init__(
        self,
        supervisor: Supervisor,
        networks: tuple[str, ...] = (),
        *,
        command: Sequence[str] | None = None,
    ) -> None:
        """`networks` (CIDR) may be published to although they are private."""
        self._spawn = supervisor.spawn
        self._reach = Reach(networks)
        self._command = command or program()

    def check(self, target: Target) -> None:
        """See SoundProcesses."""
        try:
            is_allowed = self._reach.allows(target.host)
        except ValueError:  # a name: looked up when it is called
            return
        if not is_allowed:
            raise Forbidden(f"{target.host} {_NOT_ALLOWED}")

    async def encoder(self) -> "WorkerSoundProcess":
        """See SoundProcesses."""
        return await self._start("mp3")

    async def publisher(self, target: Target) -> "WorkerSoundProcess":
        """See SoundProcesses."""
        address = await self._address(target)
        process = await self._start("publish")
        process.order(
            wire.Publish(
                address=address,
                host=target.host,
                port=target.port,
                tls=target.scheme == "rtmps",
                app=target.app,
                key=target.key,
                base=target.base,
            )
        )
        return process

    async def _address(self, target: Target) -> str:
        """Return the address of a name that may be called, now: names can move."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LOOK_UP_S):
                found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except TimeoutError:
            raise OutputFailed("Its name is not found in time") from None
        except (OSError, UnicodeError):
            raise OutputFailed("Its name is not found") from None
        for *_, place in found:
            if self._reach.allows(str(place[0])):
                return str(place[0])
        raise OutputFailed(f"{target.host} {_NOT_ALLOWED}")

    async def _start(self, verb: str) -> "WorkerSoundProcess":
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await self._exec(verb, theirs)
            reader, writer = await asyncio.open_unix_connection(sock=ours)
        except OSError as error:
            ours.close()
            raise OutputFailed(f"Its process cannot be started: {error.strerror}") from None
        assert process.stderr is not None, "it was asked for"
        # Ends with the process.
        _ = self._spawn(relay_log(process.stderr, process=verb), name=f"{verb} log")
        return WorkerSoundProcess(process, reader, writer)

    async def _exec(self, verb: str, theirs: socket.socket) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._command,
            "worker",
            verb,
            json.dumps({"control_fd": theirs.fileno()}),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=MAX_LINE_BYTES,
            pass_fds=[theirs.fileno()],
            env=worker_environment(),
            start_new_session=True,
        )


class WorkerSoundProcess:
    """One such process."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.last_words = ""
        self._process = process
        self._reader = reader
        self._writer = writer
        self._frames = FrameReader(max_bytes=_MAX_ANSWER_BYTES)
        self._answers: list[bytes] = []

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def order(self, order: wire.Publish) -> None:
        """Say what is to be done. Not by its arguments, which everybody on the machine sees."""
        text = encode(Notification("publish", order.model_dump(mode="json")))
        self._send(FrameKind.JSON, text.encode())

    def feed(self, first_frame: int, part: SoundPart) -> bool:
        """See SoundProcess."""
        if self._writer.transport.get_write_buffer_size() > MOST_BEHIND_BYTES:
            return False
        self._send(FrameKind.SOUND, wire.part_body(first_frame, part))
        return True

    async def read(self) -> bytes:
        """See SoundProcess."""
        while not self._answers:
            try:
                data = await self._reader.read(_READ_BYTES)
            except OSError:
                data = b""
            if not data:
                self.last_words = self.last_words or await self._cause_of_death()
                raise OutputFailed(self.last_words)
            self._take(data)
        return self._answers.pop(0)

    async def close(self) -> None:
        """End the process; it has nothing to tidy up that its server does not see by itself."""
        self._writer.close()
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    def _send(self, kind: FrameKind, body: bytes) -> None:
        self._writer.write(frame_head(kind, len(body)) + body)

    def _take(self, data: bytes) -> None:
        try:
            frames = self._frames.feed(data)
        except FrameError:
            raise self._failed(_STRANGE) from None
        for one in frames:
            if one.kind is FrameKind.BLOB:
                self._answers.append(one.body)
            else:
                raise self._failed(_sentence(one.body))

    def _failed(self, sentence: str) -> OutputFailed:
        self.last_words = sentence
        return OutputFailed(sentence)

    async def _cause_of_death(self) -> str:
        status = await self._process.wait()
        if status == -signal.SIGALRM:
            return "The other side takes nothing any more"
        return f"Its process ended (status {status})"


def _sentence(body: bytes) -> str:
    """Return the sentence of a `failed`."""
    try:
        said = parse(body)
    except (ParseError, InvalidRequest):
        return _STRANGE
    if isinstance(said, Notification) and said.method == "failed" and isinstance(said.params, dict):
        return str(said.params.get("sentence"))[:_MAX_SENTENCE]
    return _STRANGE
