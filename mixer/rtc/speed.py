"""How long this machine takes to encrypt and decrypt a packet."""

from collections.abc import Callable
from typing import Final

import numpy as np
from pylibsrtp import Policy, Session

from mixer.rtc.block import DatagramBlock
from mixer.rtc.srtp import RowPointers, SrtpContext, protect_rows, unprotect_row

ROWS: Final = 100
ROUNDS: Final = 5
PACKET_BYTES: Final = 260  # 20 ms at 96 kb/s, and the header
_KEY: Final = bytes(range(30))


def srtp_s(clock: Callable[[], float]) -> tuple[float, float]:
    """Return the seconds for one packet out and one in; the fastest of five rounds of a hundred."""
    ways = (Policy.SSRC_ANY_OUTBOUND, Policy.SSRC_ANY_INBOUND)
    outbound, inbound = (SrtpContext(Session(Policy(key=_KEY, ssrc_type=way))) for way in ways)
    block = DatagramBlock(ROWS)
    pointers = RowPointers(block)
    out_s, in_s = [], []
    for number in range(ROUNDS):
        block.data[:, :PACKET_BYTES] = 0
        block.data[:, 0], block.data[:, 1] = 0x80, 111  # RFC 3550 §5.1
        sequence = np.arange(number * ROWS, (number + 1) * ROWS, dtype=">u2")
        block.data[:, 2:4] = sequence.view(np.uint8).reshape(ROWS, 2)
        block.lengths[:] = PACKET_BYTES
        began = clock()
        failed = protect_rows(pointers, [outbound.handle] * ROWS)
        between = clock()
        arrived = [unprotect_row(pointers, row, inbound) for row in range(ROWS)]
        assert not failed, "nothing is wrong with these packets"
        assert all(arrived), "they are our own"
        out_s.append((between - began) / ROWS)
        in_s.append((clock() - between) / ROWS)
    return min(out_s), min(in_s)
