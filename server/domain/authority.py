"""Who may do what to whom in a room."""

from collections.abc import Collection

from server.domain.grants import DEFAULT_RIGHTS, Right, Role, require_right


def check_authority(
    own: Collection[Right], needed: Collection[Right], theirs: Collection[Right] = ()
) -> None:
    """Raise NotGranted unless somebody with `own` rights may do that to somebody with `theirs`.

    Nobody acts on who manages the room but who manages it as well.
    """
    for right in Right:
        if right in needed:
            require_right(own, right)
    if Right.MANAGE in theirs:
        require_right(own, Right.MANAGE)


def check_promotion(own: Collection[Right], role: Role) -> None:
    """Raise NotGranted if the role would give more than one has oneself, or without `admit`."""
    check_authority(own, {Right.ADMIT} | DEFAULT_RIGHTS[role])
