"""The verb `bench`."""

import runpy
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from server.compose import cli, measure


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", list(sys.argv))


def test_without_the_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From the package alone the verb says in one sentence how to get the measurements."""
    monkeypatch.setattr(measure, "ROOT", tmp_path)
    result = CliRunner().invoke(cli, ["bench", "cpu"])
    assert result.exit_code == measure.EXIT_MISTAKE
    assert "get the source and type make bench" in result.output


def test_arguments_are_handed_over() -> None:
    """In a source tree the bench gets every argument, --help among them."""
    result = CliRunner().invoke(cli, ["bench", "cpu", "--help"])
    assert result.exit_code == 0
    assert "--anchors" in result.output


def test_what_only_developers_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a package of the bench is missing, its name is told, and who installs it."""

    def no_rich(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'rich'", name="rich")

    monkeypatch.setattr(runpy, "run_module", no_rich)
    result = CliRunner().invoke(cli, ["bench", "cpu"])
    assert result.exit_code == measure.EXIT_MISTAKE
    assert "rich is not installed; make bench installs it" in result.output
