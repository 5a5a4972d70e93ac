"""How the server logs: for people on a terminal, JSON otherwise, and never a secret."""

import logging
import re
import sys
from typing import Any, Final

import structlog
from aiohttp.http import HttpProcessingError
from structlog.typing import EventDict, Processor

from server.config import Settings

_SECRET_KEYS: Final = re.compile(r"(?i)(^|_)(token|secret|pin|invite|authorization|cookie|jtoken)$")
_SECRET_TEXT: Final = re.compile(
    r"(?i)([?&#](?:token|invite|admin)=)[^&\s\"']+"  # in addresses
    r"|(Bearer )\S+"
    r"|(\beyJ[\w-]{8,}\.)[\w-]+\.[\w-]*"  # what is left of a JWT is its public header
    r"|(\brt_[0-9a-f]{12}_)[\w-]+"  # what is left of an API key is its id
)
HIDDEN: Final = "[hidden]"


def configure(settings: Settings) -> None:
    """Set up structlog and the standard library's logging; both write to standard error."""
    is_json = settings.log_format == "json" or (
        settings.log_format == "auto" and not sys.stderr.isatty()
    )
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if is_json else "%H:%M:%S", utc=is_json),
        # As text, before hiding: a traceback with its variables would be full of secrets.
        structlog.processors.format_exc_info,
        hide_secrets,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(default=str)
        if is_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=shared,
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.getLogger("asyncio").setLevel(max(level, logging.WARNING))
    logging.getLogger("aiohttp.server").addFilter(is_not_noise)
    logging.captureWarnings(capture=True)


def is_not_noise(record: logging.LogRecord) -> bool:
    """Whether a record of the HTTP server is worth a line: a stranger's broken HTTP is not."""
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)


def hide_secrets(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Replace what must not be in a log, wherever it hides: the last line of defence."""
    for key, value in event.items():
        if _SECRET_KEYS.search(key):
            event[key] = HIDDEN
        elif isinstance(value, str):
            event[key] = _SECRET_TEXT.sub(_hide, value)
    return event


def _hide(found: re.Match[str]) -> str:
    return next(group for group in found.groups() if group is not None) + HIDDEN
