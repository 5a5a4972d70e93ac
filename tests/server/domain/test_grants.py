"""Roles and what they may do."""

import pytest

from server.domain.grants import (
    DEFAULT_RIGHTS,
    Right,
    Role,
    effective_rights,
    known_rights,
    require_right,
)
from server.errors import NotGranted


def test_every_role_has_defaults() -> None:
    """No role is forgotten; a host may do everything, a listener says nothing aloud."""
    assert set(DEFAULT_RIGHTS) == set(Role)
    assert DEFAULT_RIGHTS[Role.HOST] == set(Right)
    assert Right.SPEAK not in DEFAULT_RIGHTS[Role.LISTENER]


def test_only_hosts_remove_people() -> None:
    """Nobody but a host has the rights that cost others their place."""
    for right in (Right.KICK, Right.MOVE, Right.MANAGE, Right.ADMIT):
        assert [role for role in Role if right in DEFAULT_RIGHTS[role]] == [Role.HOST]


def test_explicit_rights_replace_the_roles() -> None:
    """Explicit grants are all there is, also when they are none."""
    assert effective_rights(Role.HOST, []) == frozenset()
    assert effective_rights(Role.GUEST, [Right.KICK]) == {Right.KICK}
    assert effective_rights(Role.GUEST) == DEFAULT_RIGHTS[Role.GUEST]


def test_unknown_names_grant_nothing() -> None:
    """A grant nobody knows is left out."""
    assert known_rights(["kick", "fly", "Kick"]) == {Right.KICK}


def test_refusal_names_the_grant() -> None:
    """Who lacks a grant is told which one."""
    require_right(DEFAULT_RIGHTS[Role.HOST], Right.KICK)
    with pytest.raises(NotGranted, match="grant kick") as refused:
        require_right(DEFAULT_RIGHTS[Role.GUEST], Right.KICK)
    assert refused.value.grant == "kick"
