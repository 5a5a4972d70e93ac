"""The program: the `roomtone` command, and the worker processes it starts as a hidden verb."""

import importlib
import signal
import sys
from pathlib import Path

WORKERS = {
    "mixer": "server.media.mixer_worker",
    "broadcast": "server.media.broadcast_worker",
    "decoder": "server.media.decoder_worker",
    "loop": "server.media.loop_worker",
    "upload": "server.media.upload_worker",
    "mp3": "server.media.mp3_worker",
    "publish": "server.media.publish_worker",
}


def main() -> None:
    """Run the command line, or become a worker."""
    # Imported late, and nowhere else so: a mixer process must hold neither PyAV nor SQLite nor
    # an HTTP server, and the command line needs all of them.
    if sys.argv[1:2] == ["worker"] and len(sys.argv) > 2 and sys.argv[2] in WORKERS:
        # A terminal sends Ctrl-C to everybody; workers end when their parent lets them.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        importlib.import_module(WORKERS[sys.argv[2]]).main(sys.argv[3:])
    else:
        importlib.import_module("server.compose").cli()


if __name__ == "__main__":
    # Run by path (see server.media.child.program), so the packages must be made importable.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    main()
