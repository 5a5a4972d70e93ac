"""Errors of the broadcast plane, named after who must react."""


class HlsError(Exception):
    """Root of everything the broadcast plane raises on purpose."""


class BadSpec(HlsError):  # noqa: N818 - named after who must react
    """The control plane asked for a broadcast that cannot be; `field` names what is wrong."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(f"{field}: {sentence}")
        self.field = field


class EncoderLost(HlsError):  # noqa: N818 - named after who must react
    """The AAC encoder could not be opened or gave up; a new one may be tried."""


class BadSound(HlsError):  # noqa: N818 - named after who must react: whoever chose the file
    """A file holds no sound that can be played; the text says so to people."""


class BucketLost(HlsError):  # noqa: N818 - named after who must react: whoever tries again
    """A bucket did not take or give something; the text says to the operator why."""


class BucketRefused(BucketLost):
    """The bucket refuses us: trying again helps only when somebody has changed something."""
