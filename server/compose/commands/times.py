"""Times as people write them on a command line."""

from typing import Any, Final

import click

NEVER: Final = "never"


class Seconds(click.ParamType[int | None]):
    """A time such as 90, 45m, 12h or 7d; `never` is None."""

    name = "time"
    _UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        """Return seconds."""
        text = str(value).strip().lower()
        if text == NEVER:
            return None
        unit = self._UNITS.get(text[-1:], 0)
        number = text[:-1] if unit else text
        if not number.isascii() or not number.isdigit():
            self.fail(f"{value!r} is no time: it looks like 90, 45m, 12h, 7d or never", param, ctx)
        return int(number) * (unit or 1)
