"""Where things go in a bucket: a template of the operator's, filled; nothing leads out of it."""

import re
from enum import StrEnum
from typing import Final

TEMPLATE_DEFAULT: Final = "{room}/{kind}/{name}"
TEMPLATE_PATTERN: Final = r"^([A-Za-z0-9._/-]|\{(room|kind|name)\}){1,200}$"
MARKS: Final = ("{room}", "{kind}", "{name}")
_MARK: Final = re.compile(r"\{[a-z]+\}")
_FOUL: Final = re.compile(r"[^A-Za-z0-9._-]+")
# What S3's documentation calls characters to avoid, what a path or an address gives a meaning to.
_AVOIDED: Final = frozenset('\\{}^%`[]"<>~#|?*:&$@=;+,')
_LONGEST_SEGMENT: Final = 200


class Kind(StrEnum):
    """What is uploaded."""

    RECORDING = "recordings"
    BROADCAST = "broadcast"


def template_mistake(template: str) -> str | None:
    """Return what is wrong with a template that has the pattern, None if nothing is."""
    missing = [mark for mark in MARKS if mark not in template]
    if missing:  # two things would have one place
        return f"the template needs {', '.join(missing)}"
    parts = template.split("/")
    if any({"{room}", "{name}"} <= set(_MARK.findall(part)) for part in parts):
        # of {room}-{name}, c of room a-b would be b-c of room a; a filled mark has no /
        return "the template needs a / between {room} and {name}"
    if any(part in {"", ".", ".."} for part in parts):
        return "the template has an empty folder, or one of dots alone"
    return None


def fill(template: str, room: str, kind: Kind, name: str) -> str:
    """Return the folder of something; each mark becomes a part of one name, whatever is in it."""
    for mark, text in zip(MARKS, (room, kind.value, name), strict=True):
        template = template.replace(mark, _plain(text))
    return template


def object_path(path: str) -> str:
    """Return the name of an object for a file's path; letters of all scripts stay."""
    parts = [_clean(part) for part in path.split("/")]
    return "/".join(part for part in parts if part)


def _plain(text: str) -> str:
    return _FOUL.sub("-", text)[:_LONGEST_SEGMENT].lstrip(".") or "-"


def _clean(part: str) -> str:
    clean = "".join("_" if c in _AVOIDED or not c.isprintable() else c for c in part)
    return "" if clean in {".", ".."} else clean
