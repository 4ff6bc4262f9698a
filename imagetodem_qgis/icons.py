"""The plugin's icons."""

from __future__ import annotations

from pathlib import Path

from imagetodem_qgis.runtime.locations import PLUGIN_FOLDER

_FOLDER = PLUGIN_FOLDER / "resources"


def icon_file(name: str = "icon") -> Path:
    """The SVG of an algorithm's id, or the plugin's own where that algorithm has none."""
    own = _FOLDER / f"{name}.svg"
    return own if own.is_file() else _FOLDER / "icon.svg"
