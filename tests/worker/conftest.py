from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny_dataset import write_dataset

# Tests that have nothing to do with training are not to wait for its libraries.


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "hills")


@pytest.fixture(scope="session")
def request_for(data, tmp_path_factory):
    from tests.tiny_training import requests_in

    return requests_in(lambda: tmp_path_factory.mktemp("run"), data)


@pytest.fixture(scope="session")
def finished(request_for):
    """A request, its result, and what was told meanwhile."""
    from tests.tiny_training import Recording
    from training.train import train

    request, listener = request_for(), Recording()
    return request, train(request, listener), listener
