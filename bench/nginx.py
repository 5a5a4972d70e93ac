"""An nginx that serves files from a disk: the floor of what an HTTP request costs."""

import asyncio
import os
import shutil
import socket
import tempfile
from asyncio.subprocess import Process
from pathlib import Path

from bench.children import end_child, start_child, tree
from bench.errors import BenchMistake

_START_S = 10.0
_CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    default_type application/octet-stream;
    keepalive_requests 1000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/files;
    }}
}}
"""


def find_nginx() -> str:
    """Return the program's path. Raises BenchMistake."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if found is None:
        raise BenchMistake("nginx is not installed: apt-get install nginx-light")
    return found


class Nginx:
    """Serves `files` by their names, on one worker."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.name = "nginx, from disk"
        self.port = 0
        self._files = files
        self._process: Process | None = None
        self._folder: Path | None = None

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        self._folder = Path(tempfile.mkdtemp(prefix="roomtone-bench-"))
        self._folder.chmod(0o755)  # its worker is another user where we are root
        (self._folder / "files").mkdir()
        for name, body in self._files.items():
            (self._folder / "files" / name).write_bytes(body)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        path = self._folder / "nginx.conf"
        path.write_text(_CONFIGURATION.format(folder=self._folder, port=self.port))
        log = os.open(self._folder / "log", os.O_WRONLY | os.O_CREAT)
        try:
            self._process = await start_child([find_nginx(), "-c", path], log=log)
        finally:
            os.close(log)
        async with asyncio.timeout(_START_S):
            while not await self._answers():
                await asyncio.sleep(0.05)

    async def _answers(self) -> bool:
        assert self._process is not None, "started"
        if self._process.returncode is not None:
            assert self._folder is not None, "made before"
            raise BenchMistake(f"nginx ended by itself: {(self._folder / 'log').read_text()}")
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    def pids(self) -> list[int]:
        """Return the master and its worker."""
        assert self._process is not None, "started"
        return tree(self._process.pid)

    async def stop(self) -> None:
        """End it; nothing is left."""
        if self._process is not None:
            await end_child(self._process)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
