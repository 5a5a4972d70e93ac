"""Who may do what to whom."""

from collections.abc import Collection

import pytest

from server.domain.authority import check_authority, check_promotion
from server.domain.grants import DEFAULT_RIGHTS, Right, Role
from server.errors import NotGranted

HOST, ANCHOR = DEFAULT_RIGHTS[Role.HOST], DEFAULT_RIGHTS[Role.ANCHOR]


@pytest.mark.parametrize(
    ("own", "needed", "theirs", "missing"),
    [
        (HOST, {Right.KICK}, HOST, None),
        (ANCHOR, {Right.MUTE}, ANCHOR, None),
        (ANCHOR, set(), (), None),
        (ANCHOR, {Right.KICK}, (), "kick"),
        (ANCHOR, {Right.MUTE, Right.MIX}, (), "mix"),
        (ANCHOR, {Right.MUTE}, HOST, "manage"),
        ((), {Right.LISTEN}, (), "listen"),
    ],
)
def test_authority(
    own: Collection[Right],
    needed: Collection[Right],
    theirs: Collection[Right],
    missing: str | None,
) -> None:
    """Every right that is needed must be there, and to act on a host that of a host."""
    if missing is None:
        check_authority(own, needed, theirs)
        return
    with pytest.raises(NotGranted) as refused:
        check_authority(own, needed, theirs)
    assert refused.value.grant == missing


def test_promotion() -> None:
    """Nobody makes anybody more than they are themselves."""
    porter = DEFAULT_RIGHTS[Role.GUEST] | {Right.ADMIT}
    check_promotion(porter, Role.GUEST)
    check_promotion(HOST, Role.HOST)
    for own, role in ((porter, Role.ANCHOR), (ANCHOR, Role.LISTENER), (porter, Role.HOST)):
        with pytest.raises(NotGranted):
            check_promotion(own, role)
