from server.domain.media import Media


def test_tag() -> None:
    """The same bytes have the same tag, others another; it is one that a header can hold."""
    assert Media(b"a").tag == Media(b"a").tag != Media(b"b").tag
    assert Media(b"a").tag.isalnum()
