"""The wheel, as somebody gets it who has no checkout."""

import runpy
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BUILD_FILES = ("build.py", "package.json", "package-lock.json", "tsconfig.json", ".fingerprint")

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(180)]

IMPORT_ALL = """
import importlib, sys
from server.edge.pages import static_folder
for name in sys.argv[2:]:
    module = importlib.import_module(name)
    assert module.__file__.startswith(sys.argv[1]), module.__file__
print(static_folder())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    (found,) = folder.glob("roomtone-*.whl")
    return found


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    """The files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel; its dependencies are read from this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    pip = (sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"))
    _run(*pip, "install", "--no-deps", "--no-index", str(wheel))
    site = next(folder.glob("lib/python*/site-packages"))
    # A line adds the folder alone: its own .pth files, and with them this checkout, stay out.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def test_pages(names: list[str]) -> None:
    """Every page, script and style, and all that the build fetches for them, is inside."""
    pages = {path for kind in ("*.html", "css/*.css", "js/*.js", "img/*") for path in _static(kind)}
    vendored = runpy.run_path(str(ROOT / "static" / "build.py"))["VENDORED"].values()
    fetched = {f"vendor/{name}" for name in vendored if not name.endswith(".d.mts")}
    assert "vendor/hls.mjs" in fetched
    assert {f"server/static/{path}" for path in pages | fetched} <= set(names)


def test_nothing_else(names: list[str]) -> None:
    """Only the packages and the wheel's own metadata are inside, no tests and no build files."""
    tops = {Path(name).parts[0] for name in names}
    assert tops == {"server", "mixer", "hls", f"roomtone-{PROJECT['version']}.dist-info"}
    static = [Path(name) for name in names if name.startswith("server/static/")]
    assert not [path for path in static if path.name in BUILD_FILES or path.suffix == ".mts"]
    assert not [name for name in names if "node_modules" in name or "__pycache__" in name]


def test_modules(names: list[str]) -> None:
    """Every module of the tree is inside."""
    packages = ("server", "mixer", "hls")
    tree = {str(p.relative_to(ROOT)) for name in packages for p in (ROOT / name).rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == tree


def test_licences(names: list[str]) -> None:
    """The licence and the notices travel with the wheel."""
    licences = {Path(name).name for name in names if "/licenses/" in name}
    assert licences == {"LICENSE", "THIRD-PARTY-NOTICES.md"}


def test_import(environment: Path, names: list[str]) -> None:
    """Everything can be imported from the wheel alone, which finds its pages inside itself."""
    modules = [_module(name) for name in names if name.endswith(".py")]
    python = str(environment / "bin" / "python")
    folder = Path(_run(python, "-I", "-c", IMPORT_ALL, str(environment), *modules).strip())
    assert folder.is_relative_to(environment)
    assert (folder / "index.html").is_file()


def test_command(environment: Path) -> None:
    """The installed command says its version."""
    said = _run(str(environment / "bin" / "roomtone"), "version")
    assert said.split() == ["roomtone", PROJECT["version"]]


def _static(kind: str) -> set[str]:
    static = ROOT / "static"
    return {str(path.relative_to(static)) for path in static.glob(kind)}


def _module(name: str) -> str:
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _run(*command: str) -> str:
    """Run a program outside the checkout; return what it printed, or fail with all it said."""
    done = subprocess.run(command, cwd="/", check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
