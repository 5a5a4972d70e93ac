"""Whatever /openapi.json says is asked for, in ways it allows and in ways it does not."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.server.edge.conftest import Serve

SEED = 20_260_301
CONFIG = Path(__file__).with_name("schemathesis.toml")
# `st run` by its module: the program's name is a matter of how it was installed.
PROGRAM = (sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()")


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_every_answer_is_documented(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer but those of the document, of its shape, and never our own failure."""
    # There is no broadcast process here: a room's end would wait for its recording in vain.
    monkeypatch.setattr("server.services.recorder.FINISH_S", 0.05)
    edge = await serve(forward_to="127.0.0.0/8", rtp_port=5004)
    edge.node.broadcast.playlist_text = "#EXTM3U\n"
    await edge.new_room("demo", buses=["green"])
    server = edge.http.server
    options = {
        "--header": f"Authorization: Bearer {edge.node.keyring.admin_key}",
        "--seed": str(SEED),
        "--max-examples": "3",
        "--exclude-path-regex": "^/wh[ie]p/",  # SDP, which it cannot make up; fuzzed on their own
        "--phases": "examples,coverage,fuzzing",
    }
    process = await asyncio.create_subprocess_exec(
        *(*PROGRAM, "--config-file", str(CONFIG), "--no-color"),
        *("run", str(server.make_url("/openapi.json")), "--continue-on-failure", "--no-shrink"),
        *(word for option in options.items() for word in option),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
