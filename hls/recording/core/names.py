"""File names from what people call themselves."""

import unicodedata

MAX_CHARACTERS = 40  # of at most four bytes: a name may have 255


def file_name(number: int, name: str) -> str:
    """Return a name that every file system takes, unlike any other by its number."""
    kept = "".join(one if _is_kept(one) else " " for one in unicodedata.normalize("NFC", name))
    words = " ".join(kept.split())[:MAX_CHARACTERS].strip(" .-")
    return f"{number}-{words}" if words else str(number)


def _is_kept(character: str) -> bool:
    return character in "-_" or unicodedata.category(character)[0] in "LMN"
