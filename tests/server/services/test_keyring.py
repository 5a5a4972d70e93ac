"""The server's own secrets."""

import json
import stat
from pathlib import Path

import pytest

from server.errors import SetupMistake
from server.services.keyring import Keyring, is_same


def test_first_run(tmp_path: Path) -> None:
    """The first start makes every secret, each another, in files for this user only."""
    keyring = Keyring.open(tmp_path)
    secrets = {keyring.resume, keyring.admin, keyring.admin_key, keyring.first_run}
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert keyring.is_new
    assert (len(secrets), modes) == (4, {0o600})


def test_next_run(tmp_path: Path) -> None:
    """The next start has the same secrets and knows that it is not the first."""
    first, second = Keyring.open(tmp_path), Keyring.open(tmp_path)
    assert not second.is_new
    assert (first.resume, first.admin_key, first.first_run) == (
        second.resume,
        second.admin_key,
        second.first_run,
    )


def test_spent_for_good(tmp_path: Path) -> None:
    """A spent first-run secret is gone, also after a restart; the keys stay."""
    keyring = Keyring.open(tmp_path)
    keyring.spend_first_run()
    keyring.spend_first_run()
    again = Keyring.open(tmp_path)
    assert (keyring.first_run, again.first_run, again.resume) == (None, None, keyring.resume)


def test_new_admin_key(tmp_path: Path) -> None:
    """Removing the admin key's file makes a new key and leaves tokens good."""
    before = Keyring.open(tmp_path)
    before.admin_key_path.unlink()
    after = Keyring.open(tmp_path)
    assert after.is_new
    assert after.admin_key != before.admin_key
    assert after.resume == before.resume


@pytest.mark.parametrize("content", ["{", '{"version":1}', '{"version":3}', "\xff", "[]"])
def test_damaged(tmp_path: Path, content: str) -> None:
    """A damaged file is refused with what to do, and not shown."""
    (tmp_path / "secrets.json").write_text(content, encoding="latin-1")
    with pytest.raises(SetupMistake, match=r"secrets\.json (is damaged|cannot be read)"):
        Keyring.open(tmp_path)


def test_former_version(tmp_path: Path) -> None:
    """A file of the version with secrets for join and listen keeps its admin's cookies good."""
    former = {"version": 1, "join": "ab" * 32, "listen": "cd" * 32, "admin": "ef" * 32}
    (tmp_path / "secrets.json").write_text(json.dumps(former | {"firstRun": None}))
    keyring = Keyring.open(tmp_path)
    assert (keyring.admin.hex(), keyring.first_run) == ("ef" * 32, None)
    assert keyring.resume == Keyring.open(tmp_path).resume
    assert "abab" not in (tmp_path / "secrets.json").read_text()


def test_no_folder(tmp_path: Path) -> None:
    """A folder that is not there is named."""
    with pytest.raises(SetupMistake, match="nowhere"):
        Keyring.open(tmp_path / "nowhere")


def test_repr(tmp_path: Path) -> None:
    """A keyring that ends up in a log shows nothing."""
    keyring = Keyring.open(tmp_path)
    assert keyring.admin_key not in repr(keyring)


@pytest.mark.parametrize(
    ("shown", "same"), [("secret", True), ("Secret", False), ("", False), ("\ud800", False)]
)
def test_is_same(shown: str, same: bool) -> None:  # noqa: FBT001 - a parameter
    """Any text can be compared with a secret."""
    assert is_same(shown, "secret") is same
