"""Every module of the product: importable alone, introduced by a sentence, aptly named."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path for top in ("server", "mixer", "hls") for path in (ROOT / top).rglob("*.py"))
IDS = [str(path.relative_to(ROOT)) for path in FILES]

# Where an import inside a function is the point: `__main__` decides what its process may load.
LATE_IMPORTS = {"server/__main__.py"}
SAYS_NOTHING = {
    "base",
    "common",
    "core_utils",
    "helper",
    "helpers",
    "manager",
    "misc",
    "util",
    "utils",
}

IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
"""

# What a mixer process must not hold: threads of their own, or work that keeps the GIL too long.
UNWANTED = {
    "av",
    "sqlite3",
    "aiohttp",
    "server.state",
    "server.edge",
    "server.compose",
    "hls.encoder",
}
LOADED = """
import json, sys
import server.media.mixer_worker
print(json.dumps(sorted(sys.modules)))
"""


def test_alone() -> None:
    """Any module can be the first of ours to be imported: all can be, and no two need each other.

    Without a cycle the order cannot matter, which spares an interpreter for each.
    """
    graph = {_module(path): set(_needs(path)) for path in FILES}
    names = list(TopologicalSorter(graph).static_order())  # raises CycleError, which names it
    assert set(names) == set(graph)
    _python(IMPORT_ALL, *reversed(names))


def test_mixer_process() -> None:
    """The mixer process loads no PyAV, no SQLite and no HTTP server."""
    assert UNWANTED.isdisjoint(json.loads(_python(LOADED)))


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_docstring(path: Path) -> None:
    """A module's first line is one sentence that says what it is."""
    text = ast.get_docstring(_tree(path)) or ""
    first, _, rest = text.partition("\n")
    assert re.fullmatch(r"[A-Z`\d].{8,98}[.:]", first), first
    assert not rest or rest.startswith("\n"), "an empty line follows the first"


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_imports_on_top(path: Path) -> None:
    """No function imports, not even for types."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    inside = {
        inner.lineno
        for outer in ast.walk(_tree(path))
        if isinstance(outer, functions)
        for inner in _imports(outer)
    }
    assert not inside or str(path.relative_to(ROOT)) in LATE_IMPORTS, f"lines {sorted(inside)}"


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_name(path: Path) -> None:
    """A module's name says what it holds."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    assert SAYS_NOTHING.isdisjoint(parts)


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def _needs(path: Path) -> Iterator[str]:
    """Yield the modules of ours that a module imports."""
    modules = {_module(file) for file in FILES}
    for node in _imports(_tree(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in modules else str(node.module) for name in inner]
        yield from modules.intersection(names)


def _imports(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _python(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
