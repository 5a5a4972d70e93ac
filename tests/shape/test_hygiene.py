"""Habits that no other tool checks, over every file under version control."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Spelt with classes of one letter, or this file would hold what it forbids.
HOSTS = re.compile(r"py[p]i\.org|python[h]osted\.org|registry\.npm[j]s|(deb|security)\.deb[i]an")
# A reminder needs somebody and a day: (ada, 2031-12-24).
REMINDER = re.compile(r"\b(?:T[O]DO|F[I]XME|X[X]X|H[A]CK)\b(?!\([\w .-]+, \d{4}-\d\d-\d\d\))")
LARGE_BYTES = 400_000  # built things and vendored code stay out; a screenshot is smaller
MAY_WAIT = ("tests/e2e/", "tests/support/")  # they drive real programs
WAITS = "# sleep: "  # with its reason, on the line of a sleep that cannot be avoided


def _tracked() -> list[Path]:
    """Return the files under version control, and those that are about to be."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


FILES = _tracked()
TESTS = [path for path in FILES if path.suffix == ".py" and path.is_relative_to(ROOT / "tests")]


def test_hosts() -> None:
    """No file names a package registry's host: which one is used is the machine's affair."""
    assert not _found(HOSTS)


def test_reminders() -> None:
    """A reminder in the code names somebody and a day."""
    assert not _found(REMINDER)


def test_large_files() -> None:
    """No large file is kept in the tree."""
    assert not [str(path) for path in FILES if path.stat().st_size > LARGE_BYTES]


def test_sleeps() -> None:
    """No test waits for time to pass, other than sleep(0), unless it says why on that line."""
    waiting = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in TESTS
        if not str(path.relative_to(ROOT)).startswith(MAY_WAIT)
        for line in _sleeps(path.read_text())
    ]
    assert not waiting


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("await asyncio.sleep(0)", []),
        ("await asyncio.sleep(0.1)", [1]),
        ("time.sleep(delay)", [1]),
        ("time.sleep(1)  # sleep: polls another process", []),
        ("clock.sleep = 3", []),
    ],
)
def test_sleeps_are_found(line: str, found: list[int]) -> None:
    """The check above sees a sleep and its reason."""
    assert list(_sleeps(line)) == found


def test_verbs() -> None:
    """Every `make` verb that the README, the documents and CI name exists and has its help."""
    makefile = (ROOT / "Makefile").read_text()
    verbs = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))
    named = {
        verb
        for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / ".ci" / "run"]
        for verb in re.findall(r"(?:`|^|exec |&& )make ([a-z]+)", path.read_text(), re.MULTILINE)
    }
    assert "run" in named
    assert named <= verbs


def _found(pattern: re.Pattern[str]) -> list[str]:
    found = []
    for path in FILES:
        try:
            lines = path.read_text().splitlines()
        except UnicodeDecodeError:
            continue
        name = path.relative_to(ROOT)
        found += [f"{name}:{n}: {line}" for n, line in enumerate(lines, 1) if pattern.search(line)]
    return found


def _sleeps(text: str) -> Iterator[int]:
    """Yield the numbers of lines that call `….sleep` with anything but 0 and give no reason."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)) if "sleep" in text else ():
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute | ast.Name):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        if name != "sleep" or WAITS in lines[node.lineno - 1]:
            continue
        if not node.args or ast.unparse(node.args[0]) != "0":
            yield node.lineno
