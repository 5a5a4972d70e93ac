"""The pages' build: locked, free of hosts, and readable when npm fails."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

STATIC = Path(__file__).resolve().parents[2] / "static"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The build's own files in a folder without vendor/."""
    static = tmp_path / "tree" / "static"
    static.mkdir(parents=True)
    for name in ("build.py", "package.json", "package-lock.json"):
        shutil.copy(STATIC / name, static / name)
    return static


def build(static: Path, npm: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run `build.py vendor` where npm is this shell script."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in (("npm", npm), ("node", "exit 0")):
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    return subprocess.run(
        [sys.executable, static / "build.py", "vendor"],
        env=os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=15,
    )


def test_versions_are_exact_and_locked_with_a_hash() -> None:
    """Every package is pinned to one version whose contents are known."""
    wanted = json.loads((STATIC / "package.json").read_text())
    locked = json.loads((STATIC / "package-lock.json").read_text())["packages"]
    for name, version in (wanted["dependencies"] | wanted["devDependencies"]).items():
        assert locked[f"node_modules/{name}"]["version"] == version
        assert locked[f"node_modules/{name}"]["integrity"].startswith("sha512-")


def test_lock_names_no_registry() -> None:
    """The lock file works with any mirror: it says what, not where from."""
    assert not re.search(r'"resolved"', (STATIC / "package-lock.json").read_text())


def test_failing_npm_is_explained(copy: Path, tmp_path: Path) -> None:
    """What npm said is shown with what to do about it, and no trace of it."""
    done = build(copy, "echo no route to host >&2; exit 1", tmp_path)
    assert done.returncode == 1
    assert "npm ping" in done.stderr
    assert "no route to host" in done.stderr
    assert "Traceback" not in done.stderr


def test_failed_build_leaves_nothing_behind(copy: Path, tmp_path: Path) -> None:
    """vendor/ is complete or absent."""
    build(copy, "exit 1", tmp_path)
    assert not (copy / "vendor").exists()


def test_finished_build_needs_no_npm(copy: Path, tmp_path: Path) -> None:
    """A second run with everything in place does not start npm."""
    if not (STATIC / "vendor" / ".fingerprint").is_file():
        pytest.skip("static/vendor is not built; run make static/vendor/hls.mjs")
    shutil.copytree(STATIC / "vendor", copy / "vendor")
    assert build(copy, "exit 1", tmp_path).returncode == 0
