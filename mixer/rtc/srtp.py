"""SRTP in place: libsrtp called on the rows of a block."""

from collections.abc import Sequence
from typing import Any

from pylibsrtp import Error, Session
from pylibsrtp._binding import ffi, lib

from mixer.rtc.block import ROW_BYTES, DatagramBlock

MAX_TRAILER_BYTES = 144  # SRTP_MAX_TRAILER_LEN: what protect may write behind a packet
MAX_PAYLOAD_BYTES = ROW_BYTES - MAX_TRAILER_BYTES - 32  # 32: our own header

_OK = 0
_NO_CONTEXT = -1


class RowPointers:
    """The cffi pointers to a block's rows and lengths, made once (100 ns each, every packet)."""

    def __init__(self, block: DatagramBlock) -> None:
        self._block = block  # keeps the memory alive
        data = ffi.cast("char *", block.data.ctypes.data)
        lengths = ffi.cast("int *", block.lengths.ctypes.data)
        self.rows: list[Any] = [data + row * ROW_BYTES for row in range(block.capacity)]
        self.lengths: list[Any] = [lengths + row for row in range(block.capacity)]


class SrtpContext:
    """One direction of one connection. Made from the sessions aiortc derives from the handshake."""

    __slots__ = ("_session", "handle")

    def __init__(self, session: Session) -> None:
        self._session = session
        self.handle: Any = session._srtp[0]  # noqa: SLF001 - held by the contract test

    def protect_rtcp(self, packet: bytes) -> bytes | None:
        """Return the SRTCP packet, None if libsrtp refuses."""
        try:
            return bytes(self._session.protect_rtcp(packet))
        except (Error, ValueError):
            return None

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        """Return the RTCP packet, None if it is not authentic."""
        try:
            return bytes(self._session.unprotect_rtcp(packet))
        except (Error, ValueError):
            return None


def protect_rows(pointers: RowPointers, contexts: Sequence[Any]) -> list[int]:
    """Protect rows 0..len(contexts) in place, lengths included; return those that failed.

    A row that failed still holds clear text: the caller must not send it.
    """
    protect = lib.srtp_protect
    statuses = [
        _NO_CONTEXT if context is None else protect(context, row, length)
        for context, row, length in zip(contexts, pointers.rows, pointers.lengths, strict=False)
    ]
    return [row for row, status in enumerate(statuses) if status != _OK]


def unprotect_row(pointers: RowPointers, row: int, context: SrtpContext) -> bool:
    """Verify and decrypt one row in place, its length included; False if it is not authentic."""
    return bool(
        lib.srtp_unprotect(context.handle, pointers.rows[row], pointers.lengths[row]) == _OK
    )
