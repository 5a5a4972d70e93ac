"""A real S3 server on this machine: rclone's, over a folder."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from datetime import timedelta
from email.message import Message
from pathlib import Path
from typing import Self
from urllib.request import urlopen

import obstore
from obstore import store

from hls.upload.bucket import BucketPlace

KEY_ID, SECRET, NAME = "roomtonekey", "a-secret-of-tests", "bucket"


class S3Server:
    """Use as a context manager; `kill` and `start` as often as a test wants, on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "s3"
        self.bucket = self.folder / NAME
        self.bucket.mkdir(parents=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.credentials = folder / "credentials"
        self.authorize(SECRET)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def place(self) -> BucketPlace:
        """The bucket, with a prefix in it."""
        return BucketPlace(
            f"s3://{NAME}/pre", f"http://127.0.0.1:{self.port}", "us-east-1", self.credentials
        )

    def authorize(self, secret: str) -> None:
        """Write the file of credentials."""
        self.credentials.write_text(
            f"# of tests\nAWS_ACCESS_KEY_ID={KEY_ID}\nAWS_SECRET_ACCESS_KEY={secret}\n"
        )
        self.credentials.chmod(0o600)

    def start(self, *, is_open: bool = False) -> None:
        """Start it and wait until it answers; if it `is_open`, whoever has an address may read."""
        keys = () if is_open else ("--auth-key", f"{KEY_ID},{SECRET}")
        self._process = subprocess.Popen(
            [
                *(Path(sys.executable).parent / "rclone", "serve", "s3", self.folder),
                *("--addr", f"127.0.0.1:{self.port}", *keys),
                *("--vfs-cache-mode", "off", "--config", os.devnull),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                assert time.monotonic() < deadline, "rclone does not answer"
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def headers(self, path: str) -> Message:
        """Return an object's headers."""
        with urlopen(self.signed(path)) as answer:  # noqa: S310 - ours
            headers: Message = answer.headers
        return headers

    def address(self, path: str) -> str:
        """Return an object's plain address."""
        return f"{self.place.endpoint}/{NAME}/pre/{path}"

    def signed(self, path: str) -> str:
        """Return an address that is good for a minute."""
        opened = store.S3Store.from_url(
            self.place.url,
            config={
                "endpoint": self.place.endpoint,
                "region": "us-east-1",
                "access_key_id": KEY_ID,
                "secret_access_key": SECRET,
            },
            client_options={"allow_http": True},
        )
        return obstore.sign(opened, "GET", path, timedelta(minutes=1))

    def files(self) -> dict[str, bytes]:
        """Return everything in the bucket."""
        root, found = self.bucket / "pre", {}
        for path in sorted(root.rglob("*")):
            # What is deleted, or written anew, while we look is not there.
            with suppress(FileNotFoundError, IsADirectoryError):
                found[path.relative_to(root).as_posix()] = path.read_bytes()
        return found

    def written(self) -> dict[str, int]:
        """Return when each object that is there was written, in nanoseconds."""
        root = self.bucket / "pre"
        return {
            path.relative_to(root).as_posix(): path.stat().st_mtime_ns
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }
