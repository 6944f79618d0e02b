"""A service over the run that all the house shares, loaded once; and its client."""

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from fastapi.testclient import TestClient

from polymodal.serving.app import create_app
from polymodal.serving.decoding import Decoders
from polymodal.serving.service import Service

ADDRESS = "http://127.0.0.1:8000"
"""Of the services in tests, which refuse other hosts."""


@pytest.fixture(scope="session", autouse=True)
def workers_start_where_they_are_needed() -> Iterator[None]:
    """A service of a test that sends no media starts no worker process, which takes seconds."""
    with mock.patch.object(Decoders, "warm_up", lambda self: None):
        yield


@pytest.fixture(scope="session")
def served(fitted_houses: Path) -> Iterator[TestClient]:
    """A client of a service with the run ``run`` (photo, note, bedrooms → kind, price), without a token."""
    service = Service.load([fitted_houses / "run"], device="cpu", decoders=1)
    with TestClient(create_app(service), base_url=ADDRESS) as client:
        yield client
