"""Node, for what is written for it."""

import subprocess
import sys

import pytest

from tests.support.program import ROOT


@pytest.fixture(scope="session")
def node() -> str:
    """Where Node is."""
    command = [sys.executable, str(ROOT / "static" / "build.py"), "node"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
