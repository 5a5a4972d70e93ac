"""What the processes that upload are started with, made of the settings."""

from typing import Final

from server.compose.build import archive_folder, upload_folder
from server.config import DAY_S, Settings
from server.media.upload_wire import UploadSettings
from server.media.wire import SpoolSettings

SPOOL: Final = "spool"


def upload_settings(settings: Settings) -> UploadSettings | None:
    """Return how the upload process is to be, None if nothing is uploaded."""
    if not settings.upload_url:
        return None
    folder = upload_folder(settings)
    credentials = settings.upload_credentials
    return UploadSettings(
        control_fd=-1,  # whoever starts it puts its own
        url=settings.upload_url,
        endpoint=settings.upload_endpoint,
        region=settings.upload_region,
        credentials_file=None if credentials is None else str(credentials.absolute()),
        folder=str(folder),
        spool=str(folder / SPOOL),
        recordings=str(archive_folder(settings)),
        template=settings.upload_template,
        key_base=settings.public_url,
        are_keys_sent=settings.upload_keys,
        keep_s=settings.upload_keep_days * DAY_S or None,
    )


def spool_settings(settings: Settings) -> SpoolSettings | None:
    """Return what the broadcast process spools, None if broadcasts are not uploaded."""
    if not settings.upload_url or settings.upload_what == "recordings":
        return None
    return SpoolSettings(
        folder=str(upload_folder(settings) / SPOOL),
        max_bytes=settings.upload_spool_mb * 1_000_000,
        are_keys_sent=settings.upload_keys,
    )
