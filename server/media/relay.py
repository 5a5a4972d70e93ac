"""The way of an RTMP client to its server: to one address that was looked at, by TLS if need be.

libavformat would look the name up by itself, go wherever that leads by then, and take any
certificate. So it is given a port of this process, which goes to that address and no other.
"""

import asyncio
import ssl
import threading
from concurrent.futures import Future
from typing import Final

from server.media.wire import Publish

CONNECT_S: Final = 10.0
_LOOPBACK: Final = "127.0.0.1"
_CHUNK_BYTES: Final = 65_536


class Unreachable(Exception):  # noqa: N818 - what it is
    """The server cannot be reached; the sentence says why."""


class Relay:
    """Carries one connection, on a thread of its own that ends with the process."""

    def __init__(self, order: Publish, tls: ssl.SSLContext | None = None) -> None:
        """Prepare; `tls` are other authorities than the system's."""
        self._order = order
        self._tls = (tls or ssl.create_default_context()) if order.tls else None
        self._port: Future[int] = Future()

    def open(self) -> int:
        """Connect, and return the port on loopback that leads there. Raises Unreachable."""
        threading.Thread(target=self._run, name="relay", daemon=True).start()
        return self._port.result()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                upstream = await self._connect()
        except TimeoutError:
            self._port.set_exception(Unreachable("The server does not answer"))
            return
        except ssl.SSLError as error:
            sentence = f"The server's certificate is not accepted: {error.reason or 'TLS failed'}"
            self._port.set_exception(Unreachable(sentence))
            return
        except OSError as error:
            sentence = f"The server cannot be reached: {error.strerror or 'no connection'}"
            self._port.set_exception(Unreachable(sentence))
            return
        came: asyncio.Future[_Line] = asyncio.get_running_loop().create_future()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if came.done():
                writer.close()
            else:
                came.set_result((reader, writer))

        async with await asyncio.start_server(accept, _LOOPBACK, 0) as server:
            self._port.set_result(server.sockets[0].getsockname()[1])
            here = await came
        await _carry(here, upstream)

    async def _connect(self) -> "_Line":
        name = self._order.host if self._tls else None
        return await asyncio.open_connection(
            self._order.address, self._order.port, ssl=self._tls, server_hostname=name
        )


_Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _carry(here: _Line, there: _Line) -> None:
    """Carry bytes both ways until either side ends."""
    ways = [
        asyncio.ensure_future(_copy(here[0], there[1])),  # noqa: TID251 - a loop of its own
        asyncio.ensure_future(_copy(there[0], here[1])),  # noqa: TID251
    ]
    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    for _, writer in (here, there):
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # the end of this side, whichever
