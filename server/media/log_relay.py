"""A child's stderr on its way into our log, line by line."""

import asyncio
import json

import structlog

log = structlog.get_logger(__name__)

MAX_LINES_PER_S = 50  # a child that repeats itself in every tick must not fill the disk
MAX_LINE_BYTES = 16 * 1024
MAX_TEXT = 2000
# Names that mean something to the logger itself.
_RESERVED = {"self", "event", "level", "process", "timestamp", "exc_info", "stack_info"}
_LEVELS = {"debug", "info", "warning", "error", "critical"}


async def relay_log(lines: asyncio.StreamReader, *, process: str) -> None:
    """Log every line until the stream ends; more than 50 a second are counted instead."""
    loop = asyncio.get_running_loop()
    second, seen, dropped = loop.time(), 0, 0
    while True:
        try:
            line = await lines.readline()
        except ValueError:  # longer than the reader's limit; readline dropped what it had
            dropped += 1
            continue
        if loop.time() - second >= 1.0:
            if dropped:
                log.warning("log_lines_dropped", process=process, lines=dropped)
            second, seen, dropped = loop.time(), 0, 0
        if not line:
            return
        seen += 1
        if seen <= MAX_LINES_PER_S:
            log_line(line, process=process)
        else:
            dropped += 1


def log_line(line: bytes, *, process: str) -> None:
    """Log one line: a worker's JSON with its own level and fields, anything else as text."""
    text = line.decode("utf-8", "replace").rstrip()
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if isinstance(fields, dict) and isinstance(fields.get("event"), str):
        level = fields.get("level")
        method = getattr(log, level if level in _LEVELS else "info")
        rest = {name: value for name, value in fields.items() if name not in _RESERVED}
        method(fields["event"][:MAX_TEXT], process=process, **rest)
    elif text:
        log.warning("worker_said", process=process, line=text[:MAX_TEXT])
