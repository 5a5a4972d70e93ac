"""THIRD-PARTY-NOTICES.md names everything that is installed with Roomtone."""

import json
import re
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
NOTICES = (ROOT / "THIRD-PARTY-NOTICES.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in NOTICES.splitlines()
    if line.startswith("| ")
]
LICENCES = {row[0]: row[1] for row in ROWS}
LIBRARIES = set(re.findall(r"\blib\w+(?:-[a-z]+)*", " ".join(row[1] for row in ROWS)))


def _installed_with(name: str) -> set[str]:
    """Return the names of everything a distribution needs here, directly or not."""
    found: set[str] = set()
    waiting = [Requirement(name)]
    while waiting:
        wanted = waiting.pop()
        for text in distribution(wanted.name).requires or ():
            needed = Requirement(text)
            if not _applies(needed, wanted.extras) or canonicalize_name(needed.name) in found:
                continue
            found.add(canonicalize_name(needed.name))
            waiting.append(needed)
    return found


def _applies(needed: Requirement, extras: set[str]) -> bool:
    if needed.marker is None:
        return True
    return any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras))


DEPENDENCIES = sorted(_installed_with("roomtone"))


def test_nothing_else() -> None:
    """The notices name no package that is no longer installed."""
    packages = {name for name, *rest in ROWS if len(rest) == 2 and _is_package(rest)}
    assert packages - {"package"} == set(DEPENDENCIES)


@pytest.mark.parametrize("name", DEPENDENCIES)
def test_dependency(name: str) -> None:
    """A dependency has its row; one under a copyleft licence says so there."""
    assert name in LICENCES
    if re.search(r"\b[AL]?GPL|\bMPL", _licence(distribution(name))):
        assert re.search("GPL|MPL", LICENCES[name])


@pytest.mark.parametrize("name", DEPENDENCIES)
def test_bundled(name: str) -> None:
    """Every shared library that a dependency's wheel carries is named."""
    files = [path.name for path in distribution(name).files or () if ".libs" in path.parts[0]]
    carried = {re.sub(r"(-[0-9a-f]{8})+\.so.*", "", file) for file in files}
    assert carried <= LIBRARIES


def test_gpl() -> None:
    """What is under the GPL in the av wheel is named as such as long as it is in there."""
    carried = " ".join(path.name for path in distribution("av").files or ())
    for library in ("libx264", "libx265"):
        assert (library in carried) == (library in LIBRARIES)


def test_pages() -> None:
    """What the pages take from npm is named with its version."""
    packages = json.loads((ROOT / "static" / "package.json").read_text())["dependencies"]
    for name, version in packages.items():
        title = name.rpartition("/")[2].replace("-", " ")
        row = next(row for row in ROWS if title in row[0].lower())
        assert version.startswith(f"{row[1]}.")


def _is_package(cells: list[str]) -> bool:
    """Whether a row belongs to the table of packages: it says what the package is for."""
    return not any(cell.startswith(("lib", "OpenSSL")) or cell == "library" for cell in cells)


def _licence(package: Distribution) -> str:
    said = package.metadata.json
    classifiers = [text for text in said.get("classifier", []) if text.startswith("License")]
    named = (str(said.get(key, ""))[:80] for key in ("license_expression", "license"))
    return " ".join([*named, *classifiers])
