"""What of our environment a worker gets."""

import os

import pytest

from server.media.environment import worker_environment
from server.media.threads import ENVIRONMENT

NEEDED = {"PATH": "/bin", "LC_ALL": "C.UTF-8", "SSL_CERT_FILE": "/ca", "PYTHONPATH": "/x"}
SECRET = {
    "AWS_SECRET_ACCESS_KEY": "a",
    "AZURE_STORAGE_KEY": "b",
    "GOOGLE_SERVICE_ACCOUNT": "c",
    "OTEL_EXPORTER_OTLP_HEADERS": "d",
    "HTTPS_PROXY": "http://user:e@proxy",
}
OURS = {"ROOMTONE_TURN_SECRET_FILE": "/f"}


@pytest.mark.parametrize(("with_credentials", "wanted"), [(False, NEEDED), (True, NEEDED | SECRET)])
def test_environment(
    monkeypatch: pytest.MonkeyPatch, *, with_credentials: bool, wanted: dict[str, str]
) -> None:
    """What a program needs to run; all but our own for who uploads; one thread for numpy."""
    monkeypatch.setattr(os, "environ", NEEDED | SECRET | OURS)
    assert worker_environment(with_credentials=with_credentials) == wanted | ENVIRONMENT
