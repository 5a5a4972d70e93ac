"""Versions of a list of people."""

from hypothesis import given
from hypothesis import strategies as st

from server.domain.changes import Told

ADA, BOB = {"userId": "ada", "muted": False}, {"userId": "bob", "muted": False}
LISTS = st.lists(
    st.dictionaries(st.sampled_from("abcd"), st.booleans()).map(
        lambda muted: [{"userId": user, "muted": one} for user, one in muted.items()]
    )
)


def test_changes() -> None:
    """Who came, changed or went is told with the next version; what stays is not."""
    told = Told()
    assert told.snapshot() == {"version": 0, "snapshot": []}
    assert told.advance([ADA, BOB]) == {"version": 1, "changes": [ADA, BOB]}
    muted = {**BOB, "muted": True}
    assert told.advance([ADA, muted]) == {"version": 2, "changes": [muted]}
    assert told.advance([ADA, muted]) is None
    assert told.advance([muted]) == {"version": 3, "changes": [{"userId": "ada", "gone": True}]}
    assert told.snapshot() == {"version": 3, "snapshot": [muted]}


@given(LISTS)
def test_nothing_is_missed(lists: list[list[dict[str, object]]]) -> None:
    """Whoever applies every change to the list they had has the list there is."""
    told, mine, version = Told(), dict[str, object](), 0
    for listing in lists:
        change = told.advance(listing)
        if change is not None:
            version += 1
            assert change["version"] == version
            changes = change["changes"]
            assert isinstance(changes, list)
            for one in changes:
                if one.get("gone"):
                    del mine[one["userId"]]
                else:
                    mine[one["userId"]] = one
        assert mine == {one["userId"]: one for one in listing}
