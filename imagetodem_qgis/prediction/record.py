"""What a prediction is made from, for its output's metadata and for telling one run from another."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from imagetodem_qgis.core.observations import AnchorObservation, OverlapObservation
from imagetodem_qgis.core.stretch import Stretch
from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.prediction.frame import Frame
from imagetodem_qgis.prediction.request import Request


def recipe(
    request: Request, frame: Frame, stretch: Stretch, opened: dict[str, Any], tiles: int
) -> dict[str, str]:
    """The recipe, as items of the output file."""
    card = request.model.card
    return {
        "IMAGETODEM_MODEL": card.name,
        "IMAGETODEM_MODEL_VERSION": card.version,
        "IMAGETODEM_TARGET": card.target,
        "IMAGETODEM_ENGINE": f"{opened['engine']} on {opened['device']}",
        "IMAGETODEM_BANDS": ",".join(str(band) for band in request.image.bands),
        "IMAGETODEM_STRETCH": "; ".join(
            f"{low:.6g} to {high:.6g}" for low, high in zip(stretch.low, stretch.high)
        ),
        "IMAGETODEM_TILES": f"{tiles} of {card.tile_size} pixels, overlap {frame.plan.overlap}",
        "IMAGETODEM_GROUND_SAMPLING_DISTANCE": f"{frame.gsd:.6g} m" if frame.unit == "m" else "unknown",
        "IMAGETODEM_SUN_AZIMUTH": frame.sun,
        "IMAGETODEM_ANCHORS": request.known.describe() if request.known else "none: heights are relative",
        "IMAGETODEM_UNIT": frame.unit or "relative, 0 to 255",
    }


def identity(request: Request, frame: Frame) -> dict[str, Any]:
    """All that the tiles' answers depend on, as JSON can hold it: two runs of which it is the same can go on
    from each other's tiles."""
    card = request.model.card
    content = json.dumps(dict(card.content), sort_keys=True, default=str)
    # Files that the card does not vouch for are known by their date.
    network = "" if card.files else _state(Path(request.model.engines[request.engine]["path"]))
    return {
        # What is kept of a tile may be another with another version of the plugin.
        "kept": [field.name for kind in (OverlapObservation, AnchorObservation) for field in fields(kind)],
        "image": request.image.path,
        "image_state": _state(Path(request.image.path)),
        "bands": list(request.image.bands),
        "window": _sides(request.window),
        "shown": [*_sides(frame.shown), frame.work.rows, frame.work.columns],
        "card": hashlib.sha256(content.encode()).hexdigest(),
        "network": network,
        "engine": request.engine,
        "overlap": request.overlap,
        "sun_azimuth": request.sun_azimuth,
        "confidence": request.confidence is not None,
        "known": request.known.identity() if request.known else None,
    }


def _sides(window: Window) -> list[int]:
    return [window.row, window.column, window.rows, window.columns]


def _state(path: Path) -> str:
    """Size and date of a file; empty for what is none, such as a service's address."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"
