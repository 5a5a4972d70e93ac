"""The credits of a stream: who speaks and what its title is, as date ranges."""

from collections.abc import Iterable
from dataclasses import replace

from hls.core.playlist import DateRange

TALKING = "org.roomtone.talking"
TITLE = "org.roomtone.title"
PAUSE_S = 1.5  # speech that goes on after less is one piece
MOST_TALKING = 32  # at a time; a playlist is no register


class Credits:
    """Date ranges as they begin and end; every method returns those that are new or changed."""

    def __init__(self) -> None:
        self._talking: dict[str, DateRange] = {}
        self._quiet_since: dict[str, float] = {}
        self._title: DateRange | None = None
        self._number = 0

    def talk(self, names: Iterable[str], unix_s: float) -> list[DateRange]:
        """Note who can be heard from now on, by their displayed names."""
        changed = self.settle(unix_s)
        heard = set(names)
        for name in self._talking.keys() - heard:
            self._quiet_since.setdefault(name, unix_s)
        for name in sorted(heard):
            self._quiet_since.pop(name, None)
            if name not in self._talking and len(self._talking) < MOST_TALKING:
                date = self._begin(TALKING, ("NAME", name), unix_s)
                self._talking[name] = date
                changed.append(date)
        return changed

    def settle(self, unix_s: float) -> list[DateRange]:
        """Let those end who have paused for too long."""
        over = [name for name, since in self._quiet_since.items() if unix_s - since >= PAUSE_S]
        return [_ended(self._talking.pop(name), self._quiet_since.pop(name)) for name in over]

    def close(self, unix_s: float) -> list[DateRange]:
        """Let everything end: the stream does."""
        quiet_since = {name: self._quiet_since.get(name, unix_s) for name in self._talking}
        over = [_ended(date, quiet_since[name]) for name, date in self._talking.items()]
        self._talking, self._quiet_since = {}, {}
        return [*over, *self.entitle("", unix_s)]

    def entitle(self, title: str, unix_s: float) -> list[DateRange]:
        """Note the title from now on; "" is none."""
        before = self._title
        if title == (before.attributes[0][1] if before else ""):
            return []
        changed = [] if before is None else [_ended(before, unix_s)]
        self._title = self._begin(TITLE, ("TITLE", title), unix_s) if title else None
        return changed if self._title is None else [*changed, self._title]

    def _begin(self, klass: str, attribute: tuple[str, str], unix_s: float) -> DateRange:
        self._number += 1
        kind = klass.rpartition(".")[2]
        # Of no other range of the stream, also not of one that was made before a restart.
        name = f"{kind}-{round(unix_s * 1000)}-{self._number}"
        return DateRange(name, unix_s, klass, attributes=(attribute,))


def _ended(date: DateRange, unix_s: float) -> DateRange:
    return replace(date, duration_s=max(0.0, unix_s - date.start_unix_s))
