"""Single datagrams on their way out: check answers, DTLS records, RTCP."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from mixer.rtc.block import ROW_BYTES, DatagramBlock
from mixer.rtc.streams import SplitSender

OUTBOX_ROWS = 64


class Outbox:
    """Collects datagrams for several peers and sends them by one call, at once when it is full."""

    def __init__(self, sender: SplitSender, *, counters: Counter[str]) -> None:
        self._sender = sender
        self._counters = counters
        self._block = DatagramBlock(OUTBOX_ROWS)
        self._rows = 0

    def push(self, datagram: bytes, address: NDArray[np.uint8], address_length: int) -> None:
        """Queue a datagram for `address` (uint8[28], of which `address_length` bytes count)."""
        if self._rows >= OUTBOX_ROWS:
            self.flush()
        if len(datagram) > ROW_BYTES:
            self._counters["control_too_long"] += 1
            return
        row, block = self._rows, self._block
        block.data[row, : len(datagram)] = np.frombuffer(datagram, np.uint8)
        block.lengths[row] = len(datagram)
        block.addresses[row] = address
        block.address_lengths[row] = address_length
        self._rows += 1

    def flush(self) -> None:
        """Send what is queued."""
        if self._rows:
            self._sender.send(self._block, self._rows)
            self._rows = 0
