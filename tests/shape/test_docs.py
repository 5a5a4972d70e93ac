"""The documents, held against the tree: what they name is there."""

import re
import tomllib
from pathlib import Path

import click
import pytest

from server.compose import cli
from server.config import Settings, option, variable
from server.sources import OTHER_VARIABLES

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
IDS = [str(page.relative_to(ROOT)) for page in PAGES]
EVERY = pytest.mark.parametrize("page", PAGES, ids=IDS)


TOPS = ("server", "mixer", "hls", "static", "tests", "docs", "bench")


def _options(command: click.Command) -> set[str]:
    """Return the options of a command and of all below it."""
    names = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None, "it was listed"
            names |= _options(below)
    return names


OTHERS = {"--help"} | _options(cli)


@EVERY
def test_links(page: Path) -> None:
    """Every relative link leads to a file, and its fragment to a heading there."""
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        assert not fragment or fragment in _headings(file), target


@EVERY
def test_files(page: Path) -> None:
    """Every file or package of ours that stands in backticks exists."""
    for name in re.findall(rf"`((?:{'|'.join(TOPS)})/[\w./-]*)`", page.read_text()):
        assert (ROOT / name).exists() or (ROOT / f"{name}.py").is_file(), name


@EVERY
def test_variables(page: Path) -> None:
    """Every variable that is named is a setting."""
    known = {variable(key) for key in Settings.model_fields} | OTHER_VARIABLES
    known |= {f"{name}_FILE" for name in known}
    assert set(re.findall(r"\bROOMTONE_[A-Z_]*[A-Z]", page.read_text())) <= known


@EVERY
def test_options(page: Path) -> None:
    """Every option that is named is a setting's; the notices speak of other programs'."""
    if page.name == "THIRD-PARTY-NOTICES.md":
        return
    known = {option(key) for key in Settings.model_fields} | OTHERS
    known |= {
        f"--no-{option(key)[2:]}"
        for key, field in Settings.model_fields.items()
        if field.annotation is bool
    }
    assert set(re.findall(r"`(?:[^`\n]* )?(--[a-z][a-z-]+)", page.read_text())) <= known


@pytest.mark.parametrize("package", ["server", "mixer", "hls"])
def test_layers(package: str) -> None:
    """The design names the layers that the tool enforces, in their order."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = (
        one["layers"] for one in contracts["contracts"] if one.get("containers") == [package]
    )
    line = f"\n{package.ljust(9)}{' → '.join(layers)}\n"
    assert line in (ROOT / "docs" / "design.md").read_text()


def test_reachable() -> None:
    """Every document can be reached from the README."""
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        found = re.findall(r"\]\(([^)\s:#]+)(?:#[^)]*)?\)", _prose(page))
        waiting += [(page.parent / target).resolve() for target in found]
    assert set(PAGES) <= seen


def test_tour_is_a_script() -> None:
    """The README's shell blocks are one script: each variable is set before it is used."""
    blocks = re.findall(
        r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE
    )
    script = "\n".join(blocks)
    used = {match[1]: match.start() for match in re.finditer(r"\$([A-Z_]+)", script)}
    for name, at in used.items():
        given = re.search(rf"^{name}=", script, re.MULTILINE)
        assert name == "HOME" or (given is not None and given.start() < at), name
    assert "/api/rooms" in script


def _prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def _headings(page: Path) -> set[str]:
    """Return the fragments of a page's headings, as code hosts make them."""
    titles = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {title.replace(" ", "-") for title in kept}
