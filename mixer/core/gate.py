"""Whether a person is to be heard: a gate over the levels their packets claim (RFC 6464)."""

OPEN_DBOV = -50  # room noise is coded at -65 and quieter, quiet speech peaks above -45
HOLD_S = 0.4  # pauses between words; cutting them costs more ears than it saves cycles


class Gate:
    """Opens with the first packet above the threshold, closes a while after the last.

    Packets without a level keep it open: what cannot be known to be silent is heard.
    """

    def __init__(self, *, open_dbov: int = OPEN_DBOV, hold_s: float = HOLD_S) -> None:
        self._open_dbov = open_dbov
        self._hold_s = hold_s
        self._open_until = -1.0
        self._is_unlevelled = False

    @property
    def is_unlevelled(self) -> bool:
        """Whether the last packet told no level."""
        return self._is_unlevelled

    def update(self, level_dbov: int | None, now: float) -> None:
        """Take a packet's level (-127..0), None where the sender tells none."""
        self._is_unlevelled = level_dbov is None
        if level_dbov is None or level_dbov > self._open_dbov:
            self._open_until = now + self._hold_s

    def is_open(self, now: float) -> bool:
        """Whether the person is to be heard at `now`."""
        return now < self._open_until
