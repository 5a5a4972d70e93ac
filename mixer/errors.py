"""Errors of the mixer, named after who must react."""


class MixerError(Exception):
    """Root of everything the mixer raises on purpose."""


class ClientMistake(MixerError):  # noqa: N818 - named after who must react
    """The peer sent something that cannot be accepted; `code` is stable, the text is for people."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class PeerGone(MixerError):  # noqa: N818
    """The peer or its room is not (or no longer) here."""


class NoCapacity(MixerError):  # noqa: N818
    """The plane cannot carry one more peer."""


class SetupError(MixerError):
    """Something the machine must provide is missing; the text says what to install or change."""
