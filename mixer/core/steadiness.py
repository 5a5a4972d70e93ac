"""Whether a stream has been flawless for long enough to rely on it."""

# Ticks. One flaw is forgiven soon; who goes on losing packets is not relied on again and again.
LEAST, MOST = 50, 1500
FORGET = 3000


class Steadiness:
    """Steady until the first flaw; each one within a minute takes twice as long to get over."""

    def __init__(self) -> None:
        self._wait = LEAST
        self._left = 0
        self._calm = 0

    def note_flaw(self) -> None:
        """Take a flaw in the coming tick."""
        self._left, self._wait, self._calm = self._wait, min(2 * self._wait, MOST), 0

    def next_tick(self) -> bool:
        """Pass a tick; return whether the stream is steady in it."""
        self._calm += 1
        if self._calm >= FORGET:
            self._wait = LEAST
        if self._left:
            self._left -= 1
            return False
        return True
