"""What the tests of environments share: tiny wheels, and an environment made from them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.tiny_wheels import PREDICT_MODULES, TRAIN_MODULES, build_wheels
from tests.unit.environments import make


@pytest.fixture(scope="session")
def wheels(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    build_wheels(folder, PREDICT_MODULES)
    return folder


@pytest.fixture(scope="session")
def train_wheels(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("train_wheels")
    build_wheels(folder, TRAIN_MODULES)
    return folder


@pytest.fixture(scope="session")
def made_once(tmp_path_factory, wheels) -> Path:
    folder = tmp_path_factory.mktemp("made") / "environment"
    make(folder, wheels)
    return folder


@pytest.fixture
def made(tmp_path, made_once) -> Path:
    """A whole environment for predicting, to be spoilt."""
    shutil.copytree(made_once, tmp_path / "environment", symlinks=True)
    return tmp_path / "environment"
