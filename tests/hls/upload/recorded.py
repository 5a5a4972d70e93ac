"""A recording to be uploaded, and what uploads it."""

from collections import Counter
from pathlib import Path

from hls.upload.bucket import Bucket, BucketPlace
from hls.upload.core.places import TEMPLATE_DEFAULT
from hls.upload.kept import KeptFolders
from hls.upload.recordings import Folders, RecordingUploads
from hls.upload.types import UploadProgress, Wanted

NOW_S = 1_700_000_100.0
AT = "blue/recordings/monday"
GROWS = Wanted("blue", "monday", is_over=False, began_unix_s=NOW_S)
OVER = Wanted("blue", "monday", is_over=True, began_unix_s=NOW_S)


def uploads(
    tmp_path: Path, place: BucketPlace | None = None, counters: Counter[str] | None = None
) -> RecordingUploads:
    place = place or BucketPlace(f"file://{tmp_path}/bucket")
    folders = Folders(tmp_path / "recordings", tmp_path / "state")
    kept = KeptFolders(tmp_path / "kept")
    counters = Counter() if counters is None else counters
    return RecordingUploads(folders, Bucket(place), TEMPLATE_DEFAULT, kept, counters)


def progress(one: RecordingUploads, wanted: Wanted = OVER) -> UploadProgress:
    (found,) = one.follow([wanted])
    return found


def originals(folder: Path) -> dict[str, bytes]:
    return {
        f"{AT}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
