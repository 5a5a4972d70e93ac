"""Which Roomtone this is."""

from importlib.metadata import PackageNotFoundError, version


def _installed() -> str:
    try:
        return version("roomtone")
    except PackageNotFoundError:
        return "unknown"  # run from a checkout that was never installed


VERSION = _installed()
