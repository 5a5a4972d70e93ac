"""A worker process that does as it is told, without importing anything slow.

Run as `python fake_worker.py worker <verb> <settings>`; the settings say how it misbehaves.
"""

import json
import signal
import socket
import struct
import sys
from typing import Any

settings: dict[str, Any] = json.loads(sys.argv[3])
control = socket.socket(fileno=settings["control_fd"])
stream = control.makefile("rb")


def send(message: dict[str, Any]) -> None:
    """Send one JSON frame."""
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    control.sendall(struct.pack(">IB", len(body), 1) + body)


def greet() -> None:
    """Say what the settings want said before the first call."""
    for line in settings.get("says", []):
        sys.stderr.write(line + "\n")
    sys.stderr.flush()
    if settings.get("is_stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "fails" in settings:
        send({"method": "failed", "params": {"sentence": settings["fails"]}})
    elif not settings.get("is_mute"):
        send({"method": "ready", "params": {"udp_port": 7}})


def answer(call: dict[str, Any], applied: list[object]) -> None:
    """Answer a call, or do what the settings want done at it."""
    method = call["method"]
    if method == settings.get("dies_at"):
        sys.exit(3)
    if method == settings.get("hangs_at"):
        signal.pause()
    if method == "apply":
        applied.append(call["params"])
    if method == settings.get("refuses"):
        send({"id": call["id"], "error": {"code": -32603, "message": "no"}})
    else:
        send({"id": call["id"], "result": applied if method == "applied" else None})


def main() -> None:
    """Greet, then answer until the parent closes."""
    greet()
    applied: list[object] = []
    while head := stream.read(5):
        answer(json.loads(stream.read(struct.unpack(">IB", head)[0])), applied)
    if settings.get("is_stubborn"):
        signal.pause()


if __name__ == "__main__":
    main()
