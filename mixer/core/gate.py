"""Whether a person is to be heard: a gate over the levels their packets claim (RFC 6464)."""

OPEN_DBOV = -55  # room noise is coded at -65; quiet speech comes to -50 with every syllable
CLOSE_DBOV = -60  # what keeps an open gate open: the end of a word is softer than its beginning
HOLD_S = 0.4  # pauses between words; cutting them costs more ears than it saves cycles


class Gate:
    """Opens with the first packet above the threshold, closes a while after the last.

    Packets without a level keep it open: what cannot be known to be silent is heard.
    """

    def __init__(
        self,
        *,
        open_dbov: int = OPEN_DBOV,
        close_dbov: int = CLOSE_DBOV,
        hold_s: float = HOLD_S,
    ) -> None:
        self._open_dbov = open_dbov
        self._close_dbov = close_dbov
        self._hold_s = hold_s
        self._open_until: float | None = None
        self._is_unlevelled = False

    @property
    def is_unlevelled(self) -> bool:
        """Whether the last packet told no level."""
        return self._is_unlevelled

    def update(self, level_dbov: int | None, now: float, *, voice: bool = False) -> None:
        """Take a packet's level (-127..0), None where the sender tells none.

        `voice` is RFC 6464's V bit: with it, the lower threshold opens too.
        """
        self._is_unlevelled = level_dbov is None
        if level_dbov is not None:
            is_lenient = voice or self.is_open(now)
            if level_dbov <= (self._close_dbov if is_lenient else self._open_dbov):
                return
        self._open_until = now + self._hold_s

    def is_open(self, now: float) -> bool:
        """Whether the person is to be heard at `now`."""
        return self._open_until is not None and now < self._open_until
