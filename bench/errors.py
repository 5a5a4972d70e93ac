"""What a person who measures can do something about."""


class BenchMistake(Exception):  # noqa: N818 - the word of server/errors.py
    """A measurement cannot be made as asked; the text says why and what to do next."""
