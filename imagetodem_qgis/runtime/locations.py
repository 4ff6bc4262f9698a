"""Where things lie, in a checkout and in an installed plugin; no other module knows."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PLUGIN_FOLDER = Path(__file__).resolve().parents[1]
"""The package ``imagetodem_qgis``."""


def _beside_or_inside(name: str) -> Path:
    """A folder that an installed plugin carries inside the package and a checkout beside it."""
    inside = PLUGIN_FOLDER / name
    return inside if inside.is_dir() else PLUGIN_FOLDER.parent / name


def training_folder() -> Path:
    """The package ``training``."""
    return _beside_or_inside("training")


def shipped_models_folder() -> Path:
    """The models that come with the plugin, one folder each."""
    return _beside_or_inside("model_weights")


def home() -> Path:
    """The folder of what the plugin makes for a user and keeps across upgrades.

    ``IMAGETODEM_HOME`` overrides the system's place for application data.
    """
    override = os.environ.get("IMAGETODEM_HOME")
    if override:
        return Path(override)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share"))
    return base / "imagetodem"


def environment_folder() -> Path:
    """The machine-learning environment that ``imagetodem:setupenvironment`` makes."""
    return home() / "environment"


def user_models_folder() -> Path:
    """The models that a user has installed, one folder each."""
    return home() / "models"
