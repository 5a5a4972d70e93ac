"""What SIGHUP changes in a server that runs: all of it or nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from server.compose import logs
from server.compose.build import (
    Services,
    lifetimes_of,
    limits_of,
    policy_of,
    recorder_policy_of,
    rotation_of,
    sounds_of,
    studio_of,
)
from server.config import Settings
from server.errors import SetupMistake
from server.sources import Loaded

log = structlog.get_logger(__name__)

# Read from the context's settings whenever they are needed, or put in their place by `_apply`.
RELOADABLE: Final = frozenset(
    {
        "forward_to",
        "announcements_dir",
        "announcement_limit_mb",
        "record_default",
        "recording_name",
        "recordings_min_free_mb",
        "recordings_keep_days",
        "recordings_keep_mb",
        "tls_cert",
        "tls_key",
        "public_url",
        "log_level",
        "access_log",
        "drain_s",
        "join_token_s",
        "listen_token_s",
        "listen_session_s",
        "broadcast_key_segments",
        "broadcast_bitrates",
        "broadcast_window_s",
        "broadcast_loudness_lufs",
        "hold_music",
        "admin_cookie_s",
        "resume_s",
        "room_warnings_s",
        "rooms",
        "pin_tries",
        "trusted_proxy",
        "proxy_header",
        "limit_requests",
        "limit_token",
        "limit_joins",
        "limit_sockets",
        "limit_sockets_all",
        "limit_messages",
        "limit_hls",
        "limit_radio",
        "limit_radio_address",
        "limit_radio_room",
    }
)


@dataclass(frozen=True, slots=True)
class Change:
    """What came of a reload: keys that are in force now, and keys that need a restart."""

    changed: tuple[str, ...]
    kept: tuple[str, ...]


class Reloader:
    """Reads the settings again by `read_again` and puts in force what can be.

    `check_tls` raises SetupMistake for a pair of files that is no good; `follow_tls` takes the
    settings whose certificate shall be shown from now on.
    """

    def __init__(
        self,
        services: Services,
        read_again: Callable[[], Loaded],
        check_tls: Callable[[Settings], None],
        follow_tls: Callable[[Settings], None],
    ) -> None:
        self._services = services
        self._read_again = read_again
        self._check_tls = check_tls
        self._follow_tls = follow_tls

    def reload(self) -> Change | None:
        """Read and apply; None if what was read is wrong: the log says why, nothing changes."""
        context = self._services.context
        now = context.settings
        try:
            wanted = self._read_again().settings
            differing = _differing(now, wanted)
            changed = tuple(key for key in differing if self._can(key, now, wanted))
            settings = now.model_copy(update={key: getattr(wanted, key) for key in changed})
            self._check_tls(settings)
        except SetupMistake as mistake:
            log.error("settings_kept", reason=str(mistake))  # noqa: TRY400 - the sentence is all
            return None
        self._apply(settings)
        kept = tuple(key for key in differing if key not in changed)
        log.warning("settings_reloaded", changed=list(changed), needs_restart=list(kept))
        return Change(changed, kept)

    def _can(self, key: str, now: Settings, wanted: Settings) -> bool:
        if key in {"tls_cert", "tls_key"}:  # other files of the same kind, not TLS on or off
            return now.tls_cert is not None and wanted.tls_cert is not None
        if key == "forward_to" and now.rtp_port is None:  # without either there is no socket
            return bool(now.forward_to)
        return key in RELOADABLE

    def _apply(self, settings: Settings) -> None:
        """Put it in force; nothing here waits, so nobody meets half of it."""
        context = self._services.context
        context.settings = settings
        logs.configure(settings)
        context.access.lifetimes = lifetimes_of(settings)
        context.listening.keys.rotation = rotation_of(settings)
        context.rooms.change_studio(studio_of(settings))
        context.presence.resume_s = settings.resume_s
        context.lines.policy = policy_of(settings)
        context.recorder.policy = recorder_policy_of(settings)
        context.limits.change(limits_of(settings))
        context.radio.places.change(settings.limit_radio_room, settings.limit_radio_address)
        context.rooms.warnings_s = settings.room_warnings_s
        context.rooms.pins.let_try(settings.pin_tries)
        sounds = sounds_of(settings)
        context.sounds.limit_bytes, context.sounds.folder = sounds.limit_bytes, sounds.folder
        self._follow_tls(settings)  # also when the names stay: files are renewed in place


def _differing(before: Settings, after: Settings) -> tuple[str, ...]:
    keys: Mapping[str, object] = Settings.model_fields
    return tuple(key for key in keys if getattr(before, key) != getattr(after, key))
