"""Captions as they are sent to a room: in which languages, how many, and on which clock."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hls.types import CaptionsSpec

MAX_LANGUAGES: Final = 8
# Of RFC 5646, roughly; it becomes part of an address.
CAPTION_LANGUAGE: Final = r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,2}$"
MAX_CHARACTERS: Final = 500  # half a dozen lines; nobody reads more in half a minute
DURATION_MS: Final = (100, 30_000)
# A service hears, understands and sends within this, or what it says is of no use any more.
MOST_LATE_S: Final = 30.0
MOST_EARLY_S: Final = 60.0  # from a script
# In a room and language, all at once or evenly: fast talk is 30 sentences.
A_MINUTE: Final = 120
_PLAIN: Final = re.compile(CAPTION_LANGUAGE, re.ASCII)


@dataclass(frozen=True, slots=True)
class Said:
    """A caption that somebody sent: shown from `starts_unix_s` on, or `offset_s` from now."""

    language: str
    text: str
    duration_s: float
    starts_unix_s: float | None = None
    offset_s: float = 0.0


def captions_of(languages: Sequence[str]) -> tuple[CaptionsSpec, ...]:
    """Return the renditions of a room that is captioned in these languages.

    None has the name of one of sound: those end with a bit rate.
    """
    return tuple(CaptionsSpec(f"{one.lower()}-cc", one) for one in languages)


def languages_mistake(languages: Sequence[str]) -> str:
    """Return what is wrong with the languages a room is to be captioned in, "" if nothing is."""
    if len(languages) > MAX_LANGUAGES:
        return f"a room has captions in at most {MAX_LANGUAGES} languages"
    if not all(map(_PLAIN.fullmatch, languages)):
        return "a language is a tag like en or pt-BR"
    if len({one.lower() for one in languages}) < len(languages):
        return "each language is there once"
    return ""


def found_in(languages: Sequence[str], language: str) -> str | None:
    """Return the language as the room has it, however it is written; None if it has it not."""
    return next((one for one in languages if one.lower() == language.lower()), None)
