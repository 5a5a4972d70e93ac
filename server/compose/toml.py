"""The default configuration as commented TOML, made from the settings."""

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from server.compose.reload import RELOADABLE
from server.config import Settings, option, variable

WIDTH = 96
HEAD = """\
# Roomtone: every setting, with its default. Take away the # before a line to change it.
#
# An option of `roomtone serve` beats its variable, a variable this file, this file the default.
# Read on SIGHUP without a restart: what says so.
# `roomtone config check FILE` says whether a file is right.
"""


def default_toml() -> str:
    """Return the whole file."""
    return "\n".join([HEAD, *(line for key in Settings.model_fields for line in _lines(key))])


def value(given: Any) -> str:
    """Return a setting's value as TOML has it."""
    if given is None:
        return '""'
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, int | float):
        return str(given)
    if isinstance(given, tuple | list):
        return f"[{', '.join(value(one) for one in given)}]"
    text = str(given) if isinstance(given, Path) else given
    return json.dumps(text, default=str, ensure_ascii=False)  # a TOML basic string is one of JSON


def _lines(key: str) -> Iterator[str]:
    field = Settings.model_fields[key]
    description = str(field.description)
    yield from (f"# {line}" for line in textwrap.wrap(description, WIDTH - 2))
    notes = [option(key), variable(key)] + (["SIGHUP"] if key in RELOADABLE else [])
    yield f"# [{', '.join(notes)}]"
    yield f"#{key} = {value(field.get_default(call_default_factory=True))}"
    yield ""
