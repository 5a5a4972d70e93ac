import pytest

from hls.recording.core.names import file_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Ada", "7-Ada"),
        ("Ada Lovelace", "7-Ada Lovelace"),
        ("../../etc/passwd", "7-etc passwd"),
        ("a\0b\nc", "7-a b c"),
        ("", "7"),
        (" . ", "7"),
        ("Ünal 北京", "7-Ünal 北京"),
        ("e\u0301", "7-é"),
        ("CON", "7-CON"),
        ("\u202egnp.exe", "7-gnp exe"),
        ("x" * 300, "7-" + "x" * 40),
        ("\U0001f600", "7"),
    ],
)
def test_whatever_people_call_themselves(name: str, expected: str) -> None:
    """No path, no control character, not too long, unlike any other by its number."""
    assert file_name(7, name) == expected
