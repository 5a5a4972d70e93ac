"""The whole server, put together, and its command line."""

from server.compose.cli import cli

__all__ = ["cli"]
