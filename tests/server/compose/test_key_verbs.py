"""`roomtone keys`, against a real edge."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from server.client.errors import Exit
from server.compose import cli
from server.domain.api_key import Scope
from tests.server.compose.conftest import Here


async def test_life(here: Here) -> None:
    """A key is printed alone on standard output, opens what it says, and is worthless at a word."""
    done = await here.run("keys", "create", "Grafana", "--scope", "rooms:read")
    secret, _, rest = done.stdout.partition("\n")
    (key,) = await here.told("keys", "list")
    assert (secret[:3], rest, "Shown this once" in done.stderr) == ("rt_", "", True)
    assert (key["name"], key["scopes"], key["expiresAt"]) == ("Grafana", ["rooms:read"], None)
    assert (await here.run("room", "list", "--key", secret)).exit_code == 0
    told = await here.told("keys", "revoke", key["keyId"])
    assert told == {"revoked": key["keyId"]}
    assert (await here.run("room", "list", "--key", secret)).exit_code == Exit.NOT_ALLOWED


async def test_list(here: Here) -> None:
    """The list says what each may do and until when; an empty one says how to make a key."""
    assert "`roomtone keys create`" in (await here.run("keys", "list")).stdout
    wanted = ("--scope", "people", "--scope", "keys", "--expires-in", "2h")
    made = await here.told("keys", "create", "Mods", *wanted)
    row = (await here.run("keys", "list")).stdout.splitlines()[1].split()
    assert row == [made["keyId"], "Mods", "keys,people", made["expiresAt"], "never"]


async def test_rotate(here: Here) -> None:
    """New tokens are signed with new keys."""
    before = str(here.node.signing.verifying.jwks()["keys"]).count("'kid'")
    assert "new keys" in (await here.run("keys", "rotate")).stdout
    after = str(here.node.signing.verifying.jwks()["keys"]).count("'kid'")
    assert (before, after) == (2, 4)


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        ("create x", Exit.MISTAKE, "--scope"),
        ("create x --scope root", Exit.MISTAKE, "root"),
        ("create x --scope keys --expires-in soon", Exit.MISTAKE, "7d or never"),
        ("create x --scope keys --expires-in -5d", Exit.MISTAKE, "7d or never"),
        ("revoke", Exit.MISTAKE, "KEY"),
        ("revoke nope", Exit.NOT_FOUND, "roomtone"),
        ("revoke ../rooms", Exit.NOT_FOUND, "roomtone"),
        ("list extra", Exit.MISTAKE, "extra"),
        ("list --key wrong-key", Exit.NOT_ALLOWED, "needs the admin"),
    ],
)
async def test_mistakes(here: Here, arguments: str, status: Exit, sentence: str) -> None:
    """A mistake ends with its status and says what is wrong; a key is never shown."""
    done = await here.run("keys", *arguments.split())
    assert (done.exit_code, done.stdout) == (status, "")
    assert sentence in done.stderr
    assert "wrong-key" not in done.stderr


def test_no_key(tmp_path: Path) -> None:
    """Without a server, and so without a key, the command says what to do."""
    done = CliRunner().invoke(cli, ["keys", "list", "--state-dir", str(tmp_path)])
    assert done.exit_code == Exit.UNREACHABLE


def test_every_scope_is_in_the_help() -> None:
    """`create --help` names every scope."""
    text = CliRunner().invoke(cli, ["keys", "create", "--help"]).output.replace("\n", "")
    assert [scope for scope in Scope if scope.value not in text.replace(" ", "")] == []
