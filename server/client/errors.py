"""What a client meets, each with the exit status a program ends with."""

from enum import IntEnum
from typing import Final


class Exit(IntEnum):
    """How a command ended; docs/operations.md has the table."""

    DONE = 0
    FAILED = 1
    MISTAKE = 2  # as click's own for a wrong option
    UNREACHABLE = 3
    NOT_ALLOWED = 4
    NOT_FOUND = 5
    NOT_NOW = 6


class ClientError(Exception):
    """A command cannot go on; the sentence says what to do about it."""

    def __init__(self, sentence: str, exit_status: Exit = Exit.FAILED, code: str = "") -> None:
        super().__init__(sentence)
        self.exit_status = exit_status
        self.code = code or exit_status.name.lower()


_BY_STATUS: Final = {
    400: Exit.MISTAKE,
    401: Exit.NOT_ALLOWED,
    403: Exit.NOT_ALLOWED,
    404: Exit.NOT_FOUND,
    405: Exit.NOT_FOUND,
    409: Exit.NOT_NOW,
    413: Exit.MISTAKE,
    429: Exit.NOT_NOW,
    503: Exit.NOT_NOW,
    507: Exit.NOT_NOW,
}
_BY_CODE: Final = {
    "forbidden": Exit.NOT_ALLOWED,
    "unauthorized": Exit.NOT_ALLOWED,
    "wrong_pin": Exit.NOT_ALLOWED,
    "room_not_found": Exit.NOT_FOUND,
    "room_full": Exit.NOT_NOW,
    "no_capacity": Exit.NOT_NOW,
    "draining": Exit.NOT_NOW,
    "media_unavailable": Exit.NOT_NOW,
}
_WHAT_TO_DO: Final = {
    "unauthorized": "give the key with --key-file, ROOMTONE_KEY, or --state-dir",
    "room_not_found": "`roomtone room list` shows the rooms there are",
    "wrong_pin": "give it with --pin",
    "bad_invite": "ask for a new link, or make one with `roomtone room show`",
    "room_exists": "choose another --id",
}


def refused(status: int, code: str, sentence: str) -> ClientError:
    """Return the error of an answer that is none; `status` 0 where there is only a code."""
    exit_status = _BY_STATUS.get(status) or _BY_CODE.get(code, Exit.FAILED)
    hint = _WHAT_TO_DO.get(code)
    return ClientError(f"{sentence}: {hint}" if hint else sentence, exit_status, code)
