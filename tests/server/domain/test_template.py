"""HTTP answers but for what changes."""

from server.domain.template import Template


def test_template() -> None:
    """Length, date and body go where the head was cut, and a tag if it was cut there too."""
    template = Template(b"Content-Length: ", b"\r\nDate: ", b"\r\n\r\n")
    assert template.filled(b"now", b"body") == b"Content-Length: 4\r\nDate: now\r\n\r\nbody"
    tagged = Template(b'ETag: "', b'"\r\nContent-Length: ', b"\r\nDate: ", b"\r\n\r\n")
    assert tagged.filled(b"now", b"body", b"tag") == b'ETag: "tag"\r\n' + template.filled(
        b"now", b"body"
    )
