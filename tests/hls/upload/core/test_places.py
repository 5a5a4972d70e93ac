import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls.upload.core.places import (
    TEMPLATE_DEFAULT,
    TEMPLATE_PATTERN,
    Kind,
    fill,
    object_path,
    template_mistake,
)


def test_fill() -> None:
    """A template's marks are what something is."""
    assert fill(TEMPLATE_DEFAULT, "blue", Kind.RECORDING, "monday") == "blue/recordings/monday"
    assert fill("x/{kind}-{room}/{name}", "a", Kind.BROADCAST, "b") == "x/broadcast-a/b"


@given(st.text(), st.text())
def test_fill_stays_inside(room: str, name: str) -> None:
    """Whatever a room and a recording are called, each is one part of the path."""
    filled = fill("pre/{room}/{kind}/{name}", room, Kind.RECORDING, name).split("/")
    assert len(filled) == 4
    assert all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", part) for part in filled)


@pytest.mark.parametrize(
    ("template", "is_right"),
    [
        (TEMPLATE_DEFAULT, True),
        ("node-1/{room}/{kind}/{name}", True),
        ("{room}/{kind}-{name}", True),
        ("{kind}-{room}/{name}", True),
        ("{room}/{name}", False),
        ("{room}-{name}-{kind}", False),
        ("{kind}/{name}.of.{room}", False),
        ("../{room}/{kind}/{name}", False),
        ("/{room}/{kind}/{name}", False),
        ("{room}//{kind}/{name}", False),
        ("{room}/./{kind}/{name}", False),
    ],
)
def test_mistakes(template: str, is_right: bool) -> None:  # noqa: FBT001 - a column
    """A template must tell everything apart and lead nowhere else."""
    assert re.fullmatch(TEMPLATE_PATTERN, template)
    assert (template_mistake(template) is None) == is_right


@given(st.text())
def test_object_path(path: str) -> None:
    """No file's name leads out of its folder or has what addresses or S3 give a meaning to."""
    parts = object_path(path).split("/")
    assert not {".", ".."} & set(parts)
    assert not set(object_path(path)) & set('\\{}^%`[]"<>~#|?*')
    assert object_path(path).isprintable()


def test_object_path_keeps() -> None:
    """Letters of all scripts and spaces stay as they are."""
    assert object_path("tracks/1-Zoë Łukasz.ogg") == "tracks/1-Zoë Łukasz.ogg"
    assert object_path("../a//b#1") == "a/b_1"
