"""What of our environment a worker process gets."""

import os
from typing import Final

from server.media.threads import ENVIRONMENT

_NAMES: Final = frozenset(
    {"HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "TEMP", "TMP", "TMPDIR", "TZ", "USER"}
)
# Languages, libraries (macOS: DYLD), memory, the interpreter's own, and whose certificates hold.
_BEGINNINGS: Final = ("LC_", "LD_", "DYLD_", "MALLOC_", "PYTHON", "OPENSSL_", "SSL_CERT_")
_OURS: Final = "ROOMTONE_"  # may hold secrets, and a worker has its settings from nowhere else


def worker_environment(*, with_credentials: bool = False) -> dict[str, str]:
    """Return what a worker is started with.

    Workers decode strangers' files and speak with strangers: they get what a program needs to run,
    and no one's credentials, whatever these are called. `with_credentials` is for the process that
    uploads, whose libraries look for a bucket's there; that gets everything but our own.
    """
    if with_credentials:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    else:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in _NAMES or name.startswith(_BEGINNINGS)
        }
    return kept | ENVIRONMENT
