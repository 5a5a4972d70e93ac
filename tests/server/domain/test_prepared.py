"""HTTP answers but for what changes."""

from server.domain.prepared import Prepared, Template


def test_template() -> None:
    """Length, date and body go where the head was cut."""
    template = Template(b"Content-Length: ", b"\r\nDate: ", b"\r\n\r\n")
    assert template.filled(b"now", b"body") == b"Content-Length: 4\r\nDate: now\r\n\r\nbody"


def test_one_object_for_everybody() -> None:
    """It is put together once for each date."""
    prepared = Prepared(Template(b"<", b">", b"|"), b"body")
    first = prepared.dated(b"one")
    assert first == b"<4>one|body"
    assert prepared.dated(b"one") is first
    assert prepared.dated(b"two") == b"<4>two|body"
    assert prepared.size == 4
