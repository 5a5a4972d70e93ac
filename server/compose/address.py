"""Where the server that uses a state folder is reached: what the other verbs find it by."""

import json
from pathlib import Path
from typing import Final

from server.compose.welcome import Serving
from server.config import Settings
from server.services.keyring import write_private

FILE: Final = "address.json"


def note_address(settings: Settings, serving: Serving) -> None:
    """Write it down. Raises SetupMistake."""
    host = settings.bind_host
    if host in ("0.0.0.0", ""):  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    elif host == "::":
        host = "::1"
    scheme = "https" if settings.is_tls else "http"
    shown = f"[{host}]" if ":" in host else host
    told = {"url": f"{scheme}://{shown}:{serving.port}"}
    write_private(settings.state_dir / FILE, json.dumps(told) + "\n")


def forget_address(folder: Path) -> None:
    """Remove it: nobody is there any more."""
    (folder / FILE).unlink(missing_ok=True)


def noted_address(folder: Path) -> str | None:
    """Return it, None if no server noted one."""
    try:
        told = json.loads((folder / FILE).read_text())
        return str(told["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
