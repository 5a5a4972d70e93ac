"""The log of a worker process: JSON lines on its stderr, which never block it."""

import json
import logging
import os
import stat
import sys
from contextlib import suppress
from typing import Any

import structlog

MAX_LINE_BYTES = 4000  # below PIPE_BUF (4096): a line is written whole or not at all
_STDERR = 2


class _Lines:
    """Where structlog's lines go."""

    def msg(self, line: str) -> None:
        write_line(line)

    debug = info = warning = error = critical = exception = log = msg


class _Handler(logging.Handler):
    """Where the lines of libraries go."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
        } | structlog.contextvars.get_contextvars()
        if record.exc_info is not None:
            fields["exception"] = logging.Formatter().formatException(record.exc_info)
        write_line(encode_line(fields))


def configure() -> None:
    """Send all logs of this process to stderr as JSON lines; a full pipe loses lines."""
    if stat.S_ISFIFO(os.fstat(_STDERR).st_mode):  # ours alone; a terminal is shared with a shell
        os.set_blocking(_STDERR, False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            lambda _logger, _method, fields: encode_line(fields),
        ],
        logger_factory=lambda *_: _Lines(),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Handler()], level=logging.WARNING, force=True)
    sys.excepthook = _log_crash


def encode_line(fields: Any) -> str:
    """Return one line of at most MAX_LINE_BYTES bytes; the end of a stack is kept, not its start.

    Values that JSON does not know become text.
    """
    line = json.dumps(dict(fields), default=str)
    over = len(line) - MAX_LINE_BYTES + 1
    if over <= 0:
        return line
    stack = str(fields.get("exception", ""))
    short = {"event": str(fields.get("event"))[:500], "level": fields.get("level")}
    return json.dumps(short | {"exception": stack[-1500:], "cut": True}, default=str)


def write_line(line: str) -> None:
    """Write a line if the pipe has room for it."""
    with suppress(OSError):  # the pipe is full or nobody reads it: audio goes first
        os.write(_STDERR, line.encode("ascii", "replace") + b"\n")


def _log_crash(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    structlog.get_logger().critical("worker_crashed", exc_info=(kind, error, trace))
