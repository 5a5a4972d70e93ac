"""The boundary between one datagram and the next."""

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

_log = logging.getLogger(__name__)


class Guard:
    """Handles one datagram; whatever goes wrong with it, the next one is handled too."""

    def __init__(self, counters: Counter[str]) -> None:
        self._counters = counters
        self._has_failed = False

    def __call__(self, handle: Callable[..., object], *arguments: Any, **keywords: Any) -> None:
        """Call `handle`; count a failure, and log the first."""
        try:
            handle(*arguments, **keywords)
        except Exception:  # noqa: BLE001 - a boundary: the next datagram is somebody else's
            self._counters["datagram_failures"] += 1
            if not self._has_failed:
                self._has_failed = True
                _log.exception("a datagram could not be handled; further ones are only counted")
